"""What is below each directory, in bytes and in files: sums over an atlas, made once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ovlctl.ops.atlas.atlas import DIRECTORY, KINDS, Flag, Sign
from ovlctl.ops.atlas.summary import LayerSummary, MergedSummary
from ovlctl.overlay.layers import Role
from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ovlctl.ops.atlas.atlas import Atlas

    #: Rows in some order.
    Rows = NDArray[np.int32]

#: Rows with these signs are not seen, and count for nothing.
_UNSEEN = (Sign.WHITEOUT, Sign.HIDDEN, Sign.ODD)
_FILE = KINDS.index(Kind.FILE)


class Totals:
    """Sums of what is seen below directories; names of one inode count once each.

    Args:
        atlas: Complete, or with directories flagged UNREAD, whose sums are unknown.
    """

    def __init__(self, atlas: Atlas) -> None:
        self._ends = atlas.ends
        kinds, signs = np.asarray(atlas.kinds), np.asarray(atlas.signs)
        seen = ~np.isin(signs, _UNSEEN)
        self._bytes = _running(np.where(seen & (kinds == _FILE), np.asarray(atlas.sizes), 0))
        self._files = _running(seen & (kinds != DIRECTORY))
        self._unread = _running((np.asarray(atlas.flags) & Flag.UNREAD) != 0)

    def size(self, row: int) -> int | None:
        """Bytes of the regular files at and below *row*; None when something there was not read yet."""
        return None if self._between(self._unread, row) else self._between(self._bytes, row)

    def files(self, row: int) -> int | None:
        """Names at and below *row* that are no directories; None when something there was not read yet."""
        return None if self._between(self._unread, row) else self._between(self._files, row)

    def _between(self, running: NDArray[np.int64], row: int) -> int:
        return int(running[self._ends[row]] - running[row])


def counted(atlas: Atlas) -> MergedSummary | None:
    """The figures of a merged view whose upper, layer 0, is part of it; None when something was not read yet.

    Law: equals what a scan says of the same tree, but for what could not be read.
    """
    kinds, signs, flags = np.asarray(atlas.kinds), np.asarray(atlas.signs), np.asarray(atlas.flags)
    if (flags & Flag.UNREAD).any():
        return None
    directories = kinds == DIRECTORY
    seen = ~np.isin(signs, _UNSEEN)
    of_upper = (np.asarray(atlas.providers) == 0) & ((flags & Flag.COVERS) != 0)
    return MergedSummary(
        files=int((seen & ~directories).sum()),
        directories=int((seen & directories).sum()) - 1,
        size=int(np.asarray(atlas.sizes)[seen & (kinds == _FILE)].sum()),
        added=int(((signs == Sign.ADDED) & ~directories).sum()),
        changed=int(((signs == Sign.CHANGED) & ~directories).sum()),
        deleted=int(((signs == Sign.WHITEOUT) & of_upper).sum()),
    )


def upper_summary(atlas: Atlas, directory: str) -> LayerSummary:
    """The figures of the upper, layer 0, from the merged view that it is part of.

    Files with several names count once for each; what it has below directories that are not seen is left out.

    Args:
        atlas: The merged view.
        directory: Where the upper is.
    """
    kinds, signs = np.asarray(atlas.kinds), np.asarray(atlas.signs)
    own = np.asarray(atlas.providers) == 0
    own[0] = False
    files = own & (kinds != DIRECTORY) & ~np.isin(signs, _UNSEEN)
    regular = files & (kinds == _FILE)
    sizes = np.asarray(atlas.sizes)
    unchanged = files & (signs == Sign.UNCHANGED)
    whiteouts = own & (signs == Sign.WHITEOUT)
    covers = (np.asarray(atlas.flags) & Flag.COVERS) != 0
    return LayerSummary(
        number=0,
        role=Role.UPPER,
        index=0,
        directory=directory,
        files=int(files.sum()),
        directories=int((own & (kinds == DIRECTORY) & ~np.isin(signs, _UNSEEN)).sum()),
        size=int(sizes[regular].sum()),
        adds=int((files & (signs == Sign.ADDED)).sum()),
        hides=int((files & (signs != Sign.ADDED)).sum() + (whiteouts & covers).sum()),
        whiteouts=int(whiteouts.sum()),
        wasted_files=int(unchanged.sum()),
        wasted=int(sizes[unchanged & regular].sum()),
    )


def _running(each: NDArray[Any]) -> NDArray[np.int64]:
    # What is before each row; one element more than rows.
    sums = np.zeros(len(each) + 1, dtype=np.int64)
    np.cumsum(each, out=sums[1:])
    return sums


def line_of(rows: Rows, row: int) -> int | None:
    """Where *row* is among *rows*, in whatever order they are; None when it is not there."""
    if not len(rows):
        return None
    at = int((rows == row).argmax())
    return at if rows[at] == row else None
