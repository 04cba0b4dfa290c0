"""Where a file's data lies on its device, and whether other files share it: the FS_IOC_FIEMAP ioctl."""

from __future__ import annotations

import errno
import fcntl
import struct
from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

FS_IOC_FIEMAP = 0xC020660B
_FIEMAP_FLAG_SYNC = 1
_HEADER = struct.Struct("=QQLLLL")
_EXTENT = struct.Struct("=QQQQQLLLL")
# Most files have few extents.
_FIRST, _BATCH = 16, 256


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


_LAST = int(FIEMAP_EXTENT.LAST)


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
    try:
        return tuple(
            Extent(logical=logical, physical=physical, length=length, flags=FIEMAP_EXTENT(flags))
            for logical, physical, length, flags in mapped(fd, sync=sync)
        )
    except OSError as error:
        if error.errno in {errno.EOPNOTSUPP, errno.ENOTTY}:
            return None
        raise


def mapped(fd: int, *, sync: bool = True) -> Iterator[tuple[int, int, int, int]]:
    """The same as plain numbers, for whoever looks at a million files: logical, physical, length and flags.

    Raises:
        OSError: from the ioctl; EOPNOTSUPP or ENOTTY where the file system cannot tell.
    """
    start, flags, batch = 0, _FIEMAP_FLAG_SYNC if sync else 0, _FIRST
    while True:
        request = bytearray(_HEADER.size + batch * _EXTENT.size)
        _HEADER.pack_into(request, 0, start, 2**64 - 1 - start, flags, 0, batch, 0)
        fcntl.ioctl(fd, FS_IOC_FIEMAP, request)
        count = _HEADER.unpack_from(request)[3]
        last = 0
        for at in range(_HEADER.size, _HEADER.size + count * _EXTENT.size, _EXTENT.size):
            logical, physical, length, _, _, last, *_ = _EXTENT.unpack_from(request, at)
            start = logical + length
            yield logical, physical, length, last
        if not count or last & _LAST:
            return
        batch = _BATCH


def shared_bytes(fd: int) -> int | None:
    """Bytes of an open file whose blocks belong to another file too (reflink), or None where nobody can tell."""
    every = extents(fd)
    return None if every is None else sum(e.length for e in every if e.flags & FIEMAP_EXTENT.SHARED)
