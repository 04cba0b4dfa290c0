"""The window that asks where something is to be copied to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import Input

from ovlctl.tui.lines_view import TextView, words
from ovlctl.tui.palette import Role
from ovlctl.tui.window import Window

if TYPE_CHECKING:
    from textual.widget import Widget

    from ovlctl.tui.look import Look


class PlaceWindow(Window[str]):
    """Gives what was typed.

    Args:
        look: Of everything.
        title: What is copied; names have passed ``show_name``.
        suggestion: What stands there first.
    """

    def __init__(self, look: Look, title: str, suggestion: str) -> None:
        super().__init__(look, title, "Enter copies   Esc closes")
        self._input = Input(suggestion, id="place", compact=True)
        self._note = TextView(look, "note")
        self._note.can_focus = False

    def body(self) -> tuple[Widget, ...]:
        """The place, and what it means."""
        return self._input, self._note

    def on_mount(self) -> None:
        """Typing begins at once."""
        self.query_one("#window").add_class("small")
        self._note.show(
            [
                words(" A directory that exists, or a name that does not: nothing is replaced.", Role.DIM),
                words(" Mode, times, owner and attributes are kept as `ovlctl cp` keeps them.", Role.DIM),
            ]
        )
        self._input.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """That is the place."""
        event.stop()
        if event.value.strip():
            self.dismiss(event.value)
