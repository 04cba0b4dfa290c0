"""The line in which a filter is typed."""

from __future__ import annotations

from textual.message import Message
from textual.widgets import Input

from ovlctl.tui.binding import bindings
from ovlctl.tui.keys import Where


class FilterLine(Input):
    """Says each change of the text."""

    BINDINGS = bindings(Where.FILTER)

    class Typed(Message):
        """The filter is another one.

        Attributes:
            text: As it is now.
        """

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """Typing is over.

        Attributes:
            keep: Whether the filter stays.
        """

        def __init__(self, *, keep: bool) -> None:
            super().__init__()
            self.keep = keep

    class Moved(Message):
        """The cursor of the tree is to move.

        Attributes:
            lines: So many.
        """

        def __init__(self, lines: int) -> None:
            super().__init__()
            self.lines = lines

    def __init__(self) -> None:
        super().__init__(
            placeholder="a part of a name; size:>1M kind:dir sign:o layer:upper",
            id="filter",
            compact=True,
            select_on_focus=False,
        )

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while typing."""
        event.stop()
        self.post_message(self.Typed(event.value))

    def action_accept(self) -> None:
        """Keep the filter."""
        self.post_message(self.Left(keep=True))

    def action_clear(self) -> None:
        """Drop it."""
        self.post_message(self.Left(keep=False))

    def action_move(self, lines: int) -> None:
        """Move in the tree."""
        self.post_message(self.Moved(lines))
