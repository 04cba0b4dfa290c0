"""Layers one by one: what each holds, with what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING

from ovlctl.ops.atlas.atlas import DIRECTORY, KINDS, Flag, Growing, Sign
from ovlctl.ops.atlas.met import Met, survey
from ovlctl.ops.reading.layer_names import name_of
from ovlctl.overlay.fates import Fate
from ovlctl.overlay.layers import Role
from ovlctl.overlay.tree import Kind, join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ovlctl.ops.atlas.atlas import Atlas
    from ovlctl.ops.reading import View
    from ovlctl.overlay.fates import Spot
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.tree import Attributes

_NUMBER = {kind: number for number, kind in enumerate(KINDS)}


def every(view: View) -> tuple[Layer, ...]:
    """The layers by number: the upper, the lowers from the topmost on, data-only lowers."""
    return (*view.layers.merged, *view.layers.data)


def labels(view: View) -> tuple[str, ...]:
    """What each layer is called, by number: ``upper``, ``lower:0``, ``data:0``."""
    return tuple(str(name_of(layer)) for layer in every(view))


def of_layer(view: View, number: int, *, tick: Callable[[int], None] | None = None) -> Atlas:
    """What one layer holds, at the paths that it has there.

    The signs say what becomes of it: ADDED and CHANGED are seen, without and with something in layers below at the
    path; UNCHANGED equals what it hides; HIDDEN is not seen; ODD could not be told.

    Args:
        view: An open stack.
        number: Of the layer.
        tick: Called now and then with the number of objects so far.

    Raises:
        OSError: The root of a layer cannot be looked at.
    """
    layer = every(view)[number]
    fates = _Fates(layer, tick)
    survey(view, fates)
    return _Rows(view, number, fates.known).walk()


class _Fates(Met):
    """What becomes of the objects of one layer, where that is not what becomes of the directory they are in.

    Attributes:
        known: By path.
    """

    def __init__(self, layer: Layer, tick: Callable[[int], None] | None) -> None:
        super().__init__(tick)
        self.known: dict[str, Sign] = {}
        self._layer = layer

    def met(self, spot: Spot, path: str, attributes: Attributes, fate: Fate) -> None:  # noqa: ARG002 -- as above
        if spot.layer is not self._layer:
            return
        sign = _sign(fate)
        if sign is not (Sign.HIDDEN if self.in_hidden_directory(spot) else Sign.SAME):
            self.known[path] = sign

    def needed(self, layer: Layer, path: str, attributes: Attributes) -> None:  # noqa: ARG002 -- as above
        if layer is self._layer:
            self.known[path] = Sign.SAME


def _sign(fate: Fate) -> Sign:
    if fate in {Fate.VISIBLE, Fate.WORK}:
        return Sign.SAME
    return {Fate.WHITEOUT: Sign.WHITEOUT, Fate.UNCHANGED: Sign.UNCHANGED, Fate.UNKNOWN: Sign.ODD}.get(fate, Sign.HIDDEN)


@dataclass(frozen=True, slots=True)
class _Open:
    """A directory whose rows are being added: each step adds some, and gives a directory in it."""

    row: int
    directories: Iterator[_Open]


class _Rows:
    """The rows of one layer, in order."""

    def __init__(self, view: View, number: int, known: dict[str, Sign]) -> None:
        self._layer, self._number, self._known = every(view)[number], number, known
        self._lower = () if self._layer.role is Role.DATA else view.layers.merged[number + 1 :]
        self._growing = Growing()

    def walk(self) -> Atlas:
        root = self._layer.tree.lstat("")
        size = 0 if root is None else root.size
        row = self._growing.add("", 0, 0, DIRECTORY, Sign.SAME, self._number, size)
        pending = [_Open(row, self._directory(row, "", Sign.SAME, self._lower, 1))]
        while pending:
            below = next(pending[-1].directories, None)
            if below is None:
                self._growing.close(pending.pop().row)
            else:
                pending.append(below)
        return self._growing.done()

    def _directory(self, row: int, path: str, inherited: Sign, lower: tuple[Layer, ...], depth: int) -> Iterator[_Open]:
        """Adds the rows of one directory, and gives each directory in it with its own."""
        entries: list[tuple[str, Attributes]] = []
        try:
            for name, found in self._layer.tree.entries(path):
                if isinstance(found, OSError):
                    self._growing.flags[row] |= Flag.UNREADABLE
                else:
                    entries.append((name, found))
        except OSError:
            self._growing.flags[row] |= Flag.UNREADABLE
        names_below = [(layer, _names(layer, path)) for layer in lower]
        lower = tuple(layer for layer, names in names_below if names)
        taken = frozenset[str]().union(*(names for _, names in names_below))
        for name, attributes in sorted(entries, key=itemgetter(0)):
            at = join(path, name)
            fate = self._known.get(at, inherited)
            sign = fate if fate is not Sign.SAME else Sign.CHANGED if name in taken else Sign.ADDED
            below = self._growing.add(name, row, depth, _NUMBER[attributes.kind], sign, self._number, attributes.size)
            if attributes.kind is Kind.DIRECTORY:
                carried = Sign.HIDDEN if fate is Sign.HIDDEN else Sign.SAME
                yield _Open(below, self._directory(below, at, carried, lower, depth + 1))


def _names(layer: Layer, path: str) -> frozenset[str]:
    # What a layer has at that path, as far as it can be read.
    try:
        return frozenset(name for name, _ in layer.tree.scandir(path))
    except OSError:
        return frozenset()
