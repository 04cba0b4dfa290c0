"""What can be done with the data of a file, found out without writing."""

from __future__ import annotations

import errno
import fcntl
import struct
from enum import IntFlag

from ovlctl.kernel.bootcache import Answer

# _IOR('X', 126, struct xfs_fsop_geom) of fs/xfs/libxfs/xfs_fs.h; flags stand behind 23 words and its uuid.
_XFS_IOC_FSGEOMETRY = 2 << 30 | 256 << 16 | ord("X") << 8 | 126
_GEOMETRY_FLAGS = struct.Struct("=92xI")
_XFS_REFLINK = 1 << 20
_FS_IOC_GETFLAGS = 2 << 30 | struct.calcsize("l") << 16 | ord("f") << 8 | 1
_FS_IOC_MEASURE_VERITY = 0xC0046686

_ALWAYS = frozenset({"btrfs", "bcachefs"})
_NEVER = frozenset({"ext2", "ext3", "ext4", "tmpfs", "ramfs", "squashfs", "erofs", "iso9660", "vfat", "exfat", "f2fs"})


class _Flag(IntFlag):
    NOCOW = 0x00800000


def can_clone(fd: int, fs_type: str) -> Answer:
    """Whether the data of the open file *fd* can be cloned to another file of its file system (FICLONE).

    xfs is asked for its geometry, the others are known by their type. btrfs clones between files that both have
    checksums or both have none, so that a file with the attribute ``C`` is UNKNOWN.

    Args:
        fd: Of a regular file, open for reading.
        fs_type: Type of its file system, as the mount table has it.
    """
    if fs_type in _NEVER:
        return Answer.NO
    if fs_type == "xfs":
        return _xfs_reflink(fd)
    if fs_type not in _ALWAYS:
        return Answer.UNKNOWN
    return Answer.UNKNOWN if fs_type == "btrfs" and _Flag.NOCOW in _flags(fd) else Answer.YES


def has_digest(fd: int) -> bool:
    """Whether the open file *fd* has an fs-verity digest. ioctl FS_IOC_MEASURE_VERITY, fsverity.rst."""
    try:
        fcntl.ioctl(fd, _FS_IOC_MEASURE_VERITY, bytes(4))
    except OSError as error:
        return error.errno == errno.EOVERFLOW  # no room for it in what was given
    return True


def _xfs_reflink(fd: int) -> Answer:
    try:
        geometry = fcntl.ioctl(fd, _XFS_IOC_FSGEOMETRY, bytes(256))
    except OSError:
        return Answer.UNKNOWN
    (flags,) = _GEOMETRY_FLAGS.unpack_from(geometry)
    return Answer.YES if flags & _XFS_REFLINK else Answer.NO


def _flags(fd: int) -> _Flag:
    try:
        answer = fcntl.ioctl(fd, _FS_IOC_GETFLAGS, bytes(8))
    except OSError:
        return _Flag(0)
    (found,) = struct.unpack_from("=I", answer)
    return _Flag(found & _Flag.NOCOW)
