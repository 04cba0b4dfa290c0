"""What a survey tells, written down: every inode once, with the best that can be said of it."""

from __future__ import annotations

import errno
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ovlctl.ops.du.extents import Extents
from ovlctl.ops.du.inodes import LISTED, UNMEASURED, Inodes
from ovlctl.ops.du.values import Trouble
from ovlctl.overlay.fates import Fate
from ovlctl.overlay.resolution import Place
from ovlctl.overlay.tree import Kind, join

if TYPE_CHECKING:
    from ovlctl.ops.du.values import Part
    from ovlctl.overlay.fates import Spot
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.marks import Mark
    from ovlctl.overlay.tree import Attributes

_TROUBLES = 1000


@dataclass(slots=True, kw_only=True)
class Source:
    """A directory that is looked at: a layer, a work directory or an index.

    Attributes:
        stacks: The numbers of the stacks that have it.
        marks: How many names with each mark were met.
    """

    part: Part
    index: int
    directory: str
    stacks: list[int]
    marks: Counter[Mark] = field(default_factory=Counter)


class Ledger:
    """A :class:`~ovlctl.overlay.fates.Register` for several stacks.

    Attributes:
        sources: What is looked at, in the order it was added.
        inodes: What was met.
        extents: What of it is shared.
        unread: How often something could not be read.
    """

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.inodes = Inodes()
        self.extents = Extents()
        self.unread = 0
        self._numbers: dict[Layer, int] = {}
        self._names_left: dict[int, int] = {}
        self._troubles: dict[tuple[int, str], int] = {}

    def counts_for(self, layer: Layer, source: int) -> None:
        """What is met in *layer* is met in the source of this number; several stacks may have the same one."""
        self._numbers[layer] = source

    def begin(self, spot: Spot) -> None:
        """See :class:`~ovlctl.overlay.fates.Register`."""
        number = self.inodes.number(spot.attributes)
        if number is not None:
            spot.fresh = not self.inodes.flags[number] & LISTED
            self.inodes.flags[number] |= LISTED

    def enter(self, spot: Spot, name: str, attributes: Attributes, fate: Fate) -> None:
        """See :class:`~ovlctl.overlay.fates.Register`."""
        inodes = self.inodes
        number = inodes.number(attributes)
        if number is None:
            number = inodes.add(attributes, fate, inodes.home(spot, self._numbers[spot.layer], name, attributes))
            if attributes.blocks and attributes.kind is Kind.FILE and not self._extents(spot, name, attributes, number):
                inodes.flags[number] |= UNMEASURED
        elif fate < inodes.fates[number]:
            inodes.fates[number] = fate
            inodes.homes[number] = inodes.home(spot, self._numbers[spot.layer], name, attributes)
        if attributes.nlink > 1 and spot.fresh and (fate is Fate.UNCHANGED or fate is Fate.WORK):
            self._names_left[number] = self._names_left.get(number, attributes.nlink) - 1

    def mark(self, spot: Spot, mark: Mark) -> None:
        """See :class:`~ovlctl.overlay.fates.Register`."""
        if spot.fresh:
            self.sources[self._numbers[spot.layer]].marks[mark] += 1

    def trouble(self, place: Place, number: int) -> None:
        """See :class:`~ovlctl.overlay.fates.Register`."""
        self.lost(self._numbers[place.layer], place.path, number)

    def lost(self, source: int, path: str, number: int) -> None:
        """What is at *path* in a source could not be read: the errno."""
        known = {(source, path), (source, path.rpartition("/")[0])} & self._troubles.keys()
        # What was there a moment ago and is not any more takes nothing; what is in a directory that cannot be read is
        # not told one by one.
        if number != errno.ENOENT and not known:
            self.unread += 1
            if len(self._troubles) < _TROUBLES:
                self._troubles[source, path] = number

    def close(self) -> None:
        """All was told. What is unchanged but has a name that was not met frees nothing, and so is merely seen."""
        for number, left in self._names_left.items():
            if left > 0 and self.inodes.fates[number] == Fate.UNCHANGED:
                self.inodes.fates[number] = Fate.VISIBLE

    def troubles(self) -> tuple[Trouble, ...]:
        """What could not be read, at most a thousand, sorted."""
        return tuple(
            Trouble(directory=self.sources[source].directory, path=path, errno=number)
            for (source, path), number in sorted(self._troubles.items())
        )

    def _extents(self, spot: Spot, name: str, attributes: Attributes, number: int) -> bool:
        try:
            return self.extents.read(spot, name, attributes, number)
        except OSError as error:
            self.trouble(Place(spot.layer, join(spot.path, name)), error.errno or 0)
            return False
