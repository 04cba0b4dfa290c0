"""What becomes of the space that an object of a layer takes: pure values, and who is told of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

from ovlctl.overlay.candidates import why_lost
from ovlctl.overlay.resolution import Outcome, Rule, Verdict

if TYPE_CHECKING:
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.marks import Mark
    from ovlctl.overlay.resolution import Place, Resolution
    from ovlctl.overlay.tree import Attributes


class Fate(IntEnum):
    """What an object is to the merged view, the best first: an inode with several names has the best of their fates.

    ``VISIBLE`` is needed for what is seen: it provides a name, is a part of a merged directory, holds the data of a
    metadata-only file, or is a directory on the way to such an object. ``UNKNOWN`` could not be told for want of
    permission. ``UNCHANGED`` provides a name in the upper and equals what it hides, which is VISIBLE then: either will
    do, but one has to stay. ``SHADOWED`` has its name taken by a higher layer.

    Then the ways to be hidden. ``WHITED_OUT``; ``BEHIND_OPAQUE`` directory; ``BEHIND_OTHER``, something that is no
    directory; ``REDIRECTED``, the lookup goes on in another place; ``REFUSED``, the lookup of the name fails;
    ``UNUSED``, in a data-only layer without a file that refers to it.

    ``WHITEOUT`` is one, ``WORK`` is overlayfs's own.
    """

    VISIBLE = 0
    UNKNOWN = 1
    UNCHANGED = 2
    SHADOWED = 3
    WHITED_OUT = 4
    BEHIND_OPAQUE = 5
    BEHIND_OTHER = 6
    REDIRECTED = 7
    REFUSED = 8
    UNUSED = 9
    WHITEOUT = 10
    WORK = 11

    @property
    def hidden(self) -> bool:
        """Whether it is one of the ways to be hidden."""
        return Fate.WHITED_OUT <= self <= Fate.UNUSED


_OF_VERDICT = {
    Verdict.WHITEOUT: Fate.WHITEOUT,
    Verdict.UNREADABLE: Fate.UNKNOWN,
    Verdict.WHITED_OUT: Fate.WHITED_OUT,
    Verdict.BEHIND_OPAQUE: Fate.BEHIND_OPAQUE,
    Verdict.BEHIND_NOT_DIRECTORY: Fate.BEHIND_OTHER,
}


@dataclass(slots=True, eq=False)
class Spot:
    """A directory of a layer in which names are met.

    Attributes:
        layer: The layer.
        path: In the layer.
        attributes: The directory itself.
        fresh: Whether it is listed for the first time; what is in it is counted then, and never again.
        number: For the register's own use.
    """

    layer: Layer
    path: str
    attributes: Attributes
    fresh: bool = False
    number: int = -1


class Register(Protocol):
    """Who keeps account of what is met."""

    def begin(self, spot: Spot) -> None:
        """The names in *spot*, which has been entered itself, come next: to set :attr:`Spot.fresh`."""

    def enter(self, spot: Spot, name: str, attributes: Attributes, fate: Fate) -> None:
        """An object was met: *name* in *spot*; ``""`` is *spot* itself, the root of its layer.

        The same inode may be met again, by the same or another name and with another fate.
        """

    def mark(self, spot: Spot, mark: Mark) -> None:
        """An object in *spot* is a whiteout of whichever kind, or is seen and has another mark that counts."""

    def trouble(self, place: Place, number: int) -> None:
        """What is at *place* could not be looked at or listed: the errno."""


def needed_by(found: Resolution) -> set[Place]:
    """What has to be there for *found* to be so; nothing when it does not exist."""
    if not found.exists:
        return set()
    needed = set(found.stack)
    if found.data is not None:
        needed.add(found.data)
    # A metadata-only file in between may have the redirect that leads to the data; and an index gives a file to a name
    # that the lower has.
    kept = {Verdict.METADATA_ONLY, Verdict.PROVIDES} if found.rule is Rule.INDEXED else {Verdict.METADATA_ONLY}
    needed.update(candidate.place for candidate in found.candidates if candidate.verdict in kept)
    return needed


def fate_beside(found: Resolution, place: Place) -> Fate:
    """The fate of an object at *place*, under the name of *found*, that is not :func:`needed_by` it."""
    if found.outcome is Outcome.UNKNOWN:
        return Fate.UNKNOWN
    if found.outcome is Outcome.REFUSED:
        return Fate.REFUSED
    same_layer = [candidate for candidate in found.candidates if candidate.place.layer is place.layer]
    here = next((candidate for candidate in same_layer if candidate.place == place), None)
    if here is None and same_layer:
        return Fate.REDIRECTED
    return _OF_VERDICT.get(why_lost(found) if here is None else here.verdict, Fate.SHADOWED)
