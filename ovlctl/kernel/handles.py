"""File handles: name_to_handle_at(2), open_by_handle_at(2)."""

from __future__ import annotations

import ctypes
import errno
import os
from dataclasses import dataclass

from ovlctl.kernel import libc
from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.libc import StrPath, check, encode, function

AT_HANDLE_FID = 0x200
"""Ask for a handle that identifies but may not open (since 6.5; overlay answers since 6.6)."""

_MAX_HANDLE_SZ = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class FileHandle:
    """What the kernel calls an object on its file system.

    Attributes:
        type: The file system's own type number of the handle.
        handle: Opaque bytes; equal handles of one file system mean one object.
        mount_id: The mount it was asked on, as in the first column of mountinfo.
    """

    type: int
    handle: bytes
    mount_id: int


class _FileHandle(ctypes.Structure):
    _fields_ = (
        ("handle_bytes", ctypes.c_uint),
        ("handle_type", ctypes.c_int),
        ("f_handle", ctypes.c_ubyte * _MAX_HANDLE_SZ),
    )


_name_to_handle_at = function(
    "name_to_handle_at",
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.POINTER(_FileHandle),
    ctypes.POINTER(ctypes.c_int),
    ctypes.c_int,
)


def name_to_handle_at(
    path: StrPath, dir_fd: int | None = None, *, fid: bool = False, follow: bool = False
) -> FileHandle:
    """Ask for the file handle of an object.

    name_to_handle_at(2), since 2.6.39; needs no privilege.

    Args:
        path: The object; empty for *dir_fd* itself.
        dir_fd: Directory that *path* is relative to; None for the working directory.
        fid: Ask for an identifying handle, which exists on more file systems (and on every overlay).
        follow: Follow a symbolic link.

    Raises:
        OSError: EOPNOTSUPP, the file system has no handles; EOVERFLOW, it has none for this object; EINVAL, *fid* on a
            kernel before 6.5; EPERM or ENOSYS, a sandbox refuses the call.
    """
    flags = (libc.AT_SYMLINK_FOLLOW if follow else 0) | (AT_HANDLE_FID if fid else 0)
    raw = encode(path)
    if not raw:
        flags |= libc.AT_EMPTY_PATH
    record = _FileHandle(handle_bytes=_MAX_HANDLE_SZ)
    mount_id = ctypes.c_int()
    where = libc.AT_FDCWD if dir_fd is None else dir_fd
    check(_name_to_handle_at(where, raw, ctypes.byref(record), ctypes.byref(mount_id), flags), path)
    handle = bytes(record.f_handle[: record.handle_bytes])
    return FileHandle(type=record.handle_type, handle=handle, mount_id=mount_id.value)


def identifying_handle(path: StrPath, dir_fd: int | None = None) -> FileHandle:
    """A handle that tells an object from others, on kernels that know those for identification only, and on older ones.

    Where both kinds are to be had they are the same.

    Args:
        path: As for :func:`name_to_handle_at`; not followed when it is a symbolic link.
        dir_fd: As there.

    Raises:
        OSError: As there, but EINVAL only for what has none.
    """
    try:
        return name_to_handle_at(path, dir_fd, fid=True)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return name_to_handle_at(path, dir_fd)


_open_by_handle_at = function(
    "open_by_handle_at", ctypes.c_int, ctypes.c_int, ctypes.POINTER(_FileHandle), ctypes.c_int
)


def open_by_handle_at(mount_fd: int, kind: int, handle: bytes, flags: int = os.O_PATH) -> int:
    """A descriptor of the object that a file system calls *handle*, wherever on it that is.

    open_by_handle_at(2), since 2.6.39; needs CAP_DAC_READ_SEARCH.

    Args:
        mount_fd: Any object on the file system, not opened with O_PATH.
        kind: The handle's type, as :func:`name_to_handle_at` gave it.
        handle: Its bytes; longer ones than a handle can have name nothing.
        flags: As for open(2).

    Raises:
        OSError: ESTALE, no such object (any more); EOPNOTSUPP, the file system has no handles that can be opened;
            EINVAL, no handle; EPERM, no right to.
    """
    if len(handle) > _MAX_HANDLE_SZ:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
    record = _FileHandle(
        len(handle), kind, (ctypes.c_ubyte * _MAX_HANDLE_SZ).from_buffer_copy(handle.ljust(_MAX_HANDLE_SZ, b"\0"))
    )
    return check(_open_by_handle_at(mount_fd, ctypes.byref(record), flags | os.O_CLOEXEC))


# What a file system without handles answers: EOPNOTSUPP when it gives none that can be opened (proc, an overlay without
# nfs_export, FUSE since 6.8), EOVERFLOW when it gives none for this object (its encode_fh() said FILEID_INVALID, which
# fs/fhandle.c passes on under that name).
_NONE_GIVEN = {errno.EOPNOTSUPP, errno.EOVERFLOW}


def openable(path: StrPath) -> Answer:
    """Whether the file system of *path* gives a file handle for it that can be opened again. Raises no OSError.

    UNKNOWN is everything that is not the file system's own word: *path* cannot be reached or its server does not
    answer (ENOENT, EACCES, ESTALE, EIO, ...), a sandbox refuses the call (EPERM), the kernel was built without it
    (ENOSYS). The last two say nothing about overlayfs, which asks the file system without a system call.
    """
    try:
        name_to_handle_at(path)
    except OSError as error:
        return Answer.NO if error.errno in _NONE_GIVEN else Answer.UNKNOWN
    return Answer.YES


def has_handles(path: StrPath) -> bool:
    """Whether nothing is known against handles of *path*: :func:`openable` with the benefit of the doubt."""
    return openable(path) is not Answer.NO
