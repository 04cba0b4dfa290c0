"""What this kernel and a directory's file system can do, found out by trying it without lasting effects.

No probe makes a superblock: FSCONFIG_CMD_CREATE of an overlay writes to its layers. What cannot be tried by this
user is UNKNOWN, which is something else than NO.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ovlctl.errors import KernelLacks, strerror
from ovlctl.kernel import fscontext
from ovlctl.kernel.bootcache import Answer, BootCache
from ovlctl.kernel.features import DirectoryFeatures, directory_features, xattr_kept

if TYPE_CHECKING:
    from collections.abc import Callable

    from ovlctl.kernel.libc import StrPath


__all__ = [
    "Answer",
    "BootCache",
    "DirectoryFeatures",
    "directory_features",
    "fd_layers_known",
    "layer_refusal",
    "lowerdir_plus_known",
    "option_known",
    "overlay_present",
    "xattr_kept",
]

_NO_SUCH_OPTION = "ovlctl_no_such_option"


def overlay_present() -> Answer:
    """Whether the kernel has overlayfs now; UNKNOWN when its module is there but not loaded (a mount by root would)."""
    with open("/proc/filesystems", "rb") as file:
        if any(line.split()[-1:] == [b"overlay"] for line in file):
            return Answer.YES
    try:
        with open(f"/lib/modules/{os.uname().release}/modules.dep", "rb") as file:
            return Answer.UNKNOWN if any(b"/overlay.ko" in line.partition(b":")[0] for line in file) else Answer.NO
    except OSError:
        return Answer.NO


def option_known(key: str, value: str | None = None) -> Answer:
    """Whether the kernel's overlay takes option *key*, and *value* for it.

    Args:
        key: The option. One that takes a path is known, too, when the path is refused.
        value: A legal value; None for a flag.
    """

    def attempt(context: int) -> None:
        if value is None:
            fscontext.fsconfig_set_flag(context, key)
        else:
            fscontext.fsconfig_set_string(context, key, value)

    return _taken(attempt)


def lowerdir_plus_known() -> Answer:
    """Whether layers can be given one by one (``lowerdir+``, since 6.7)."""
    return option_known("lowerdir+", "/")


def fd_layers_known() -> Answer:
    """Whether layers can be given as O_PATH descriptors (since 6.15; 6.13 and 6.14 take ordinary ones only)."""
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        return _taken(lambda context: fscontext.fsconfig_set_fd(context, "lowerdir+", root))
    finally:
        os.close(root)


def _taken(attempt: Callable[[int], None]) -> Answer:
    # Until 6.5 overlay had no parser for fsconfig(2): the VFS collected any key for later. So a kernel that takes
    # nonsense tells nothing.
    if _refusal(lambda context: fscontext.fsconfig_set_flag(context, _NO_SUCH_OPTION)) is not Answer.NO:
        return Answer.UNKNOWN
    return _refusal(attempt)


def _refusal(attempt: Callable[[int], None]) -> Answer:
    try:
        context = fscontext.fsopen("overlay")
    except KernelLacks:
        return Answer.UNKNOWN
    except OSError as error:
        return Answer.NO if error.errno == errno.ENODEV else Answer.UNKNOWN
    try:
        attempt(context)
    except OSError as error:
        # The kernel knows the key and has something against the path: that comes as another errno.
        return Answer.NO if error.errno in {errno.EINVAL, errno.EBADF} else Answer.YES
    else:
        return Answer.YES
    finally:
        os.close(context)


def layer_refusal(directory: StrPath, key: str) -> tuple[Answer, str]:
    """Whether the kernel's overlay takes *directory* as a layer, as far as it looks before it makes a superblock.

    It looks at the file system's way with names, at read-only and at overlays below an upper; the depth of a stack,
    what lies in a work directory, and whether somebody else uses it come later.

    Args:
        directory: It must be readable.
        key: ``"lowerdir+"`` or ``"upperdir"``.

    Returns:
        NO with what the kernel says (its path is ``the directory``); UNKNOWN where it cannot be asked.

    Raises:
        OSError: *directory* cannot be opened.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC)
    name = f"/proc/self/fd/{fd}"
    said: list[str] = []

    def attempt(context: int) -> None:
        try:
            fscontext.fsconfig_set_string(context, key, name)
        except OSError as error:
            said.extend(message.text.replace(name, "the directory") for message in fscontext.messages(context))
            said.append(strerror(error))

    try:
        answer = _taken(attempt)
    finally:
        os.close(fd)
    if answer is not Answer.YES or not said:
        return answer, ""
    unknown = any(text.startswith("Unknown parameter") for text in said)
    return (Answer.UNKNOWN, "") if unknown else (Answer.NO, said[0])
