"""Names of layers are hostile: wherever one is shown it is printable and on one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.tui.choice_window import CommandWindow
from tests.tui.scenes import drive, hostile

if TYPE_CHECKING:
    from tests.tui.scenes import Driven


def test_everywhere(scratch: str) -> None:
    """In the tree, in details, in the status line, in windows and among files by size; nothing is taken for markup."""

    async def play(it: Driven) -> None:
        await it.press("E", "home")
        for _ in it.shown():
            await it.press("j")
            _harmless(it)
            await it.press("y")
            assert isinstance(it.top(), CommandWindow)
            _harmless(it)
            await it.press("escape", "x")
            _harmless(it)
            await it.press("escape", "v")
            _harmless(it)
            await it.press("escape")
        await it.press("S", "slash", "s", "enter", "f", "r", "e", "d")
        _harmless(it)
        await it.press("enter")
        assert "\\x1b[31mred" in it.text()

    drive(hostile(scratch), play)


def test_markup_is_text(scratch: str) -> None:
    """What looks like markup stands there as it is; its slashes make paths of it."""

    async def play(it: Driven) -> None:
        await it.press("S")
        for name in ("[bold]markup[/bold]", "[/b]", "<script>alert(1)</script>"):
            assert any(name in line for line in it.lines())

    drive(hostile(scratch), play)


def _harmless(it: Driven) -> None:
    for line in it.lines():
        assert all(char.isprintable() for char in line), line
        assert "\u202e" not in line
