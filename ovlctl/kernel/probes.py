"""What this kernel and a directory's file system can do, found out by trying it without lasting effects.

No probe makes a superblock: FSCONFIG_CMD_CREATE of an overlay writes to its layers. What cannot be tried by this
user is UNKNOWN, which is something else than NO.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.errors import KernelLacks
from ovlctl.kernel import fscontext, handles, libc, xattr
from ovlctl.kernel.bootcache import Answer, BootCache
from ovlctl.kernel.libc import StrPath, check, encode, function

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
    """Try every feature in a temporary directory inside *directory*, which is removed again in all cases.

    Raises:
        OSError: No temporary directory can be made there (EACCES, EROFS, ENOSPC, ...).
    """
    with _scratch(os.fspath(directory)) as scratch:
        return DirectoryFeatures(
            o_tmpfile=_try(lambda: _o_tmpfile(scratch), errno.EISDIR, errno.ENOENT),
            rename_whiteout=_try(lambda: _rename_whiteout(scratch), errno.ENOSYS),
            trusted_xattr=_try(lambda: xattr.set(scratch, "trusted.ovlctl.probe", b"y")),
            user_xattr=_try(lambda: xattr.set(scratch, "user.ovlctl.probe", b"y")),
            d_type=_d_type(scratch),
            handles=_try(lambda: handles.name_to_handle_at(scratch), errno.ENOSYS),
            reflink=_try(lambda: _reflink(scratch), errno.ENOTTY, errno.ENOSYS),
        )


@contextmanager
def _scratch(directory: str) -> Iterator[str]:
    import shutil  # these two load a dozen modules that most commands do without
    import tempfile

    path = tempfile.mkdtemp(prefix=".ovlctl-probe-", dir=directory)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def _try(attempt: Callable[[], object], *also_no: int) -> Answer:
    # EINVAL and EOPNOTSUPP come from the file system. EPERM, EACCES, ENOSPC, EDQUOT and the rest say nothing about it:
    # trusted attributes are refused to ordinary users before anybody asks the file system.
    try:
        attempt()
    except OSError as error:
        return Answer.NO if error.errno in {errno.EINVAL, errno.EOPNOTSUPP, *also_no} else Answer.UNKNOWN
    return Answer.YES


def _o_tmpfile(scratch: str) -> None:
    os.close(os.open(scratch, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _rename_whiteout(scratch: str) -> None:
    old, new = os.path.join(scratch, "old"), os.path.join(scratch, "new")
    _make(old, b"")
    result = _renameat2(libc.AT_FDCWD, encode(old), libc.AT_FDCWD, encode(new), _RENAME_WHITEOUT)
    check(result, old, new)


def _d_type(scratch: str) -> Answer:
    # DirEntry asks lstat(2) when readdir(3) did not tell the type, and takes a missing file for no file. So of a file
    # that is gone by then it knows only what readdir told.
    inner = os.path.join(scratch, "types")
    try:
        os.mkdir(inner)
        _make(os.path.join(inner, "file"), b"")
        with os.scandir(inner) as entries:
            (entry,) = entries
        os.unlink(entry.path)
        return Answer.YES if entry.is_file(follow_symlinks=False) else Answer.NO
    except OSError:
        return Answer.UNKNOWN


def _reflink(scratch: str) -> None:
    source = os.path.join(scratch, "source")
    _make(source, bytes(4096))
    with open(source, "rb") as old, open(os.path.join(scratch, "clone"), "wb") as new:
        fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())


def _make(path: str, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)
