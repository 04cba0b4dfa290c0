"""Any size of the terminal, changed while it runs, gives a whole screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.tui.scenes import article, drive

if TYPE_CHECKING:
    from tests.tui.scenes import Driven

SIZES = ((80, 24), (160, 50), (40, 12), (200, 20), (110, 24), (109, 60), (20, 6), (80, 24))


def test_sizes(scratch: str) -> None:
    """The cursor stays where it was and is seen, no line is longer than the screen, from 20 to 200 columns."""

    async def play(it: Driven) -> None:
        await it.press("E", "n")
        for width, height in SIZES:
            await it.resize(width, height)
            lines = it.lines()
            assert len(lines) == height
            assert all(len(line) <= width for line in lines)
            assert it.session.path == "usr/lib/old.so"
            if height >= 12:
                assert any(line.startswith(" o ") for line in lines), (width, height)

    drive(article(scratch), play)


def test_zoomed(scratch: str) -> None:
    """A pane that has the whole screen keeps it when the screen changes."""

    async def play(it: Driven) -> None:
        await it.press("z")
        for width, height in SIZES:
            await it.resize(width, height)
            assert it.app.main.tree_view.size.height == height - 3

    drive(article(scratch), play)
