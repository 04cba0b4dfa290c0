"""Extents that files share, so that each is counted once.

A file that was copied up by cloning has all its blocks (st_blocks) and yet takes nothing: its extents are those of the
lower. FS_IOC_FIEMAP says where on the device the data of a file are and which extents somebody else uses too. Those
are collected here as ranges, and what several files have is given to one of them; an extent that nobody shares
needs no such care and is not kept.

Nothing is written for it: FIEMAP can be asked to write dirty data first, and is not. What has no place on the device
yet (delayed allocation) is nobody else's, so it counts as the file's own; a clone of a dirty file is written by the
kernel when the clone is made. Where a shared block was overwritten and that is not on disk yet, the file still
has the old one, and the shared byte is counted as it lies on disk at that moment.

Where a file system cannot tell, or its extents are compressed (their length is that of the data, not of what is on
disk), the file is marked unmeasured.
"""

from __future__ import annotations

import heapq
import os
from array import array
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from ovlctl.kernel import fiemap
from ovlctl.kernel.fiemap import FIEMAP_EXTENT
from ovlctl.kernel.sharing import Telling, sharing
from ovlctl.overlay.tree import Attributes, join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ovlctl.kernel.sharing import Sharing
    from ovlctl.overlay.fates import Spot

_SHARED, _ENCODED = int(FIEMAP_EXTENT.SHARED), int(FIEMAP_EXTENT.ENCODED)


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of the shared extents of one inode.

    Attributes:
        won: Bytes that are given to it.
        elsewhere: Of these, the bytes that no other inode here has: somebody else shares them.
    """

    won: int
    elsewhere: int


class Extents:
    """Shared extents of inodes, which go by the numbers that the caller gives them."""

    def __init__(self) -> None:
        self._devices: dict[int, Sharing] = {}
        self._spaces: dict[tuple[bytes, int | None], int] = {}
        # One entry for each extent: where it begins and how long it is, in which space, and whose it is.
        self._starts, self._lengths = array("Q"), array("Q")
        self._at, self._slots = array("L"), array("L")

    def read(self, spot: Spot, name: str, attributes: Attributes, slot: int) -> bool:
        """Look at a regular file that has blocks.

        Args:
            spot: Its directory.
            name: In there.
            attributes: What it is.
            slot: Its number.

        Returns:
            Whether it is known what it shares.

        Raises:
            OSError: It cannot be opened.
        """
        known = self._devices.get(attributes.dev)
        if known is not None and known.telling is not Telling.EXTENTS:
            return known.telling is Telling.NOBODY
        fd = spot.layer.tree.descriptor(join(spot.path, name))
        if fd is None:
            return False
        try:
            if known is None:
                known = self._devices[attributes.dev] = sharing(fd)
            if known.telling is not Telling.EXTENTS:
                return known.telling is Telling.NOBODY
            return self._collect(fd, known.space, slot)
        finally:
            os.close(fd)

    def _collect(self, fd: int, space: bytes, slot: int) -> bool:
        measured = True
        for _, physical, length, flags in fiemap.mapped(fd, sync=False):
            encoded = flags & _ENCODED
            if encoded:
                measured = False
            if not flags & _SHARED:
                continue
            if encoded:
                # Its length says nothing of where the next one may begin: it is in a space of its own.
                self.take(slot, 0, length, (space, physical))
            else:
                self.take(slot, physical, length, (space, None))
        return measured

    def take(self, slot: int, start: int, length: int, space: tuple[bytes, int | None] = (b"", None)) -> None:
        """Enter an extent of the inode *slot* that others may have, too."""
        self._starts.append(start)
        self._lengths.append(length)
        self._at.append(self._spaces.setdefault(space, len(self._spaces)))
        self._slots.append(slot)

    def shared(self) -> dict[int, int]:
        """The bytes in shared extents, by number of the inode."""
        sums: dict[int, int] = {}
        for slot, length in zip(self._slots, self._lengths, strict=True):
            sums[slot] = sums.get(slot, 0) + length
        return sums

    def settle(self, rank: Callable[[int], int]) -> dict[int, Settled]:
        """Give each shared byte to one inode.

        Args:
            rank: Of several inodes the one with the lowest rank gets what they share.

        Returns:
            What each gets; one that gets nothing is left out.
        """
        order = sorted(range(len(self._at)), key=lambda extent: (self._at[extent], self._starts[extent]))
        won: dict[int, list[int]] = {}
        for _, extents in groupby(order, self._at.__getitem__):
            for slot, length, alone in self._sweep(list(extents), rank):
                sums = won.setdefault(slot, [0, 0])
                sums[0] += length
                sums[1] += length if alone else 0
        return {slot: Settled(*sums) for slot, sums in won.items()}

    def _sweep(self, extents: list[int], rank: Callable[[int], int]) -> Iterator[tuple[int, int, bool]]:
        # Stretches between any two points where an extent begins or ends: whose each is, and whether it is one's only.
        starts, lengths, slots = self._starts, self._lengths, self._slots
        best: list[tuple[int, int, int]] = []
        ends: list[int] = []
        at, here = 0, 0
        while at < len(extents) or ends:
            if not ends:
                here = starts[extents[at]]
            while at < len(extents) and starts[extents[at]] <= here:
                slot, end = slots[extents[at]], starts[extents[at]] + lengths[extents[at]]
                heapq.heappush(best, (rank(slot), slot, end))
                heapq.heappush(ends, end)
                at += 1
            stop = ends[0] if at == len(extents) else min(ends[0], starts[extents[at]])
            while best[0][2] <= here:
                heapq.heappop(best)
            if stop > here:
                yield best[0][1], stop - here, len(ends) == 1
            here = stop
            while ends and ends[0] <= here:
                heapq.heappop(ends)
        # Whoever is left in *best* has ended.
