"""What can be done with the data of a file, found out without writing."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from enum import IntFlag
from functools import cache

from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.copying import FICLONE
from ovlctl.kernel.fscontext import OPEN_TREE, open_tree
from ovlctl.kernel.libc import AT_FDCWD

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
    """Whether copy-up can clone the data of the open file *fd* to another layer on its file system.

    xfs is asked for its geometry, the others are known by their type. btrfs clones between files that both have
    checksums or both have none, so that a file with the attribute ``C`` is UNKNOWN; see also :func:`across_mounts`.

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
    if fs_type == "btrfs" and across_mounts() is Answer.NO:
        return Answer.NO
    return Answer.UNKNOWN if fs_type == "btrfs" and _Flag.NOCOW in _flags(fd) else Answer.YES


@cache
def across_mounts() -> Answer:
    """Whether this kernel clones between two mounts of one file system; UNKNOWN to who may not mount.

    An overlay has a mount of its own for each layer. Since Linux 5.18 (9f5710bbfd30) nobody minds; before, the kernel
    itself let overlayfs pass, xfs looks no further, and btrfs refuses, so that copy-up copies.
    """
    try:
        other = open_tree(AT_FDCWD, "/", OPEN_TREE.CLONE)
    except OSError:
        return Answer.UNKNOWN
    here = there = -1
    try:
        here = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        there = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=other)
        # Refused anyway, as these are directories; but the mounts are looked at first.
        fcntl.ioctl(here, FICLONE, there)
    except OSError as error:
        return Answer.NO if error.errno == errno.EXDEV else Answer.YES
    finally:
        for each in (other, here, there):
            if each >= 0:
                os.close(each)
    return Answer.YES


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
