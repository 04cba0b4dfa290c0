"""What of a file is in the page cache, and getting it out: cachestat(2), mincore(2), posix_fadvise(2), syncfs(2)."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os

from ovlctl.errors import KernelLacks
from ovlctl.kernel.libc import check, function, syscall

PAGE_SIZE = mmap.PAGESIZE
_CACHESTAT = 451


class CachestatRange(ctypes.Structure):
    """``struct cachestat_range``, linux/mman.h: a length of 0 means to the end."""

    _fields_ = (("off", ctypes.c_uint64), ("len", ctypes.c_uint64))


class Cachestat(ctypes.Structure):
    """``struct cachestat``, linux/mman.h: numbers of pages."""

    _fields_ = (
        ("nr_cache", ctypes.c_uint64),
        ("nr_dirty", ctypes.c_uint64),
        ("nr_writeback", ctypes.c_uint64),
        ("nr_evicted", ctypes.c_uint64),
        ("nr_recently_evicted", ctypes.c_uint64),
    )


_cachestat = syscall(
    _CACHESTAT, ctypes.c_uint, ctypes.POINTER(CachestatRange), ctypes.POINTER(Cachestat), ctypes.c_uint
)
_mincore = function("mincore", ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)
_syncfs = function("syncfs", ctypes.c_int, ctypes.c_int)


def syncfs(fd: int) -> None:
    """Write out everything dirty on the file system that *fd* is on, and wait for it.

    syncfs(2).

    Raises:
        OSError: EIO or ENOSPC for a write that failed since the last call.
    """
    check(_syncfs(fd), fd)


def drop(fd: int) -> None:
    """Ask the kernel to forget the clean pages of an open file; dirty ones stay. posix_fadvise(2), DONTNEED."""
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def cached_share(fd: int) -> float | None:
    """Share of the pages of an open file that are in the page cache, from 0.0 to 1.0.

    By cachestat(2) since Linux 6.5 (commit cf264e1329fb), before by mincore(2). An empty file has None.

    Raises:
        OSError: EOPNOTSUPP for hugetlbfs; EPERM for mincore(2) on a file of somebody else's.
    """
    size = os.fstat(fd).st_size
    if size == 0:
        return None
    pages = -(-size // PAGE_SIZE)
    try:
        found = Cachestat()
        check(_cachestat(fd, ctypes.byref(CachestatRange(0, 0)), ctypes.byref(found), 0), fd, call="cachestat")
        return min(1.0, float(found.nr_cache) / pages)
    except KernelLacks:
        return share_by_mincore(fd)
    except OSError as error:
        if error.errno != errno.EPERM:  # a seccomp filter that knows no such call says EPERM
            raise
        return share_by_mincore(fd)


def share_by_mincore(fd: int) -> float:
    """:func:`cached_share` of a file that is not empty, asked the older way.

    mincore(2).

    Raises:
        OSError: EPERM on a file of somebody else's that may not be written.
    """
    size = os.fstat(fd).st_size
    pages = -(-size // PAGE_SIZE)
    vector = ctypes.create_string_buffer(pages)
    # A private writable mapping, because ctypes only gives the address of writable memory; nothing is written.
    with mmap.mmap(fd, size, access=mmap.ACCESS_COPY) as mapped:
        start = ctypes.c_char.from_buffer(mapped)
        try:
            check(_mincore(ctypes.addressof(start), size, vector), fd)
        finally:
            del start
    return sum(byte & 1 for byte in vector.raw) / pages
