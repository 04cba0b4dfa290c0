"""Whether files of a file system can share blocks with each other (reflink), and who tells."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from dataclasses import dataclass
from enum import StrEnum

from ovlctl.kernel.libc import check, function

_EXT_SUPER_MAGIC = 0xEF53
_TMPFS_MAGIC = 0x01021994
_RAMFS_MAGIC = 0x858458F6
_MSDOS_SUPER_MAGIC = 0x4D44
_EXFAT_SUPER_MAGIC = 0x2011BAB0
_XFS_SUPER_MAGIC = 0x58465342
_BTRFS_SUPER_MAGIC = 0x9123683E
_NEVER = {_EXT_SUPER_MAGIC, _TMPFS_MAGIC, _RAMFS_MAGIC, _MSDOS_SUPER_MAGIC, _EXFAT_SUPER_MAGIC}

# struct xfs_fsop_geom of 256 bytes, in xfs_fs.h of xfsprogs; its flags stand after 92.
_XFS_IOC_FSGEOMETRY = 0x8100587E
_XFS_FLAGS = struct.Struct("=92xI")
_XFS_FSOP_GEOM_FLAGS_REFLINK = 1 << 20
# struct btrfs_ioctl_fs_info_args of 1024 bytes, linux/btrfs.h; the fsid stands after 16.
_BTRFS_IOC_FS_INFO = 0x8400941F
_BTRFS_FSID = struct.Struct("=16x16s")

_fstatfs = function("fstatfs", ctypes.c_int, ctypes.c_int, ctypes.c_void_p)


class Telling(StrEnum):
    """Who tells whether a file shares blocks: ``NOBODY`` has to, for it cannot; ``EXTENTS`` do; it is ``UNKNOWN``."""

    NOBODY = "nobody"
    EXTENTS = "extents"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Sharing:
    """What is so of one file system.

    Attributes:
        telling: Who tells.
        space: What the physical places of extents count from: equal for files that can share. Subvolumes of one btrfs
            have device numbers of their own, and share.
    """

    telling: Telling
    space: bytes


def sharing(fd: int) -> Sharing:
    """What is so of the file system that the open file *fd* is on.

    Few are known: ext2 to 4, tmpfs, ramfs, vfat and exfat share nothing, xfs and btrfs tell by FS_IOC_FIEMAP. All
    others are unknown, overlayfs among them.

    Raises:
        OSError: fstatfs(2) or an ioctl of the file system fails.
    """
    buffer = (ctypes.c_long * 32)()
    check(_fstatfs(fd, buffer))
    magic = int(buffer[0]) & 0xFFFFFFFF
    if magic in _NEVER:
        return Sharing(Telling.NOBODY, b"")
    if magic == _XFS_SUPER_MAGIC:
        (flags,) = _XFS_FLAGS.unpack_from(_answer(fd, _XFS_IOC_FSGEOMETRY, 256))
        telling = Telling.EXTENTS if flags & _XFS_FSOP_GEOM_FLAGS_REFLINK else Telling.NOBODY
        return Sharing(telling, os.fstat(fd).st_dev.to_bytes(8))
    if magic == _BTRFS_SUPER_MAGIC:
        (fsid,) = _BTRFS_FSID.unpack_from(_answer(fd, _BTRFS_IOC_FS_INFO, 1024))
        return Sharing(Telling.EXTENTS, fsid)
    return Sharing(Telling.UNKNOWN, b"")


def _answer(fd: int, request: int, size: int) -> bytearray:
    answer = bytearray(size)
    fcntl.ioctl(fd, request, answer)
    return answer
