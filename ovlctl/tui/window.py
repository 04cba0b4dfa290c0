"""Windows over the main screen: a caption, and what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from textual.containers import Vertical
from textual.screen import ModalScreen

from ovlctl.tui.bars import Bar, Caption
from ovlctl.tui.binding import bindings
from ovlctl.tui.keys import Where
from ovlctl.tui.lines_view import TextView
from ovlctl.tui.palette import Role

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.widget import Widget

    from ovlctl.tui.look import Look
    from ovlctl.tui.tree_lines import Line

_T = TypeVar("_T")


class Window(ModalScreen[_T], inherit_bindings=False):
    """A window that gives a *T* when it is closed, or None.

    Args:
        look: Of everything.
        title: For its caption; names have passed ``show_name``.
        keys: A word on its keys, for the line at its bottom.
    """

    BINDINGS = bindings(Where.WINDOW)

    def __init__(self, look: Look, title: str, keys: str) -> None:
        super().__init__()
        self.look = look
        self._title = title
        self._keys = keys

    def compose(self) -> ComposeResult:
        """Caption, body, keys."""
        caption = Caption(self.look, self._caption)
        caption.here = True
        with Vertical(id="window", classes="window"):
            yield caption
            yield from self.body()
            yield Bar(self.look, lambda _: (((f" {self._keys}", Role.BAR_DIM),), ()))

    def body(self) -> tuple[Widget, ...]:
        """What is in it."""
        raise NotImplementedError

    def action_close(self) -> None:
        """Close it without an answer."""
        self.dismiss(None)

    def _caption(self, _width: int) -> tuple[Line, Line]:
        return ((f" {self._title}", Role.CAPTION_HERE),), ()


class TextWindow(Window[None]):
    """A window with lines to read."""

    def __init__(self, look: Look, title: str, lines: list[Line]) -> None:
        super().__init__(look, title, "Esc closes   arrows, PgUp, PgDn, Home, End scroll")
        self._text = TextView(look, "window-text")
        self._text.lines = lines

    def body(self) -> tuple[Widget, ...]:
        """The lines."""
        return (self._text,)

    def on_mount(self) -> None:
        """They can be scrolled at once."""
        self._text.focus()
