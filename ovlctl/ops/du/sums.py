"""From a table of inodes to what is told: sums by directory and by path, and the largest objects."""

from __future__ import annotations

import heapq
from collections import defaultdict
from operator import add
from typing import TYPE_CHECKING

from ovlctl.ops.du.inodes import Flag
from ovlctl.ops.du.values import Below, Directory, Marks, Part, Split, Tally
from ovlctl.overlay.fates import Fate
from ovlctl.overlay.marks import Mark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.du.ledger import Ledger, Source

_BLOCK = 512
_NEVER_LARGE = {Fate.UNKNOWN, Fate.WHITEOUT, Fate.WORK}
# A number for each of these, for each fate: inodes, bytes, apparent size, and bytes that somebody else shares.
_Cells = list[int]
_WIDTH = 4


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
        shared = self._shared.get(number)
        if shared is None:
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
        every = range(len(self._ledger.sources))
        cells: list[_Cells] = [_nothing() for _ in every]
        allocated, shared, unmeasured = ([0 for _ in every] for _ in range(3))
        inodes = self._inodes
        for number in range(len(inodes)):
            source = inodes.source(number)
            self._add(cells[source], number)
            allocated[source] += inodes.blocks[number] * _BLOCK
            if inodes.flags[number] & Flag.UNMEASURED:
                unmeasured[source] += self.bytes(number)
        for number, settled in self._settled.items():
            shared[inodes.source(number)] += settled.won
        return tuple(
            _directory(source, _split(cells[at]), allocated[at], shared[at], unmeasured[at])
            for at, source in enumerate(self._ledger.sources)
        )

    def below(self, depth: int) -> tuple[Below, ...]:
        """Every directory down to *depth*, with all that is in and below it in whichever layer, sorted; ``""`` first."""
        inodes = self._inodes
        keys = ["/".join(path.split("/")[:depth]) if depth else "" for path in inodes.paths]
        cells: defaultdict[str, _Cells] = defaultdict(_nothing)
        for number in range(len(inodes)):
            self._add(cells[keys[inodes.homes[number]]], number)
        for path in sorted(cells, key=len, reverse=True):
            if path:
                above = cells[path.rpartition("/")[0]]
                above[:] = map(add, above, cells[path])
        return tuple(Below(path=path, split=_split(cells[path])) for path in sorted(cells, key=lambda path: path.split("/")))

    def largest(self, count: int, *, apparent: bool) -> list[int]:
        """The numbers of the largest objects that are no directories and not simply seen in a lower."""
        inodes, sources = self._inodes, self._ledger.sources

        def candidates() -> Iterator[tuple[int, int]]:
            for number in range(len(inodes)):
                size = inodes.sizes[number] if apparent else self.bytes(number)
                fate = inodes.fates[number]
                if not size or fate in _NEVER_LARGE or inodes.flags[number] & Flag.DIRECTORY:
                    continue
                if fate != Fate.VISIBLE or sources[inodes.source(number)].part is Part.UPPER:
                    yield size, -number

        return [-number for _, number in heapq.nlargest(count, candidates())]

    def _add(self, cells: _Cells, number: int) -> None:
        at = self._inodes.fates[number] * _WIDTH
        cells[at] += 1
        cells[at + 1] += self.bytes(number)
        cells[at + 2] += self._inodes.sizes[number]
        if number in self._settled:
            cells[at + 3] += self._settled[number].elsewhere

    def _rank(self, number: int) -> int:
        # What is shared belongs to whoever needs it most, and to what is unchanged last: freeing that frees nothing of
        # it. Of equals it is the lowest layer's, from which it was copied up.
        fate = self._inodes.fates[number]
        order = len(Fate) if fate == Fate.UNCHANGED else fate
        return (order << 16) - self._inodes.source(number)


def _nothing() -> _Cells:
    return [0] * (_WIDTH * len(Fate))


def _split(cells: _Cells) -> Split:
    rows = (cells[at : at + _WIDTH] for at in range(0, len(cells), _WIDTH))
    return Split(tuple(Tally(inodes=row[0], bytes=row[1], apparent=row[2], elsewhere=row[3]) for row in rows))


def _directory(source: Source, split: Split, allocated: int, shared: int, unmeasured: int) -> Directory:
    return Directory(
        part=source.part,
        index=source.index,
        directory=source.directory,
        stacks=tuple(source.stacks),
        split=split,
        allocated=allocated,
        shared=shared,
        unmeasured=unmeasured,
        marks=Marks(
            whiteouts=source.marks[Mark.WHITEOUT],
            opaque=source.marks[Mark.OPAQUE],
            redirects=source.marks[Mark.REDIRECT],
            metadata_only=source.marks[Mark.METACOPY],
        ),
    )
