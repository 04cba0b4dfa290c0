"""Who is told what becomes of each object of each layer, once, and what is the same in both uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.overlay.change import ChangeKind
from ovlctl.overlay.changes import changes
from ovlctl.overlay.fates import Fate
from ovlctl.overlay.resolution import Unreadable
from ovlctl.overlay.survey import Survey
from ovlctl.overlay.tree import Kind, join

if TYPE_CHECKING:
    from collections.abc import Callable

    from ovlctl.ops.reading import View
    from ovlctl.overlay.fates import Register, Spot
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.marks import Mark
    from ovlctl.overlay.resolution import Place
    from ovlctl.overlay.tree import Attributes

#: What the merged view would not be the same without; and what is no object of anybody's.
NEEDED = frozenset({Fate.VISIBLE, Fate.UNKNOWN, Fate.WHITEOUT, Fate.WORK})
_TICK = 1 << 12
# For Spot.number.
_SEEN, _HIDDEN = 0, 1


def survey(view: View, met: Register) -> None:
    """Tell *met* of every object of every layer.

    Raises:
        OSError: The root of the topmost layer cannot be looked at.
    """
    Survey(view.resolver, met, unchanged=_unchanged(view)).run()


def _unchanged(view: View) -> frozenset[str]:
    # Paths in the upper of what equals that which it hides.
    if view.below is None:
        return frozenset()
    return frozenset(
        change.above.path
        for change in changes(view.resolver, view.below)
        if not isinstance(change, Unreadable)
        and change.change is ChangeKind.UNCHANGED
        and change.above is not None
        and change.above.layer is view.layers.upper
    )


class Met:
    """A register that finds out of each object, once, whether it is needed; for subclasses to note.

    A survey enters an object again when something leads to it from elsewhere, which makes it needed, and most often
    before its own directory is listed, or after.
    """

    def __init__(self, tick: Callable[[int], None] | None) -> None:
        self._tick = tick
        self._count = 0
        self._listed: set[tuple[Layer, str]] = set()
        self._led_to: set[tuple[Layer, str]] = set()
        self._hidden: set[tuple[Layer, str]] = set()

    def begin(self, spot: Spot) -> None:
        """See :class:`~ovlctl.overlay.fates.Register`."""
        key = (spot.layer, spot.path)
        spot.fresh = key not in self._listed
        spot.number = _HIDDEN if key in self._hidden and key not in self._led_to else _SEEN
        self._listed.add(key)

    def enter(self, spot: Spot, name: str, attributes: Attributes, fate: Fate) -> None:
        """See :class:`~ovlctl.overlay.fates.Register`."""
        key = (spot.layer, join(spot.path, name) if name else spot.path)
        if not spot.fresh or not name:
            if fate is Fate.VISIBLE and key not in self._led_to:
                self._led_to.add(key)
                self._hidden.discard(key)
                self.needed(*key, attributes)
            return
        self._count += 1
        if self._tick is not None and self._count % _TICK == 0:
            self._tick(self._count)
        if key in self._led_to:
            fate = Fate.VISIBLE
        elif fate not in NEEDED and attributes.kind is Kind.DIRECTORY:
            self._hidden.add(key)
        self.met(spot, key[1], attributes, fate)

    def met(self, spot: Spot, path: str, attributes: Attributes, fate: Fate) -> None:
        """An object, for the only time; ``spot.number`` says whether its directory is hidden."""

    def needed(self, layer: Layer, path: str, attributes: Attributes) -> None:
        """Something leads to an object, which was met before or will be met as VISIBLE."""

    def mark(self, spot: Spot, mark: Mark) -> None:
        """Whiteouts are told by their fate."""

    def trouble(self, place: Place, number: int) -> None:
        """See :class:`~ovlctl.overlay.fates.Register`."""

    @staticmethod
    def in_hidden_directory(spot: Spot) -> bool:
        """Whether nothing leads into the directory any more."""
        return spot.number == _HIDDEN
