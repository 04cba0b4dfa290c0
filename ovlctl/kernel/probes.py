"""What this kernel and a directory's file system can do, found out by trying it without lasting effects.

No probe makes a superblock: FSCONFIG_CMD_CREATE of an overlay writes to its layers. What cannot be tried by this
user is UNKNOWN, which is something else than NO.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.errors import KernelLacks
from ovlctl.kernel import fscontext, handles, libc, xattr
from ovlctl.kernel.bootcache import Answer, BootCache
from ovlctl.kernel.libc import StrPath, check, encode, function
from ovlctl.kernel.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryFeatures:
    """What the file system of a directory can do.

    Attributes:
        o_tmpfile: Files without a name.
        rename_whiteout: renameat2(2) that leaves a whiteout behind.
        trusted_xattr: Attributes of the trusted namespace.
        user_xattr: Attributes of the user namespace, on a directory.
        d_type: readdir(3) tells the type of an entry.
        handles: File handles that can be opened again.
        reflink: Cloning the data of a file.
    """

    o_tmpfile: Answer
    rename_whiteout: Answer
    trusted_xattr: Answer
    user_xattr: Answer
    d_type: Answer
    handles: Answer
    reflink: Answer


__all__ = [
    "Answer",
    "BootCache",
    "DirectoryFeatures",
    "directory_features",
    "fd_layers_known",
    "lowerdir_plus_known",
    "option_known",
    "overlay_present",
    "xattr_kept",
]

_NO_SUCH_OPTION = "ovlctl_no_such_option"
_RENAME_WHITEOUT = 4
_FICLONE = 0x40049409

_renameat2 = function(
    "renameat2", ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint
)


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


def directory_features(directory: StrPath) -> DirectoryFeatures:
    """Try every feature in a temporary directory inside *directory*, which is removed again.

    One that a killed process left is removed by the next call for the same directory.

    Raises:
        OSError: No temporary directory can be made there (EACCES, EROFS, ENOSPC, ...).
    """
    with scratch(directory) as inside:
        return DirectoryFeatures(
            o_tmpfile=_try(lambda: _o_tmpfile(inside), errno.EISDIR, errno.ENOENT),
            rename_whiteout=_try(lambda: _rename_whiteout(inside), errno.ENOSYS),
            trusted_xattr=_kept(inside, "trusted."),
            user_xattr=_kept(inside, "user."),
            d_type=_d_type(inside),
            handles=handles.openable(inside),
            reflink=_try(lambda: _reflink(inside), errno.ENOTTY, errno.ENOSYS),
        )


def xattr_kept(directory: StrPath, prefix: str) -> Answer:
    """Whether a directory inside *directory* keeps an attribute of a namespace, tried like :func:`directory_features`.

    Args:
        directory: Where to try.
        prefix: What the attribute's name starts with: ``"trusted.overlay."``, ``"user.overlay."``. UNKNOWN for one
            that this user may not set.

    Raises:
        OSError: As for :func:`directory_features`.
    """
    with scratch(directory) as inside:
        return _kept(inside, prefix)


def _kept(path: str, prefix: str) -> Answer:
    return _try(lambda: xattr.set(path, f"{prefix}ovlctl-probe", b"y"))


def _try(attempt: Callable[[], object], *also_no: int) -> Answer:
    # EINVAL and EOPNOTSUPP come from the file system. EPERM, EACCES, ENOSPC, EDQUOT and the rest say nothing about it:
    # trusted attributes are refused to ordinary users before anybody asks the file system.
    try:
        attempt()
    except OSError as error:
        return Answer.NO if error.errno in {errno.EINVAL, errno.EOPNOTSUPP, *also_no} else Answer.UNKNOWN
    return Answer.YES


def _o_tmpfile(inside: str) -> None:
    os.close(os.open(inside, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _rename_whiteout(inside: str) -> None:
    old, new = os.path.join(inside, "old"), os.path.join(inside, "new")
    _make(old, b"")
    result = _renameat2(libc.AT_FDCWD, encode(old), libc.AT_FDCWD, encode(new), _RENAME_WHITEOUT)
    check(result, old, new)


def _d_type(inside: str) -> Answer:
    # DirEntry asks lstat(2) when readdir(3) did not tell the type, and takes a missing file for no file. So of a file
    # that is gone by then it knows only what readdir told.
    try:
        _make(os.path.join(inside, "types"), b"")
        with os.scandir(inside) as entries:
            (entry,) = (entry for entry in entries if entry.name == "types")
        os.unlink(entry.path)
        return Answer.YES if entry.is_file(follow_symlinks=False) else Answer.NO
    except OSError:
        return Answer.UNKNOWN


def _reflink(inside: str) -> None:
    source = os.path.join(inside, "source")
    _make(source, bytes(4096))
    with open(source, "rb") as old, open(os.path.join(inside, "clone"), "wb") as new:
        fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())


def _make(path: str, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)
