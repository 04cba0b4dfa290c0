"""From a table of inodes to what is told: sums by directory and by path, and the largest objects."""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, field
from operator import add
from typing import TYPE_CHECKING

from ovlctl.ops.du.inodes import DIRECTORY, UNMEASURED
from ovlctl.ops.du.values import OWN, Below, Directory, Marks, Part, Split, Tally
from ovlctl.overlay.fates import Fate
from ovlctl.overlay.marks import Mark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.du.ledger import Ledger, Source

_BLOCK = 512
_NEVER_LARGE = {int(fate) for fate in (Fate.UNKNOWN, Fate.WHITEOUT, Fate.WORK)}
# A number for each of these, for each fate: inodes, bytes, apparent size, and bytes that somebody else shares.
_Cells = list[int]
_WIDTH = 4


def _nothing() -> _Cells:
    return [0] * (_WIDTH * len(Fate))


@dataclass(slots=True)
class _Columns:
    # Sums of one source.
    cells: _Cells = field(default_factory=_nothing)
    files: int = 0
    allocated: int = 0
    shared: int = 0
    unmeasured: int = 0


class Sums:
    """What a ledger that is closed comes to."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._inodes = ledger.inodes
        self._shared = ledger.extents.shared()
        self._settled = ledger.extents.settle(self._rank)

    def bytes(self, number: int) -> int:
        """What an inode takes, without what it shares with one that has it already."""
        own = self._inodes.blocks[number] * _BLOCK
        if (shared := self._shared.get(number)) is None:
            return own
        settled = self._settled.get(number)
        return max(own - shared, 0) + (settled.won if settled is not None else 0)

    def tally(self, number: int) -> Tally:
        """One inode."""
        settled = self._settled.get(number)
        return Tally(
            inodes=1,
            bytes=self.bytes(number),
            apparent=self._inodes.sizes[number],
            elsewhere=settled.elsewhere if settled is not None else 0,
        )

    def directories(self) -> tuple[Directory, ...]:
        """Every source with what is in it."""
        columns = [_Columns() for _ in self._ledger.sources]
        inodes = self._inodes
        homes = [columns[source] for source in inodes.sources]
        for number, (home, flags, blocks) in enumerate(zip(inodes.homes, inodes.flags, inodes.blocks, strict=True)):
            column = homes[home]
            self._add(column.cells, number)
            column.allocated += blocks * _BLOCK
            column.files += not flags & DIRECTORY
            if flags & UNMEASURED:
                column.unmeasured += self.bytes(number)
        for number, settled in self._settled.items():
            columns[inodes.source(number)].shared += settled.won
        return tuple(map(_directory, self._ledger.sources, columns))

    def below(self, depth: int) -> tuple[Below, ...]:
        """Every directory down to *depth*, with what is in and below it in whichever layer; sorted, ``""`` first."""
        inodes = self._inodes
        layers = [self._ledger.sources[source].part not in OWN for source in inodes.sources]
        keys = ["/".join(path.split("/")[:depth]) if depth else "" for path in inodes.paths]
        cells: defaultdict[str, _Cells] = defaultdict(_nothing)
        rows = [cells[key] if layer else _nothing() for key, layer in zip(keys, layers, strict=True)]
        for number, home in enumerate(inodes.homes):
            if layers[home]:
                self._add(rows[home], number)
        for path in sorted(cells, key=len, reverse=True):
            if path:
                above = cells[path.rpartition("/")[0]]
                above[:] = map(add, above, cells[path])
        return tuple(
            Below(path=path, split=_split(cells[path])) for path in sorted(cells, key=lambda path: path.split("/"))
        )

    def largest(self, count: int, *, apparent: bool) -> list[int]:
        """The numbers of the largest objects that are no directories and not simply seen in a lower."""
        inodes, sources = self._inodes, self._ledger.sources

        uppers = [sources[source].part is Part.UPPER for source in inodes.sources]

        def candidates() -> Iterator[tuple[int, int]]:
            for number, (home, fate, flags) in enumerate(zip(inodes.homes, inodes.fates, inodes.flags, strict=True)):
                if flags & DIRECTORY or fate in _NEVER_LARGE or (fate == Fate.VISIBLE and not uppers[home]):
                    continue
                size = inodes.sizes[number] if apparent else self.bytes(number)
                if size:
                    yield size, -number

        return [-number for _, number in heapq.nlargest(count, candidates())]

    def _add(self, cells: _Cells, number: int) -> None:
        inodes = self._inodes
        at = inodes.fates[number] * _WIDTH
        cells[at] += 1
        cells[at + 1] += inodes.blocks[number] * _BLOCK if number not in self._shared else self.bytes(number)
        cells[at + 2] += inodes.sizes[number]
        if number in self._settled:
            cells[at + 3] += self._settled[number].elsewhere

    def _rank(self, number: int) -> int:
        # What is shared belongs to whoever needs it most, and to what is unchanged last: freeing that frees nothing of
        # it. Of equals it is the lowest layer's, from which it was copied up.
        fate = self._inodes.fates[number]
        order = len(Fate) if fate == Fate.UNCHANGED else fate
        return (order << 32) - self._inodes.source(number)


def _split(cells: _Cells) -> Split:
    rows = (cells[at : at + _WIDTH] for at in range(0, len(cells), _WIDTH))
    return Split(tuple(Tally(inodes=row[0], bytes=row[1], apparent=row[2], elsewhere=row[3]) for row in rows))


def _directory(source: Source, columns: _Columns) -> Directory:
    return Directory(
        part=source.part,
        index=source.index,
        directory=source.directory,
        stacks=tuple(source.stacks),
        split=_split(columns.cells),
        files=columns.files,
        allocated=columns.allocated,
        shared=columns.shared,
        unmeasured=columns.unmeasured,
        marks=Marks(
            whiteouts=source.marks[Mark.WHITEOUT],
            opaque=source.marks[Mark.OPAQUE],
            redirects=source.marks[Mark.REDIRECT],
            metadata_only=source.marks[Mark.METACOPY],
        ),
    )
