"""What a program can do to a file that Python has no function for."""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from enum import IntEnum

from ovlctl.kernel.libc import AT_FDCWD, check, encode, function

_renameat2 = function(
    "renameat2", ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint
)


class Rename(IntEnum):
    """Flags of renameat2(2)."""

    PLAIN = 0
    NOREPLACE = 1
    EXCHANGE = 2


def rename(old: str, new: str, how: Rename) -> None:
    """renameat2(2)."""
    check(_renameat2(AT_FDCWD, encode(old), AT_FDCWD, encode(new), how), old, new)


def acl(mask: int) -> bytes:
    """A list with an entry for user 1000, as its attribute holds it: posix_acl_xattr.h."""
    nobody = 0xFFFFFFFF
    entries = ((0x01, 6, nobody), (0x02, 5, 1000), (0x04, 4, nobody), (0x10, mask, nobody), (0x20, 0, nobody))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def write_through_a_map(path: str, content: bytes) -> None:
    """Change the first bytes of *path* through a shared mapping."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        length = min(len(content), os.fstat(descriptor).st_size)
        if length:
            with mmap.mmap(descriptor, length) as mapped:
                mapped[:length] = content[:length]
    finally:
        os.close(descriptor)


def link_a_nameless_file(directory: str, path: str, content: bytes) -> None:
    """Make a file without a name (O_TMPFILE), fill it, and give it one."""
    descriptor = os.open(directory, os.O_TMPFILE | os.O_RDWR, 0o640)
    try:
        os.write(descriptor, content)
        # Python follows the link only when it is given a directory, which an absolute path has no use for.
        os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)
    finally:
        os.close(descriptor)
