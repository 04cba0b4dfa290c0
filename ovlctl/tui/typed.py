r"""What people type for an action: paths, with the escapes that names are shown with, and modes."""

from __future__ import annotations

import os
from typing import Final

from ovlctl.errors import BadUsage, literal
from ovlctl.ops.reading.paths import plain
from ovlctl.show.names import show_text

_LONGEST_NAME: Final = 255
_LONGEST_PATH: Final = 4095
_ALL_BITS: Final = 0o7777
_HEX: Final = frozenset("0123456789abcdefABCDEF")


def read_name(text: str) -> str:
    r"""The name that is shown as *text*: ``\\`` is a backslash, ``\xHH`` a byte.

    Law: ``read_name(show_name(name)) == name``.

    Raises:
        BadUsage: There is another escape, or a byte that no name holds.
    """
    raw, at = bytearray(), 0
    while at < len(text):
        if text[at] != "\\":
            raw += os.fsencode(text[at])
            at += 1
        elif text[at + 1 : at + 2] == "\\":
            raw += b"\\"
            at += 2
        elif text[at + 1 : at + 2] == "x" and len(code := text[at + 2 : at + 4]) == 2 and _HEX.issuperset(code):  # noqa: PLR2004 -- a byte
            raw.append(int(code, 16))
            at += 4
        else:
            raise BadUsage("after a backslash comes another one, or x and two hexadecimal digits")
    if 0 in raw:
        raise BadUsage("no name holds a null byte")
    return os.fsdecode(bytes(raw))


def read_path(text: str) -> str:
    """A path from the root of the merged view, as typed.

    Raises:
        BadUsage: It is none, names the root, or is longer than the kernel takes.
    """
    path = read_name(text)
    if path.endswith("/") or not path:
        raise BadUsage("the last name of the path is missing")
    path = plain(path)
    if not path:
        raise BadUsage("that is the root of the merged view")
    if any(len(os.fsencode(name)) > _LONGEST_NAME for name in path.split("/")):
        raise BadUsage(f"a name has {_LONGEST_NAME} bytes at the most")
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise BadUsage(f"a path has {_LONGEST_PATH} bytes at the most")
    return path


def read_mode(text: str) -> int:
    """Permission bits, as typed in octal digits.

    Raises:
        BadUsage: It is something else.
    """
    digits = text.strip()
    if not digits.isascii() or not digits.isdigit() or not set(digits) <= set("01234567") or int(digits, 8) > _ALL_BITS:
        raise BadUsage(f"`{literal(show_text(digits))}` is no mode: octal digits, such as 600 or 4755")
    return int(digits, 8)
