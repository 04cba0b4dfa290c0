"""Layers in figures: what each holds, adds and hides, and what of it nobody sees.

Law: an object counts as wasted only when :mod:`ovlctl.overlay.survey` says that the merged view would be the same
without it.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ovlctl.ops.atlas.atlas import DIRECTORY, Flag, Sign
from ovlctl.ops.atlas.layers import every
from ovlctl.ops.atlas.met import NEEDED, Met, survey
from ovlctl.ops.atlas.summary import LayerSummary, Wasted
from ovlctl.overlay.fates import Fate
from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from ovlctl.ops.atlas.atlas import Atlas
    from ovlctl.ops.reading import View
    from ovlctl.overlay.fates import Spot
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.resolution import Place
    from ovlctl.overlay.tree import Attributes

_LARGEST = 10


def summaries(view: View, atlas: Atlas, *, tick: Callable[[int], None] | None = None) -> tuple[LayerSummary, ...]:
    """What is to be said of each layer, by number.

    Args:
        view: An open stack.
        atlas: Its whole merged view, from :func:`ovlctl.ops.atlas.scan.merged`.
        tick: Called now and then with the number of objects so far.

    Raises:
        OSError: The root of the topmost layer cannot be looked at.
    """
    books = _Books(every(view), tick)
    survey(view, books)
    adds, hides = _at_the_top(atlas)
    return tuple(
        page.summary(number, layer, adds[number], hides[number])
        for number, (layer, page) in enumerate(books.pages.items())
    )


def _at_the_top(atlas: Atlas) -> tuple[Counter[int], Counter[int]]:
    # By layer: names that it alone has, and names of layers below that it takes away.
    adds, hides = Counter[int](), Counter[int]()
    groups = Counter(zip(atlas.providers, atlas.signs, atlas.kinds, atlas.flags, strict=True))
    for (provider, sign, kind, flags), count in groups.items():
        covers = bool(flags & Flag.COVERS)
        if sign == Sign.WHITEOUT:
            hides[provider] += count if covers else 0
        elif sign not in {Sign.HIDDEN, Sign.ODD} and kind != DIRECTORY:
            (hides if covers else adds)[provider] += count
    return adds, hides


@dataclass(slots=True)
class _Inode:
    """A file with several names in a layer: it is wasted when none of them is needed."""

    size: int
    path: str
    needed: bool


@dataclass(slots=True)
class _Page:
    """The account of one layer."""

    files: int = 0
    directories: int = 0
    size: int = 0
    whiteouts: int = 0
    wasted_files: int = 0
    wasted: int = 0
    unreadable: int = 0
    _largest: list[tuple[int, str]] = field(default_factory=list)
    _linked: dict[tuple[int, int], _Inode] = field(default_factory=dict)
    # What is hidden as far as is known: something may lead to it yet.
    _hidden: dict[str, int] = field(default_factory=dict)

    def enter(self, path: str, attributes: Attributes, fate: Fate, *, final: bool) -> None:
        """An object; *final* says that nothing leads to it any more."""
        if attributes.kind is Kind.DIRECTORY:
            self.directories += 1
        elif fate is Fate.WHITEOUT:
            self.whiteouts += 1
        else:
            self._file(path, attributes, needed=fate in NEEDED, final=final)

    def _file(self, path: str, attributes: Attributes, *, needed: bool, final: bool) -> None:
        size = attributes.size if attributes.kind is Kind.FILE else 0
        self.files += 1
        if attributes.nlink > 1:
            key = (attributes.dev, attributes.ino)
            inode = self._linked.get(key)
            if inode is None:
                self._linked[key] = _Inode(size, path, needed)
                self.size += size
            else:
                inode.needed = inode.needed or needed
            # Its bytes are told at the end.
            size = 0
        else:
            self.size += size
        if not needed and final:
            self._waste(path, size)
        elif not needed:
            self._hidden[path] = size

    def needed(self, path: str, attributes: Attributes) -> None:
        """Something leads to an object that was met, or will be."""
        self._hidden.pop(path, None)
        if attributes.nlink > 1 and (inode := self._linked.get((attributes.dev, attributes.ino))) is not None:
            inode.needed = True

    def _waste(self, path: str, size: int, names: int = 1) -> None:
        self.wasted_files += names
        self.wasted += size
        if size and len(self._largest) < _LARGEST:
            heapq.heappush(self._largest, (size, path))
        elif size and size > self._largest[0][0]:
            heapq.heapreplace(self._largest, (size, path))

    def summary(self, number: int, layer: Layer, adds: int, hides: int) -> LayerSummary:
        """The account as it stands when all was met."""
        for path, size in self._hidden.items():
            self._waste(path, size)
        for inode in self._linked.values():
            if not inode.needed:
                self._waste(inode.path, inode.size, names=0)
        return LayerSummary(
            number=number,
            role=layer.role,
            index=layer.index,
            directory=layer.directory,
            files=self.files,
            directories=self.directories,
            size=self.size,
            adds=adds,
            hides=hides,
            whiteouts=self.whiteouts,
            wasted_files=self.wasted_files,
            wasted=self.wasted,
            largest=tuple(Wasted(path=path, size=size) for size, path in sorted(self._largest, reverse=True)),
            unreadable=self.unreadable,
        )


class _Books(Met):
    """One account for each layer."""

    def __init__(self, layers: tuple[Layer, ...], tick: Callable[[int], None] | None) -> None:
        super().__init__(tick)
        self.pages = {layer: _Page() for layer in layers}

    def met(self, spot: Spot, path: str, attributes: Attributes, fate: Fate) -> None:
        if (page := self.pages.get(spot.layer)) is not None:
            page.enter(path, attributes, fate, final=self.in_hidden_directory(spot))

    def needed(self, layer: Layer, path: str, attributes: Attributes) -> None:
        if (page := self.pages.get(layer)) is not None:
            page.needed(path, attributes)

    def trouble(self, place: Place, number: int) -> None:  # noqa: ARG002 -- as the register has it
        if (page := self.pages.get(place.layer)) is not None:
            page.unreadable += 1
