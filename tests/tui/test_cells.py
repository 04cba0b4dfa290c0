"""Text fits into its cells, whatever its characters take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovlctl.show.names import show_name
from ovlctl.tui.cells import cell_len, cut, cut_middle, folded, padded, tail

SHOWN = st.text(max_size=60).map(lambda text: show_name(text.replace("\ud800", "")))


@given(text=SHOWN, width=st.integers(0, 40))
def test_what_is_cut_fits(text: str, width: int) -> None:
    """Law: at most so many cells; what fits is untouched, what does not is cut with a sign."""
    for made in (cut(text, width, "\u2026"), cut_middle(text, width, "\u2026"), tail(text, width, "\u2026")):
        assert cell_len(made) <= width
        assert (made == text) == (cell_len(text) <= width)
    assert cell_len(padded(text, width)) == max(width, cell_len(text))


@given(text=SHOWN, width=st.integers(4, 40))
def test_what_is_folded_fits(text: str, width: int) -> None:
    """Law: every line fits, and nothing but blanks is lost."""
    lines = folded(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("lib.so", 6, "lib.so"),
        ("application.conf", 9, "appl\u2026conf"),
        ("\u65e5\u672c\u8a9e\u306e\u540d\u524d", 7, "\u65e5\u672c\u2026\u524d"),
        ("abc", 1, "\u2026"),
        ("abc", 0, ""),
    ],
)
def test_names_are_cut_in_the_middle(text: str, width: int, shown: str) -> None:
    """Beginning and end of a name are kept; a wide character is never cut in two."""
    assert cut_middle(text, width, "\u2026") == shown


def test_paths_keep_their_end() -> None:
    """Of a path the last names are kept, from a slash on."""
    assert tail("/var/lib/docker/overlay2/l/ABC", 14, "\u2026") == "\u2026/l/ABC"
    layer = f"/var/lib/docker/overlay2/{'0123456789abcdef' * 4}-init/diff"
    assert tail(layer, 24, "\u2026") == "\u2026/01234567\u2026def-init/diff"
    assert tail(layer, 12, "\u2026") == "\u2026/diff"
    assert folded("  -rw-r--r-- 0:0, 20 B, 2026-11-28 23:36:36", 30) == [
        "  -rw-r--r-- 0:0, 20 B,",
        "    2026-11-28 23:36:36",
    ]
