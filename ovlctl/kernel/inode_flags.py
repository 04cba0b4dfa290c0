"""Flags and project of a file: ioctl_iflags(2), ioctl_xfs_fsgetxattr(2)."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from enum import IntFlag
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovlctl.kernel.libc import StrPath


class FS_FL(IntFlag):  # noqa: N801 -- kernel spelling
    """Flags of an inode, linux/fs.h; those of interest to overlays."""

    IMMUTABLE = 0x00000010
    APPEND = 0x00000020
    CASEFOLD = 0x40000000


# _IOR('f', 1, long), although the kernel writes an int.
_FS_IOC_GETFLAGS = 2 << 30 | struct.calcsize("l") << 16 | ord("f") << 8 | 1
# struct fsxattr: xflags, extsize, nextents, projid, cowextsize, padding.
_FSXATTR = struct.Struct("=5I8x")
_FS_IOC_FSGETXATTR = 2 << 30 | _FSXATTR.size << 16 | ord("X") << 8 | 31
_NOT_KEPT = {errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


def flags(path: StrPath) -> FS_FL:
    """The flags of *path*; none where the file system keeps none.

    Raises:
        OSError: It cannot be opened for reading.
    """
    raw = _ioctl(path, _FS_IOC_GETFLAGS, 8)
    return FS_FL(0) if raw is None else FS_FL(struct.unpack_from("=I", raw)[0])


def project(path: StrPath) -> int | None:
    """The project id of *path*, whose quota counts what is written there; None where there are no projects.

    Raises:
        OSError: It cannot be opened for reading.
    """
    raw = _ioctl(path, _FS_IOC_FSGETXATTR, _FSXATTR.size)
    return None if raw is None else int(_FSXATTR.unpack(raw)[3])


def _ioctl(path: StrPath, request: int, size: int) -> bytes | None:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(fd, request, bytes(size))
    except OSError as error:
        if error.errno in _NOT_KEPT:
            return None
        raise
    finally:
        os.close(fd)
