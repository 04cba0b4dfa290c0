"""The content of a file as lines: text, or bytes in hexadecimal. Every line is printable."""

from __future__ import annotations

from typing import Final

from ovlctl.show.names import show_text

_BYTES: Final = 16
# What a first look goes by.
_LOOK: Final = 8192
_TAB: Final = 8
# Longer lines go on below.
_LONGEST: Final = 4096


def is_text(content: bytes) -> bool:
    """Whether it is rather to be read than to be looked at."""
    start = content[:_LOOK]
    if b"\0" in start:
        return False
    try:
        start.decode()
    except UnicodeDecodeError as error:
        # A character may be cut by the end of what is looked at.
        return error.start > len(start) - 4 > 0
    return True


class TextLines:
    r"""Lines of text, each made when it is asked for; what is not printable is shown as ``\xHH``."""

    def __init__(self, content: bytes) -> None:
        self._lines = [
            line[at : at + _LONGEST]
            for line in content.removesuffix(b"\n").split(b"\n")
            for at in range(0, len(line) or 1, _LONGEST)
        ]
        #: Cells of the longest; some more where it is not ASCII.
        self.width = max(map(_width, self._lines))

    def __len__(self) -> int:
        """How many there are."""
        return len(self._lines)

    def __getitem__(self, at: int) -> str:
        """One line."""
        return show_text(self._lines[at].removesuffix(b"\r").decode("utf-8", "surrogateescape").expandtabs(_TAB))


class HexLines:
    """Sixteen bytes a line: where, what, and as ASCII."""

    width = 8 + 2 + 3 * _BYTES + 2 + _BYTES + 1

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __len__(self) -> int:
        """How many there are."""
        return (len(self._content) + _BYTES - 1) // _BYTES

    def __getitem__(self, at: int) -> str:
        """One line."""
        part = self._content[at * _BYTES : (at + 1) * _BYTES]
        half = _BYTES // 2
        left, right = part[:half].hex(" "), part[half:].hex(" ")
        letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)  # noqa: PLR2004 -- printable ASCII
        return f"{at * _BYTES:08x}  {left:<{3 * half}} {right:<{3 * half}} {letters}"


def lines_of(content: bytes, *, as_bytes: bool) -> TextLines | HexLines:
    """*content* in one of both forms."""
    return HexLines(content) if as_bytes else TextLines(content)


def _width(line: bytes) -> int:
    tabs = line.count(b"\t")
    return len(line) + tabs * _TAB if line.isascii() and b"\x1b" not in line else 4 * len(line) + tabs * _TAB
