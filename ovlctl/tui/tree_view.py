"""The tree of what is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual.message import Message

from ovlctl.tui.binding import bindings
from ovlctl.tui.keys import Where
from ovlctl.tui.lines_view import ChoiceView
from ovlctl.tui.tree_lines import TreeLines

if TYPE_CHECKING:
    from textual import events

    from ovlctl.tui.look import Look
    from ovlctl.tui.page import Page
    from ovlctl.tui.session import Session
    from ovlctl.tui.tree_lines import Line

# Lines seen above and below what a jump led to.
_AROUND: Final = 3


class TreeView(ChoiceView):
    """Directories that fold and unfold, or files by size."""

    BINDINGS = bindings(Where.TREE)

    class Moved(Message):
        """The cursor is on another row, or the lines are others."""

    class Unread(Message):
        """A directory is to be unfolded of which nobody has read yet what is in it.

        Attributes:
            row: The directory.
        """

        def __init__(self, row: int) -> None:
            super().__init__()
            self.row = row

    def __init__(self, look: Look, session: Session) -> None:
        super().__init__(look, "tree")
        self.session = session
        self.lines = TreeLines(labels=session.labels, role=session.role, glyphs=look.glyphs)

    def stood(self) -> None:
        """The layers are others now."""
        self.lines = TreeLines(labels=self.session.labels, role=self.session.role, glyphs=self.look.glyphs)
        self.redrawn()

    @property
    def page(self) -> Page:
        """What is shown."""
        return self.session.page

    @property
    def count(self) -> int:
        """How many lines there are."""
        return len(self.page)

    def line(self, at: int, width: int) -> Line:
        """What a line says."""
        return self.lines.line(self.page, self.page.row(at), width)

    @property
    def cursor(self) -> int:
        """The line that it is on."""
        return self.page.line

    def go(self, line: int) -> None:
        """Put it on a line."""
        self.page.go(line)
        self.post_message(self.Moved())

    def redrawn(self) -> None:
        """Lines, cursor or both are others now."""
        self.changed()
        self.follow()
        self.post_message(self.Moved())

    def jumped(self) -> None:
        """The cursor went far: show what is around it."""
        self.changed()
        top, height, line = self.scroll_offset.y, max(1, self.size.height), self.cursor
        if not top <= line < top + height:
            self.scroll_to(y=line - min(_AROUND, height // 2), animate=False)
        self.post_message(self.Moved())

    def chosen(self) -> None:
        """Two clicks."""
        self.action_switch()

    def action_switch(self) -> None:
        """Fold or unfold the directory under the cursor."""
        page, row = self.page, self.page.cursor
        if page.is_unfolded(row) and page.atlas.is_directory(row):
            page.fold(row)
            self.redrawn()
        else:
            self._unfold(row)

    def action_inward(self) -> None:
        """Unfold it, or go into it."""
        page, row = self.page, self.page.cursor
        if page.flat or not page.atlas.is_directory(row):
            return
        if not page.is_unfolded(row):
            self._unfold(row)
        elif page.atlas.ends[row] > row + 1:
            self.action_move(1)

    def action_outward(self) -> None:
        """Fold it, or go out of the directory."""
        self.page.outward()
        self.redrawn()

    def _unfold(self, row: int) -> None:
        page = self.page
        if page.flat or not len(page) or not page.atlas.is_directory(row):
            return
        page.unfold(row)
        self.redrawn()
        if page.is_unread(row):
            self.post_message(self.Unread(row))

    def on_click(self, event: events.Click) -> None:
        """A click on a marker folds or unfolds."""
        super().on_click(event)
        line = int(event.y) + self.scroll_offset.y
        if line < self.count and event.chain == 1:
            row = self.page.row(line)
            if int(event.x) in self.lines.marker_span(self.page, row):
                self.action_switch()
