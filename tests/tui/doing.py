"""Actions in a driven explorer: from the key to the last picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import Input

from ovlctl.tui.action_windows import ActionWindow, PreviewWindow, TypedWindow
from ovlctl.tui.keys import Where, keys_of
from ovlctl.tui.lines_view import TextView
from ovlctl.tui.move_window import MoveWindow

if TYPE_CHECKING:
    from tests.tui.scenes import Driven

#: The key of each action.
LETTERS = {key.action[5:-2]: key.keys for key in keys_of(Where.ACTIONS) if key.action.startswith("act(")}


async def window(it: Driven, kind: type[object]) -> None:
    """Wait until a window of a kind is over everything."""
    await it.until(lambda: isinstance(it.top(), kind))
    await it.drawn()


async def chosen(it: Driven, letter: str) -> None:
    """Choose an action by its letter."""
    await it.pilot.press("a")
    await window(it, ActionWindow)
    await it.pilot.press(letter)


async def do(it: Driven, letter: str, typed: str | None = None) -> str:
    """One action to its end; what its last picture says."""
    await chosen(it, letter)
    if typed is not None:
        await window(it, TypedWindow)
        await it.pilot.pause()
        it.app.screen.query_one("#typed", Input).value = typed
        await it.pilot.press("enter")
    await window(it, PreviewWindow)
    await it.pilot.press("enter")
    await window(it, MoveWindow)
    await it.until(lambda: bool(it.app.screen.query_one("#lanes", TextView).lines))
    await it.drawn()
    drawn = it.text()
    await it.pilot.press("enter")
    await it.settle()
    return drawn


async def go(it: Driven, path: str) -> None:
    """Put the cursor on a path."""
    row = it.session.page.atlas.find(path)
    assert row is not None, path
    it.session.page.reveal(row)
    it.app.main.tree_view.jumped()
    await it.settle()


def upper(it: Driven) -> str:
    """Where the scratch upper is."""
    return it.app.main.acting.ground.layers[0].directory


def line(it: Driven, name: str) -> str:
    """The line of the tree with a name."""
    return next(told for told in it.lines()[5:] if f" {name}" in told)
