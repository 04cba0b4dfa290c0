"""Copying the content of a file: shared blocks where that can be, else its data without its holes.

ioctl_ficlone(2), lseek(2) with SEEK_DATA.
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

FICLONE = 0x40049409  # linux/fs.h
_LARGEST = (1 << 63) - 1  # of loff_t
_PIECE = 1 << 20
# Another file system, one that shares no blocks, a file that may not share (NOCOW, swap), a kernel that hides the call.
_NO_CLONE = {
    errno.EXDEV,
    errno.EOPNOTSUPP,
    errno.ENOTTY,
    errno.EINVAL,
    errno.EBADF,
    errno.EPERM,
    errno.EACCES,
    errno.ETXTBSY,
    errno.ENOSYS,
}


class SourceError(OSError):
    """Reading failed; every other OSError of :func:`copy_content` is one of writing."""


def copy_content(source: int, target: int) -> bool:
    """Give the empty file *target* the content of *source*, with its holes.

    Args:
        source: A descriptor of a regular file, open for reading.
        target: One open for writing.

    Returns:
        Whether both share their blocks now.

    Raises:
        SourceError: The source cannot be read.
        OSError: The target cannot be written.
    """
    if clone_content(source, target):
        return True
    size = os.fstat(source).st_size
    at = 0
    while (begin := _next_data(source, at)) is not None:
        at = _seek(source, begin, os.SEEK_HOLE) or size
        _copy_range(source, target, begin, at)
    os.ftruncate(target, max(at, size))
    # What grew meanwhile, and files whose size says nothing, such as those of /proc.
    _copy_range(source, target, max(at, size), None)
    return False


def clone_content(source: int, target: int) -> bool:
    """Let the empty file *target* share the blocks of *source*; False, and nothing is done, where that cannot be.

    Args:
        source: A descriptor of a regular file, open for reading.
        target: One open for writing.

    Raises:
        OSError: The target cannot be written.
    """
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno not in _NO_CLONE:
            raise
        return False
    return True


def copy_stream(source: BinaryIO, target: int) -> None:
    """Give the empty file *target* what can be read from *source*, which has no descriptor; zeros become holes.

    Raises:
        SourceError: The source cannot be read.
        OSError: The target cannot be written.
    """
    at = 0
    while True:
        try:
            piece = source.read(_PIECE)
        except OSError as error:
            raise SourceError(*error.args) from error
        if not piece:
            break
        if piece.count(0) < len(piece):
            _write(target, piece, at)
        at += len(piece)
    os.ftruncate(target, at)


def _next_data(source: int, at: int) -> int | None:
    """Where the first byte at or after *at* is that is in no hole: None when there is none before the end.

    Law: what is passed over reads as zeroes. Of a file system that knows no holes all is data.

    Raises:
        SourceError: The file cannot be read.
    """
    return _seek(source, at, os.SEEK_DATA)


def _seek(source: int, at: int, whence: int) -> int | None:
    try:
        return os.lseek(source, at, whence)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        if error.errno == errno.EINVAL and whence == os.SEEK_DATA:
            # A file system that knows no holes; then all is data.
            return at if at < os.fstat(source).st_size else None
        if error.errno == errno.EINVAL:
            return None
        raise SourceError(*error.args) from error


def _copy_range(source: int, target: int, begin: int, end: int | None) -> None:
    while end is None or begin < end:
        try:
            # To read beyond the largest offset is EINVAL, not the end.
            piece = os.pread(source, min(_PIECE, (_LARGEST if end is None else end) - begin), begin)
        except OSError as error:
            raise SourceError(*error.args) from error
        if not piece:
            return
        _write(target, piece, begin)
        begin += len(piece)


def _write(target: int, piece: bytes, at: int) -> None:
    rest = memoryview(piece)
    while rest:
        written = os.pwrite(target, rest, at)
        at += written
        rest = rest[written:]
