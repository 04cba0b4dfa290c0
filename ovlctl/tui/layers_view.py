"""The stack of layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

from ovlctl.tui.binding import bindings
from ovlctl.tui.keys import Where
from ovlctl.tui.layer_lines import LayerLines
from ovlctl.tui.lines_view import ChoiceView

if TYPE_CHECKING:
    from ovlctl.tui.look import Look
    from ovlctl.tui.session import Session
    from ovlctl.tui.tree_lines import Line


class LayersView(ChoiceView):
    """The merged view, and every layer below it."""

    BINDINGS = bindings(Where.LAYERS)

    class Chosen(Message):
        """Another tree is wanted.

        Attributes:
            number: Of the layer; None for the merged view.
        """

        def __init__(self, number: int | None) -> None:
            super().__init__()
            self.number = number

    def __init__(self, look: Look, session: Session) -> None:
        super().__init__(look, "layers")
        self.lines = LayerLines(session, look.glyphs)
        self._session = session
        self._cursor = 0

    def stood(self) -> None:
        """The layers are others now."""
        self.lines = LayerLines(self._session, self.look.glyphs)
        self.go(self._cursor)
        self.changed()

    @property
    def count(self) -> int:
        """How many lines there are."""
        return len(self.lines)

    def line(self, at: int, width: int) -> Line:
        """What a line says."""
        return self.lines.line(at, width)

    @property
    def cursor(self) -> int:
        """The line that it is on."""
        return self._cursor

    def go(self, line: int) -> None:
        """Put it on a line."""
        self._cursor = max(0, min(line, self.count - 1))

    def turn(self, lines: int) -> None:
        """Go up or down, and show what is there."""
        self.action_move(lines)
        self.chosen()

    def chosen(self) -> None:
        """Show the tree of the layer under the cursor."""
        self.post_message(self.Chosen(self._cursor - 1 if self._cursor else None))

    def action_choose(self) -> None:
        """Show it."""
        self.chosen()
