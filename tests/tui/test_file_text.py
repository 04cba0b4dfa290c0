"""The content of files as lines: printable, whatever is in there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ovlctl.tui.file_text import HexLines, TextLines, is_text


@given(content=st.binary(max_size=300))
def test_everything_is_printable(content: bytes) -> None:
    """Law: each line is printable; all bytes are in the lines of the hexadecimal form."""
    for lines in (TextLines(content), HexLines(content)):
        assert all(lines[at].isprintable() for at in range(len(lines)))
    lines = HexLines(content)
    assert bytes.fromhex("".join(lines[at][10:58] for at in range(len(lines)))) == content


def test_text() -> None:
    """Tabs are blanks, control characters are seen, long lines go on below."""
    lines = TextLines(b"a\tb\r\n\x1b[31mred\xff\n" + b"x" * 5000)
    assert [lines[at] for at in range(2)] == ["a       b", "\\x1b[31mred\\xff"]
    assert [len(lines[at]) for at in (2, 3)] == [4096, 904]


def test_what_is_text() -> None:
    """Text is UTF-8 without zero bytes; a character that is cut by the end of what is looked at does no harm."""
    assert is_text(b"")
    assert is_text("w\u00f6rter\n".encode())
    assert is_text(b"x" * 8191 + "\u00f6".encode())
    assert not is_text(b"\x7fELF\0")
    assert not is_text(b"\xff\xfe")
