"""One tree on the screen: what is unfolded, what the filter leaves, and where the cursor is."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from ovlctl.ops.atlas import splicing
from ovlctl.ops.atlas.atlas import Flag
from ovlctl.ops.atlas.finding import Finder, Want
from ovlctl.ops.atlas.outline import Outline
from ovlctl.ops.atlas.totals import Totals, line_of

if TYPE_CHECKING:
    from ovlctl.ops.atlas.atlas import Atlas
    from ovlctl.ops.atlas.finding import Found, Query
    from ovlctl.ops.atlas.totals import Rows

#: Where the cursor is when there is no line: the root, which has none.
NOWHERE: Final = 0


class Page:
    """A tree, and a place in it.

    Law: the cursor is a row, not a line: it stays on its object whatever is folded, filtered, listed or scanned anew,
    as long as that is there; else it goes to the nearest directory above.

    Attributes:
        atlas: The tree.
        query: The filter; None without one.
        found: What it leaves.
    """

    def __init__(self, atlas: Atlas) -> None:
        self.atlas = atlas
        self.query: Query | None = None
        self.found: Found | None = None
        self.totals = Totals(atlas)
        self._finder = Finder(atlas)
        self._whole = Outline(atlas)
        # Unfolded by the filter, so that the other one is as before when the filter ends.
        self._narrowed: Outline | None = None
        self._by_size: Rows | None = None
        self._cursor = NOWHERE
        self._line: int | None = None
        self._large = NOWHERE
        self.go(0)

    def __len__(self) -> int:
        """How many lines there are."""
        return len(self._rows)

    @property
    def _rows(self) -> Rows:
        return self._by_size if self._by_size is not None else self._outline.rows

    @property
    def flat(self) -> bool:
        """Whether files are listed by size instead of the tree."""
        return self._by_size is not None

    @property
    def cursor(self) -> int:
        """The row that the cursor is on; :data:`NOWHERE` when there is no line."""
        return self._cursor

    @cursor.setter
    def cursor(self, row: int) -> None:
        self._cursor, self._line = row, None

    @property
    def line(self) -> int:
        """The line that the cursor is on; 0 when there is none."""
        if self._line is None:
            self._line = self._line_of(self._cursor) or 0
        return self._line

    def row(self, line: int) -> int:
        """The row on a line."""
        return int(self._rows[line])

    def shows(self, row: int) -> bool:
        """Whether the filter leaves the row, or something below it."""
        if self.found is None:
            return True
        rows = self.found.rows
        at = bisect_left(rows, row)
        return at < len(rows) and int(rows[at]) < self.atlas.ends[row]

    def is_unfolded(self, row: int) -> bool:
        """Whether what is in the directory is shown below it."""
        return not self.flat and self._outline.is_unfolded(row)

    def is_unread(self, row: int) -> bool:
        """Whether it is a directory of which nobody has read yet what is in it."""
        return bool(self.atlas.flags[row] & Flag.UNREAD)

    @property
    def _outline(self) -> Outline:
        return self._whole if self._narrowed is None else self._narrowed

    # Moving

    def go(self, line: int) -> None:
        """Put the cursor on a line, or the nearest there is."""
        self.cursor = self.row(max(0, min(line, len(self) - 1))) if len(self) else NOWHERE

    def reveal(self, row: int) -> None:
        """Put the cursor on a row, unfolding all that it is in; what hides it, filter or list by size, ends."""
        if self._hidden_by_filter(row):
            self.narrow(None)
        self._by_size = None
        self._outline.reveal(row)
        self.cursor = row

    def outward(self) -> None:
        """Fold the directory under the cursor; when it is folded, go to the one that it is in."""
        row = self.cursor
        if self.is_unfolded(row) and self.atlas.is_directory(row):
            self.fold(row)
        elif (above := self.atlas.parents[row]) and not self.flat:
            self.cursor = above

    def step(self, want: Want, *, backwards: bool) -> bool:
        """Go to the next such row; False when there is none.

        LARGEST begins with the largest, wherever the cursor is, and goes on from there.
        """
        start = self.cursor if want is not Want.LARGEST or self.cursor == self._large else NOWHERE
        row = self._finder.step(want, start, backwards=backwards)
        if row is None:
            return False
        self._large = row if want is Want.LARGEST else NOWHERE
        if self.flat and not self._hidden_by_filter(row) and self._line_of(row) is not None:
            self.cursor = row
        else:
            self.reveal(row)
        return True

    def fuzzy(self, text: str) -> tuple[int, ...]:
        """Rows whose paths have these letters in their order, the best first."""
        return self._finder.fuzzy(text)

    # Folding

    def unfold(self, row: int) -> None:
        """Show what is in a directory."""
        self._outline.unfold(row)
        self._line = None

    def fold(self, row: int) -> None:
        """Show it no longer."""
        self._outline.fold(row)
        self._settle()

    def unfold_all(self) -> None:
        """Show everything."""
        self._outline.unfold_all()
        self._line = None

    def fold_all(self) -> None:
        """Show what is in the root."""
        self._outline.fold_all()
        self._settle()

    # Choosing

    def narrow(self, query: Query | None) -> None:
        """Show what a filter finds, and the directories on the way; None shows everything."""
        self.query = query
        self.found = None if query is None else self._finder.find(query)
        if self.found is None:
            self._narrowed = None
            if self.cursor and not self.flat:
                self._whole.reveal(self.cursor)
        else:
            self._narrowed = self._narrowed or Outline(self.atlas)
            self._narrowed.narrow(self.found)
        if self.flat:
            self._by_size = self._finder.by_size(self.found)
        if self.found is not None and not self._is_found(self.cursor):
            self.cursor = self._first_found()
        self._settle()

    def list_by_size(self, *, on: bool) -> None:
        """Show files by size, or the tree again."""
        if on:
            self._by_size = self._finder.by_size(self.found)
            self.go(0)
            return
        self._by_size, row = None, self.cursor
        self._outline.reveal(row)
        self._settle()

    # Other states of the tree

    def splice(self, row: int, part: Atlas) -> None:
        """Put in what is in a directory that was listed now.

        Args:
            row: The directory.
            part: Itself as the root, and what is in it.
        """
        self.replace(splicing.spliced(self.atlas, row, part))

    def replace(self, atlas: Atlas) -> None:
        """Show a later state of the same tree, folded as this one."""
        path = self.atlas.path(self.cursor)
        self._whole = self._whole.moved_to(atlas)
        self._narrowed = None
        self.atlas = atlas
        self.totals = Totals(atlas)
        self._finder = Finder(atlas)
        self.cursor = self._nearest(path)
        if self.query is not None or self.flat:
            self.narrow(self.query)
        self._settle()

    def _nearest(self, path: str) -> int:
        while path:
            row = self.atlas.find(path)
            if row is not None:
                return row
            path = path.rpartition("/")[0]
        return NOWHERE

    def _settle(self) -> None:
        # The cursor may be on what is not shown any more, and is on another line anyway.
        row = self.cursor
        while row and self._line_of(row) is None:
            row = NOWHERE if self.flat else self.atlas.parents[row]
        if row:
            self.cursor = row
        else:
            self.go(0)

    def _line_of(self, row: int) -> int | None:
        return self._outline.position(row) if self._by_size is None else line_of(self._by_size, row)

    def _first_found(self) -> int:
        return NOWHERE if self.found is None or not self.found.count else int(self.found.rows[0])

    def _is_found(self, row: int) -> bool:
        if self.found is None:
            return False
        rows = self.found.rows
        at = bisect_left(rows, row)
        return at < len(rows) and int(rows[at]) == row

    def _hidden_by_filter(self, row: int) -> bool:
        return not self.shows(row)
