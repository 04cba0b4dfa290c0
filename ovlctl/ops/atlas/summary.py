"""What is said of a layer, and of a merged view, as a whole: pure values. Sizes are bytes, as lstat(2) says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovlctl.overlay.layers import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Wasted:
    """One of the largest objects of a layer that are not seen.

    Attributes:
        path: In the layer.
        size: Bytes.
    """

    path: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSummary:
    """One layer.

    Attributes:
        number: Counted from the topmost, as in :attr:`ovlctl.ops.atlas.atlas.Atlas.providers`.
        index: Counts lowers, and data-only lowers, from 0 = topmost; 0 for the upper.
        directory: Where it is.
        files: Names in it that are no directories and no whiteouts.
        directories: Without its root.
        size: Of its regular files, each inode once.
        adds: Names that are seen, no directories, of which no layer below has anything.
        hides: Names that layers below have and that are not seen, or seen as another object, because it is the topmost
            that has something there: a whiteout, or an object in the place of others.
        whiteouts: Of whichever kind.
        wasted_files: Names that nobody sees: hidden by a layer above, or copied up and equal to what they hide.
        wasted: Bytes of those, each inode once.
        largest: The largest of them, largest first; some ten.
        unreadable: How many objects could not be looked at; the other figures are then too small.
    """

    number: int
    role: Role
    index: int
    directory: str
    files: int
    directories: int
    size: int
    adds: int
    hides: int
    whiteouts: int
    wasted_files: int
    wasted: int
    largest: tuple[Wasted, ...] = ()
    unreadable: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedSummary:
    """A merged view: what is seen.

    Attributes:
        files: Names that are no directories.
        directories: Without the root.
        size: Of the regular files; names of one inode count once each.
        added: Names that the upper adds, no directories.
        changed: Names that the upper has in place of a lower's, no directories.
        deleted: Names that whiteouts of the upper hide.
        unreadable: How many objects could not be looked at.
    """

    files: int
    directories: int
    size: int
    added: int
    changed: int
    deleted: int
    unreadable: int = 0
