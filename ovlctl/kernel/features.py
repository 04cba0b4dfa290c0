"""What the file system of a directory can do, tried in a directory inside it that is removed again."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.kernel import handles, libc, xattr
from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.copying import FICLONE
from ovlctl.kernel.libc import StrPath, check, encode, function
from ovlctl.kernel.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Callable

_RENAME_WHITEOUT = 4
_FS_IOC_MEASURE_VERITY = 0xC0046686

_renameat2 = function(
    "renameat2", ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint
)


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
        whiteout: Device 0:0, by which overlayfs marks a deleted file.
        data: Files that can be written, which is not so everywhere a file can be made.
        case_sensitive: Names that differ in case are two names.
        verity: Digests of files that the kernel checks, fs-verity.
        refusals: The errno of each that is not there, by the name of its attribute.
    """

    o_tmpfile: Answer
    rename_whiteout: Answer
    trusted_xattr: Answer
    user_xattr: Answer
    d_type: Answer
    handles: Answer
    reflink: Answer
    whiteout: Answer
    data: Answer
    case_sensitive: Answer
    verity: Answer
    refusals: tuple[tuple[str, int], ...] = ()


def directory_features(directory: StrPath) -> DirectoryFeatures:
    """Try every feature in a temporary directory inside *directory*, which is removed again.

    One that a killed process left is removed by the next call for the same directory.

    Raises:
        OSError: No temporary directory can be made there (EACCES, EROFS, ENOSPC, ...).
    """
    with scratch(directory) as inside:
        tried = _Trials()
        return DirectoryFeatures(
            d_type=tried.read(lambda: _d_type(inside)),
            data=tried("data", lambda: _write(inside)),
            whiteout=tried("whiteout", lambda: _whiteout(inside), errno.EPERM),
            o_tmpfile=tried("o_tmpfile", lambda: _o_tmpfile(inside), errno.EISDIR, errno.ENOENT),
            rename_whiteout=tried("rename_whiteout", lambda: _rename_whiteout(inside), errno.ENOSYS),
            # An attribute that overlayfs would set, too: a file system may keep its own eye on those.
            trusted_xattr=tried("trusted_xattr", lambda: _keep(inside, "trusted.", "trusted.overlay.")),
            user_xattr=tried("user_xattr", lambda: _keep(inside, "user.", "user.overlay.")),
            handles=handles.openable(inside),
            reflink=tried("reflink", lambda: _reflink(inside), errno.ENOTTY, errno.ENOSYS),
            case_sensitive=tried.read(lambda: _case_sensitive(inside)),
            verity=tried("verity", lambda: _verity(inside), errno.ENOTTY),
            refusals=tuple(tried.refusals),
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
    return _Trials()("xattr", lambda: _keep(path, prefix))


class _Trials:
    """Tries one thing after the other and notes what refused."""

    def __init__(self) -> None:
        self.refusals: list[tuple[str, int]] = []

    def __call__(self, name: str, attempt: Callable[[], object], *also_no: int) -> Answer:
        # EINVAL and EOPNOTSUPP come from the file system. EPERM, EACCES, ENOSPC, EDQUOT and the rest say nothing about
        # it: trusted attributes are refused to ordinary users before anybody asks the file system.
        try:
            attempt()
        except OSError as error:
            self.refusals.append((name, error.errno or 0))
            return Answer.NO if error.errno in {errno.EINVAL, errno.EOPNOTSUPP, *also_no} else Answer.UNKNOWN
        return Answer.YES

    @staticmethod
    def read(question: Callable[[], Answer]) -> Answer:
        try:
            return question()
        except OSError:
            return Answer.UNKNOWN


def _keep(path: str, *prefixes: str) -> None:
    for prefix in prefixes:
        xattr.set(path, f"{prefix}ovlctl-probe", b"y")


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
    _make(os.path.join(inside, "types"), b"")
    with os.scandir(inside) as entries:
        (entry,) = (entry for entry in entries if entry.name == "types")
    os.unlink(entry.path)
    return Answer.YES if entry.is_file(follow_symlinks=False) else Answer.NO


def _write(inside: str) -> None:
    path = os.path.join(inside, "new")
    _make(path, b"data")
    os.unlink(path)


def _whiteout(inside: str) -> None:
    # No capability is needed for this one device: mknod(2), since 5.8.
    path = os.path.join(inside, "old")
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
    os.unlink(path)


def _case_sensitive(inside: str) -> Answer:
    path = os.path.join(inside, "types")
    _make(path, b"")
    try:
        return Answer.NO if os.path.lexists(os.path.join(inside, "TYPES")) else Answer.YES
    finally:
        os.unlink(path)


def _reflink(inside: str) -> None:
    source = os.path.join(inside, "source")
    _make(source, bytes(4096))
    with open(source, "rb") as old, open(os.path.join(inside, "clone"), "wb") as new:
        fcntl.ioctl(new.fileno(), FICLONE, old.fileno())


def _verity(inside: str) -> None:
    # A file system that has digests misses the one of this file: ioctl FS_IOC_MEASURE_VERITY, fsverity.rst.
    path = os.path.join(inside, "types")
    _make(path, b"")
    try:
        with open(path, "rb") as file:
            fcntl.ioctl(file.fileno(), _FS_IOC_MEASURE_VERITY, bytes(4))
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
    finally:
        os.unlink(path)


def _make(path: str, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)
