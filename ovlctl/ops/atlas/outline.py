"""Which rows of an atlas are on the screen: what is unfolded, and what a search leaves.

Every answer is worked out for all rows at once, at most some ten milliseconds for a million.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ovlctl.ops.atlas.atlas import DIRECTORY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ovlctl.ops.atlas.atlas import Atlas
    from ovlctl.ops.atlas.finding import Found


class Outline:
    """A folded tree.

    Law: :attr:`rows` are, in order, the rows below the root all of whose directories are unfolded; when it is narrowed
    to something found, those of them that were found or lead to what was found.

    Args:
        atlas: The tree; the root is unfolded and nothing else.

    Attributes:
        atlas: The tree.
    """

    def __init__(self, atlas: Atlas) -> None:
        self.atlas = atlas
        self._parents = np.asarray(atlas.parents)
        self._ends = np.asarray(atlas.ends)
        self._directories = np.asarray(atlas.kinds) == DIRECTORY
        self._unfolded = np.zeros(len(atlas), dtype=bool)
        self._unfolded[0] = True
        self._wanted: NDArray[np.bool_] | None = None
        self._rows: NDArray[np.int32] | None = None

    @property
    def rows(self) -> NDArray[np.int32]:
        """What is to be seen; worked out when it is asked for."""
        if self._rows is None:
            self._rows = self._shown(0)
        return self._rows

    def is_unfolded(self, row: int) -> bool:
        """Whether what is in a directory is shown."""
        return bool(self._unfolded[row])

    def is_shown(self, row: int) -> bool:
        """Whether the row is among :attr:`rows`."""
        return self.position(row) is not None

    def unfold(self, row: int) -> None:
        """Show what is in a directory."""
        at = self.position(row)
        was, self._unfolded[row] = self._unfolded[row], True
        if was or (at is None and row):
            return
        start = 0 if at is None else at + 1
        self._rows = np.concatenate((self.rows[:start], self._shown(row), self.rows[start:]))

    def fold(self, row: int) -> None:
        """Hide what is in a directory; what is folded and unfolded in it stays so. The root stays unfolded."""
        if not row:
            return
        start, end = np.searchsorted(self.rows, [row + 1, self._ends[row]])
        self._unfolded[row] = False
        self._rows = np.concatenate((self.rows[:start], self.rows[end:]))

    def unfold_all(self) -> None:
        """Show everything."""
        self._unfolded = self._directories.copy()
        self._unfolded[0] = True
        self._rows = None

    def fold_all(self) -> None:
        """Show what is in the root, and nothing in that."""
        self._unfolded[:] = False
        self._unfolded[0] = True
        self._rows = None

    def reveal(self, row: int) -> None:
        """Unfold every directory on the way to a row."""
        while row:
            row = int(self._parents[row])
            self._unfolded[row] = True
        self._rows = None

    def position(self, row: int) -> int | None:
        """Where in :attr:`rows` a row is; None when it is not shown."""
        at = int(np.searchsorted(self.rows, row))
        return at if at < len(self.rows) and self.rows[at] == row else None

    def nearest(self, row: int) -> int:
        """Where in :attr:`rows` a row is, or the innermost directory that it is folded into; 0 for none."""
        while row:
            if (at := self.position(row)) is not None:
                return at
            row = int(self._parents[row])
        return 0

    def narrow(self, found: Found | None) -> None:
        """Leave only what was found, and the directories on the way, which are unfolded; None for everything."""
        if found is None:
            self._wanted = None
        else:
            wanted = np.zeros(len(self.atlas), dtype=bool)
            wanted[found.rows] = True
            above = self._above(found.rows)
            wanted |= above
            self._unfolded |= above
            self._unfolded[0] = True
            self._wanted = wanted
        self._rows = None

    def _above(self, rows: NDArray[np.int32]) -> NDArray[np.bool_]:
        # The directories on the way to some rows, without the root.
        way = np.zeros(len(self.atlas), dtype=bool)
        while len(rows):
            above = np.zeros(len(self.atlas), dtype=bool)
            above[self._parents[rows]] = True
            above[0] = False
            rows = np.flatnonzero(above & ~way).astype(np.int32)
            way |= above
        return way

    def moved_to(self, atlas: Atlas) -> Outline:
        """The same folding for another state of the tree: directories go by their paths. Nothing is narrowed."""
        moved = Outline(atlas)
        there: dict[int, int] = {0: 0}
        inside: tuple[int, dict[bytes, int]] = (-1, {})
        unfolded = np.flatnonzero(self._unfolded).astype(np.int32)
        # Each is behind the directory that it is in.
        for row in np.flatnonzero(self._unfolded | self._above(unfolded))[1:].tolist():
            above = there.get(self._parents[row].item())
            if above is None:
                continue
            if inside[0] != above:
                inside = above, {_name(atlas, child): child for child in atlas.children(above)}
            found = inside[1].get(_name(self.atlas, row))
            if found is not None and atlas.is_directory(found):
                there[row] = found
                moved._unfolded[found] = self._unfolded[row]
        return moved

    def _shown(self, row: int) -> NDArray[np.int32]:
        # The rows to be seen in a directory, should that be unfolded itself.
        start, end = row + 1, int(self._ends[row])
        folded = np.flatnonzero(self._directories[start:end] & ~self._unfolded[start:end])
        # How many folded directories each row is in: they begin after their own row and end where their content does.
        depth = np.zeros(end - start + 1, dtype=np.int32)
        np.add.at(depth, folded + 1, 1)
        np.subtract.at(depth, self._ends[start:end][folded].astype(np.int64) - start, 1)
        shown = np.cumsum(depth[:-1]) == 0
        if self._wanted is not None:
            shown &= self._wanted[start:end]
        return (np.flatnonzero(shown) + start).astype(np.int32)


def _name(atlas: Atlas, row: int) -> bytes:
    return bytes(atlas.names[atlas.offsets[row] : atlas.offsets[row + 1]])
