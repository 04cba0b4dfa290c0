"""The window in which a file is viewed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ovlctl.show.sizes import format_size
from ovlctl.tui.binding import bindings
from ovlctl.tui.file_text import is_text, lines_of
from ovlctl.tui.keys import Where
from ovlctl.tui.lines_view import LinesView, words
from ovlctl.tui.palette import Role
from ovlctl.tui.window import Window

if TYPE_CHECKING:
    from textual.widget import Widget

    from ovlctl.tui.look import Look
    from ovlctl.tui.tree_lines import Line

#: MiB that are read of a file at the most.
MOST: Final = 8


class FileView(LinesView):
    """The lines of a file, which may be wider than the window."""

    def __init__(self, look: Look, content: bytes, rest: int) -> None:
        super().__init__(look, "file")
        self._content = content
        self._rest = rest
        self.as_bytes = not is_text(content)
        self._lines = lines_of(content, as_bytes=self.as_bytes)

    @property
    def count(self) -> int:
        """The lines, and one that says what is not shown."""
        return len(self._lines) + 1

    def line(self, at: int, width: int) -> Line:
        """A line, from the column that was scrolled to."""
        if at == len(self._lines):
            return words(self._last(), Role.DIM)
        start = self.scroll_offset.x
        return words(" " + self._lines[at][start : start + width])

    def changed(self) -> None:
        """The lines are others now."""
        self.resized(self._lines.width + 1)
        self.refresh()

    def turn(self) -> None:
        """From text to bytes and back."""
        self.as_bytes = not self.as_bytes
        self._lines = lines_of(self._content, as_bytes=self.as_bytes)
        self.scroll_to(0, 0, animate=False)
        self.changed()

    def _last(self) -> str:
        if self._rest:
            return f" -- the first {format_size(len(self._content))}; {format_size(self._rest)} more are not shown --"
        return " -- end --" if self._content else " -- the file is empty --"


class FileWindow(Window[None]):
    """A file, as text or as bytes."""

    BINDINGS = bindings(Where.FILE)

    def __init__(self, look: Look, title: str, content: bytes, rest: int) -> None:
        super().__init__(look, title, "h text or bytes   arrows, PgUp, PgDn, Home, End scroll   Esc closes")
        self._view = FileView(look, content, rest)

    def body(self) -> tuple[Widget, ...]:
        """The file."""
        return (self._view,)

    def on_mount(self) -> None:
        """It can be scrolled at once."""
        self._view.focus()

    def action_hex(self) -> None:
        """Text or bytes."""
        self._view.turn()

    def action_across(self, cells: int) -> None:
        """Scroll to the side."""
        self._view.scroll_to(x=self._view.scroll_offset.x + cells, animate=False)
