"""Where a file's data lies on its device, and whether other files share it: the FS_IOC_FIEMAP ioctl."""

from __future__ import annotations

import errno
import fcntl
import struct
from dataclasses import dataclass
from enum import IntFlag

FS_IOC_FIEMAP = 0xC020660B
_FIEMAP_FLAG_SYNC = 1
_HEADER = struct.Struct("=QQLLLL")
_EXTENT = struct.Struct("=QQQQQLLLL")
_BATCH = 256


class FIEMAP_EXTENT(IntFlag):  # noqa: N801 - the kernel's prefix
    """Extent flags, linux/fiemap.h."""

    LAST = 0x1
    UNKNOWN = 0x2
    DELALLOC = 0x4
    ENCODED = 0x8
    DATA_ENCRYPTED = 0x80
    NOT_ALIGNED = 0x100
    DATA_INLINE = 0x200
    DATA_TAIL = 0x400
    UNWRITTEN = 0x800
    MERGED = 0x1000
    SHARED = 0x2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """``struct fiemap_extent``: *length* bytes of the file from *logical* lie at *physical* of the device."""

    logical: int
    physical: int
    length: int
    flags: FIEMAP_EXTENT


def extents(fd: int, *, sync: bool = True) -> tuple[Extent, ...] | None:
    """The extents of an open file in order, or None where its file system cannot tell (tmpfs).

    Args:
        fd: The file, open for reading.
        sync: Write dirty data first, so that nothing is shown as delayed. Without it, data that have no place on the
            device yet are DELALLOC, at no place that means anything; no other file shares those.

    Raises:
        OSError: from the ioctl, but for "not supported".
    """
    found: list[Extent] = []
    start, flags = 0, _FIEMAP_FLAG_SYNC if sync else 0
    while True:
        request = bytearray(_HEADER.size + _BATCH * _EXTENT.size)
        _HEADER.pack_into(request, 0, start, 2**64 - 1 - start, flags, 0, _BATCH, 0)
        try:
            fcntl.ioctl(fd, FS_IOC_FIEMAP, request)
        except OSError as error:
            if error.errno in {errno.EOPNOTSUPP, errno.ENOTTY}:
                return None
            raise
        mapped = _HEADER.unpack_from(request)[3]
        for index in range(mapped):
            logical, physical, length, _, _, bits, *_ = _EXTENT.unpack_from(
                request, _HEADER.size + index * _EXTENT.size
            )
            found.append(Extent(logical=logical, physical=physical, length=length, flags=FIEMAP_EXTENT(bits)))
        if not mapped or found[-1].flags & FIEMAP_EXTENT.LAST:
            return tuple(found)
        start = found[-1].logical + found[-1].length


def shared_bytes(fd: int) -> int | None:
    """Bytes of an open file whose blocks belong to another file too (reflink), or None where nobody can tell."""
    mapped = extents(fd)
    return None if mapped is None else sum(e.length for e in mapped if e.flags & FIEMAP_EXTENT.SHARED)
