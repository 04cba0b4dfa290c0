"""Bolt databases written by hand: every bucket is in the value that stands for it, all in one page and its overflow."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Tree: TypeAlias = "Mapping[bytes, bytes | Tree]"
_PAGE = 4096


def database(tree: Tree) -> bytes:
    """A database with *tree* in it."""
    root = _leaf(3, tree)
    pages = -(-len(root) // _PAGE)
    root = root[:12] + struct.pack("<I", pages - 1) + root[16:]
    metas = b"".join(_meta(number, 3 + pages) for number in (0, 1))
    return metas + struct.pack("<QHHI", 2, 0x10, 0, 0).ljust(_PAGE, b"\0") + root.ljust(pages * _PAGE, b"\0")


def _meta(number: int, pages: int) -> bytes:
    body = struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, _PAGE, 0, 3, 0, 2, pages, number)
    checksum = 0xCBF29CE484222325
    for byte in body:
        checksum = (checksum ^ byte) * 0x100000001B3 % (1 << 64)
    return (struct.pack("<QHHI", number, 4, 0, 0) + body + struct.pack("<Q", checksum)).ljust(_PAGE, b"\0")


def _leaf(number: int, tree: Tree) -> bytes:
    elements, data = b"", b""
    at = len(tree) * 16
    for key, value in sorted(tree.items()):
        content = value if isinstance(value, bytes) else struct.pack("<QQ", 0, 0) + _leaf(0, value)
        place = at + len(data) - len(elements)
        elements += struct.pack("<IIII", not isinstance(value, bytes), place, len(key), len(content))
        data += key + content
    return struct.pack("<QHHI", number, 2, len(tree), 0) + elements + data


def varint(number: int) -> bytes:
    """As encoding/binary of Go writes an unsigned one."""
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])
