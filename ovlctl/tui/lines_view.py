"""A pane of lines: only those that are on the screen are made."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.widget import Widget

from ovlctl.tui.binding import bindings
from ovlctl.tui.keys import Where
from ovlctl.tui.palette import Ground, Role

if TYPE_CHECKING:
    from textual import events
    from textual.strip import Strip

    from ovlctl.tui.look import Look
    from ovlctl.tui.tree_lines import Line


class LinesView(ScrollView, can_focus=True, inherit_bindings=False):
    """Lines that can be scrolled.

    Args:
        look: Of everything.
        name: Its id.
    """

    BINDINGS = bindings(Where.PANE)

    def __init__(self, look: Look, name: str) -> None:
        super().__init__(id=name)
        self.look = look

    @property
    @abstractmethod
    def count(self) -> int:
        """How many lines there are."""

    @abstractmethod
    def line(self, at: int, width: int) -> Line:
        """What a line says in *width* cells."""

    def ground(self, at: int) -> Ground:  # noqa: ARG002 -- most panes have no cursor
        """What a line lies on."""
        return Ground.PLAIN

    @property
    def wide(self) -> int:
        """Cells of a line."""
        return self.scrollable_content_region.width

    def changed(self) -> None:
        """The lines are others now."""
        self.resized(0)
        self.refresh()

    def resized(self, width: int) -> None:
        """The lines are as many as they are now, and at most *width* cells wide."""
        size = Size(width, self.count)
        if size != self.virtual_size:
            # As assigning it would do, but without laying out the whole screen anew: the pane stays as large as it is.
            self.set_reactive(Widget.virtual_size, size)
            self._scroll_update(size)

    def render_line(self, y: int) -> Strip:
        """What Textual asks for: line *y* of the screen."""
        at, wide = y + self.scroll_offset.y, self.wide
        if at >= self.count:
            return self.look.strip((), wide)
        return self.look.strip(self.line(at, wide), wide, self.ground(at))

    def on_resize(self, event: events.Resize) -> None:
        """Lines are as wide as the pane."""
        del event
        self.changed()

    def on_focus(self) -> None:
        """Its cursor looks otherwise now."""
        self.refresh()

    def on_blur(self) -> None:
        """Its cursor looks otherwise now."""
        self.refresh()

    def action_move(self, lines: int) -> None:
        """Scroll."""
        self.scroll_to(y=self.scroll_offset.y + lines, animate=False)

    def action_page(self, pages: int) -> None:
        """Scroll by what is seen, less one line."""
        self.action_move(pages * max(1, self.size.height - 1))

    def action_edge(self, side: int) -> None:
        """Scroll to the first or the last line."""
        self.scroll_to(y=0 if side < 0 else self.count, animate=False)


class ChoiceView(LinesView):
    """Lines, one of which is under a cursor."""

    #: Whether the cursor is to be seen as if the pane had the keys, which something above it has.
    acting = False

    @property
    @abstractmethod
    def cursor(self) -> int:
        """The line that it is on."""

    @abstractmethod
    def go(self, line: int) -> None:
        """Put it on a line, or the nearest there is."""

    @abstractmethod
    def chosen(self) -> None:
        """What Enter, or two clicks on it, do."""

    def ground(self, at: int) -> Ground:
        """The line under the cursor stands out."""
        if at != self.cursor:
            return Ground.PLAIN
        return Ground.CURSOR if self.has_focus or self.acting else Ground.CURSOR_ELSEWHERE

    def on_resize(self, event: events.Resize) -> None:
        """The cursor stays in sight."""
        super().on_resize(event)
        self.follow()

    def follow(self) -> None:
        """Scroll so that the cursor is seen."""
        top, height, line = self.scroll_offset.y, max(1, self.size.height), self.cursor
        if line < top:
            self.scroll_to(y=line, animate=False)
        elif line >= top + height:
            self.scroll_to(y=line - height + 1, animate=False)

    def went(self, before: int) -> None:
        """The cursor was on line *before* until now."""
        if before != self.cursor:
            self.refresh_line(before)
            self.refresh_line(self.cursor)
        self.follow()

    def action_move(self, lines: int) -> None:
        """Move the cursor."""
        self._to(self.cursor + lines)

    def action_page(self, pages: int) -> None:
        """Move it by what is seen, less one line."""
        self._to(self.cursor + pages * max(1, self.size.height - 1))

    def action_edge(self, side: int) -> None:
        """Move it to the first or the last line."""
        self._to(0 if side < 0 else self.count - 1)

    def _to(self, line: int) -> None:
        before = self.cursor
        self.go(line)
        self.went(before)

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor, two choose."""
        line = int(event.y) + self.scroll_offset.y
        if line < self.count:
            self._to(line)
            if event.chain == 2:  # noqa: PLR2004 -- a double click
                self.chosen()


class TextView(LinesView):
    """Lines that are all there already."""

    def __init__(self, look: Look, name: str) -> None:
        super().__init__(look, name)
        self.lines: list[Line] = []

    @property
    def count(self) -> int:
        """How many lines there are."""
        return len(self.lines)

    def line(self, at: int, width: int) -> Line:  # noqa: ARG002 -- they were made for the width
        """What a line says."""
        return self.lines[at]

    def show(self, lines: list[Line]) -> None:
        """Show other lines, from the first on."""
        self.lines = lines
        self.changed()
        self.scroll_to(y=0, animate=False)


def words(text: str, role: Role = Role.TEXT) -> Line:
    """A line of one piece."""
    return ((text, role),)
