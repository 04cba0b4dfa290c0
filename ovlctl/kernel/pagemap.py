"""Whose pages a mapping shows: page frames compared through /proc/PID/pagemap.

Two mappings that show one frame show one file's page cache. The kernel tells frame numbers to CAP_SYS_ADMIN in the
initial user namespace only; everybody else reads zeros. Source: Documentation/admin-guide/mm/pagemap.rst.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from contextlib import suppress

from ovlctl.kernel.bootcache import Answer

_PAGE = mmap.PAGESIZE
_ENTRY = struct.Struct("=Q")
_FRAME = (1 << 55) - 1
_OF_FILE = 1 << 61
_PRESENT = 1 << 63
#: How many pages of a mapping are looked through for one that is there.
_MOST_PAGES = 1 << 14


def shows(pid: int, mapped: tuple[int, int, int], fd: int) -> Answer:
    """Whether a mapping shows the pages of the open file *fd*; UNKNOWN when no page of it is there, or nobody tells.

    The page that is compared is read into this process, too.

    Args:
        pid: The process.
        mapped: First and last address of the mapping, and the offset of its first byte in the file.
        fd: A regular file, open for reading.

    Raises:
        OSError: The file cannot be mapped.
    """
    found = _frame_of(pid, mapped)
    if found is None:
        return Answer.UNKNOWN
    frame, offset = found
    length = min(_PAGE, os.fstat(fd).st_size - offset)
    if length <= 0:
        return Answer.NO
    # A private writable mapping, because ctypes only gives the address of writable memory; nothing is written.
    with mmap.mmap(fd, length, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE, offset=offset) as own:
        _ = own[0]  # now it is there
        start = ctypes.c_char.from_buffer(own)
        try:
            entry = _entries(os.getpid(), ctypes.addressof(start), 1)
        finally:
            del start
    if not entry or not entry[0] & _PRESENT or not entry[0] & _FRAME:
        return Answer.UNKNOWN
    return Answer.YES if entry[0] & _FRAME == frame else Answer.NO


def _frame_of(pid: int, mapped: tuple[int, int, int]) -> tuple[int, int] | None:
    # The frame of the first page of the mapping that is in memory and of a file, and its offset in the file.
    start, end, offset = mapped
    for at, entry in enumerate(_entries(pid, start, min((end - start) // _PAGE, _MOST_PAGES))):
        if entry & _PRESENT and entry & _OF_FILE and entry & _FRAME:
            return entry & _FRAME, offset + at * _PAGE
    return None


def _entries(pid: int, address: int, pages: int) -> tuple[int, ...]:
    with suppress(OSError), open(f"/proc/{pid}/pagemap", "rb", buffering=0) as file:
        raw = os.pread(file.fileno(), pages * _ENTRY.size, address // _PAGE * _ENTRY.size)
        return tuple(entry for (entry,) in _ENTRY.iter_unpack(raw[: len(raw) // _ENTRY.size * _ENTRY.size]))
    return ()
