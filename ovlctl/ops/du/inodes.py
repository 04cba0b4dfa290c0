"""A table of inodes, each once, that a million of them can bear.

Kept for each is its fate, its size and the directory it was met in; not its name, which is looked up again for the few
that are shown. That is some hundred and thirty bytes for each.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from ovlctl.overlay.tree import Kind, join

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.overlay.fates import Fate, Spot
    from ovlctl.overlay.tree import Attributes


# What else is to be known of an inode: bits, as plain numbers, since operators of IntFlag are thirty times slower.
#: It is a directory.
DIRECTORY = 1
#: The names in it have been met.
LISTED = 2
#: It is unknown what it shares, or what compression leaves of it.
UNMEASURED = 4


# A global is found sooner than a member of an enumeration.
_DIRECTORY, _FILE, _SYMLINK = Kind.DIRECTORY, Kind.FILE, Kind.SYMLINK


class Inodes:
    """Inodes by number, in the order they were met.

    Attributes:
        fates: The best of the fates that each was met with.
        flags: Of each the sum of ``DIRECTORY``, ``LISTED`` and ``UNMEASURED`` that is so.
        blocks: Units of 512 bytes.
        sizes: Of regular files and symbolic links, else 0.
        homes: The number in *paths* of the directory that each was met in with this fate; of a directory its own.
        paths: Directories, by path in their layer.
        sources: The number of each of *paths*' sources.
    """

    def __init__(self) -> None:
        self._numbers: dict[int, dict[int, int]] = {}
        self.fates, self.flags = array("B"), array("B")
        self.blocks, self.sizes = array("Q"), array("Q")
        self.homes = array("L")
        self.paths: list[str] = []
        self.sources = array("L")

    def __len__(self) -> int:
        """How many there are."""
        return len(self.fates)

    def number(self, attributes: Attributes) -> int | None:
        """The number of an inode that was met."""
        inodes = self._numbers.get(attributes.dev)
        return None if inodes is None else inodes.get(attributes.ino)

    def add(self, attributes: Attributes, fate: Fate, home: int) -> int:
        """Enter an inode that was not met before, and give its number."""
        kind = attributes.kind
        number = len(self.fates)
        inodes = self._numbers.get(attributes.dev)
        if inodes is None:
            inodes = self._numbers[attributes.dev] = {}
        inodes[attributes.ino] = number
        self.fates.append(fate)
        self.flags.append(DIRECTORY if kind is _DIRECTORY else 0)
        self.blocks.append(attributes.blocks)
        self.sizes.append(attributes.size if kind is _FILE or kind is _SYMLINK else 0)
        self.homes.append(home)
        return number

    def home(self, spot: Spot, source: int, name: str, attributes: Attributes) -> int:
        """The number in :attr:`paths` for an object called *name* in *spot*; one is made where there is none."""
        if attributes.kind is _DIRECTORY:
            return self._path(join(spot.path, name) if name else spot.path, source)
        if spot.number < 0:
            known = self.number(spot.attributes)
            spot.number = self._path(spot.path, source) if known is None else self.homes[known]
        return spot.number

    def source(self, number: int) -> int:
        """The number of the source that an inode counts for."""
        return self.sources[self.homes[number]]

    def identities(self) -> Iterator[tuple[int, int, int]]:
        """Device, inode number and number of each."""
        for dev, inodes in self._numbers.items():
            for ino, number in inodes.items():
                yield dev, ino, number

    def _path(self, path: str, source: int) -> int:
        self.paths.append(path)
        self.sources.append(source)
        return len(self.paths) - 1
