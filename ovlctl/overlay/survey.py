"""Every object of every layer with its fate: a walk for stacks of a million files.

:func:`ovlctl.overlay.merged.walk` says more of each name and takes ten times as long. Here the resolver is asked only
where the answer depends on more than one object: for directories, metadata-only files, hard links under an index, and
where something could not be read. Any other object that is the topmost of its name provides it, or is a whiteout, and
what is below it is shadowed, or whited out. A test compares these two short cuts with the resolver's own answers.

Law: every object of every layer is entered at least once, and what is entered as VISIBLE or UNCHANGED is shown by a
mount of the stack, holds data that it shows, or is a directory on the way there.

The directories of the merged view come first and then what they leave out, trees behind whiteouts, opaque directories
and other things: what a redirect leads to is known before its old place is met. A merged directory made of the same
parts as another is walked once, however many names lead there. The names of a directory that several layers have are
kept while it is listed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ovlctl.overlay.fates import Fate, Spot, fate_beside, needed_by
from ovlctl.overlay.layers import Role
from ovlctl.overlay.marks import Mark, Opaque, Prefix, decode_opaque
from ovlctl.overlay.resolution import Place
from ovlctl.overlay.tree import Attributes, Kind, join

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterator

    from ovlctl.overlay.fates import Register
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.resolution import Resolution
    from ovlctl.overlay.resolver import Resolver


@dataclass(slots=True)
class _Question:
    """A name that the resolver is to be asked about: how many parts are known not to have it, and what others have."""

    start: int
    met: list[tuple[Spot, Attributes]] = field(default_factory=list)


class Survey:
    """The walk over one stack.

    Args:
        resolver: The stack's.
        register: Told of everything.
        unchanged: Paths in the upper of what equals that which it hides.
        apart: Directories, by device and inode number, that are accounted for elsewhere although they lie inside a
            layer, such as an upper inside a lower: left out.
    """

    def __init__(
        self,
        resolver: Resolver,
        register: Register,
        *,
        unchanged: Container[str] = (),
        apart: Container[tuple[int, int]] = (),
    ) -> None:
        self._resolver = resolver
        self._register = register
        self._unchanged = unchanged
        self._apart = apart
        self._prefix = None if resolver.following.blind else resolver.following.prefix
        # The marks on a file that are not for it alone to answer.
        self._deciding = frozenset(self._prefix + mark for mark in (Mark.METACOPY, Mark.WHITEOUT) if self._prefix)
        self._indexed = resolver.layers.index is not None
        self._walked: set[tuple[Place, ...]] = set()
        self._on_the_way: dict[Place, Spot] = {}
        self._left_out: list[tuple[Spot, Fate]] = []

    def run(self) -> None:
        """Walk.

        Raises:
            OSError: The root of the topmost layer cannot be looked at.
        """
        root = self._resolver.root()
        pending = [self._directory(root, [self._root(place.layer, Fate.VISIBLE) for place in root.stack])]
        while pending:
            found = next(pending[-1], None)
            if found is None:
                pending.pop()
            else:
                pending.append(self._directory(*found))
        for layer in self._resolver.layers.data:
            self.whole(layer, Fate.UNUSED)
        while self._left_out:
            self._tree(*self._left_out.pop())

    def whole(self, layer: Layer, fate: Fate) -> None:
        """Enter all of *layer* with one fate: a data-only layer, or a work directory."""
        root = self._root(layer, fate)
        if root is not None:
            self._tree(root, fate)

    def _root(self, layer: Layer, fate: Fate) -> Spot | None:
        root = self._look(Place(layer, ""))
        if root is not None:
            self._register.enter(root, "", root.attributes, fate)
        return root

    def _directory(
        self, directory: Resolution, parts: list[Spot | None]
    ) -> Iterator[tuple[Resolution, list[Spot | None]]]:
        # Enters what is in a directory of the merged view, and gives the directories in it with their own parts.
        if any(place.path != directory.path for place in directory.stack):
            if directory.stack in self._walked:
                return
            self._walked.add(directory.stack)
        for name, question in self._listed(parts):
            if self._is_unchanged(directory, name, question):
                continue
            found = self._resolver.child(directory, name, start=question.start)
            spots = self._answered(found, question)
            if found.is_directory:
                yield found, [spots.get(place) for place in found.stack]

    def _listed(self, parts: list[Spot | None]) -> list[tuple[str, _Question]]:
        # Enters the names that are plain, and gives the others.
        states: dict[str, Fate | _Question] = {}
        complete = True
        for at, spot in enumerate(parts):
            # A name that one part may have unseen is not known to be absent from it.
            complete = self._part(spot, states, at if complete else None, last=at == len(parts) - 1) and complete
        return [(name, state) for name, state in states.items() if isinstance(state, _Question)]

    def _part(self, spot: Spot | None, states: dict[str, Fate | _Question], start: int | None, *, last: bool) -> bool:
        # Whether all names of the part were seen.
        if spot is None:
            return False
        self._register.begin(spot)
        try:
            for name, attributes, marked in spot.layer.tree.marked(spot.path, self._deciding):
                self._name(spot, name, attributes, states, start, marked=marked, last=last)
        except OSError as error:
            self._register.trouble(Place(spot.layer, spot.path), error.errno or 0)
            return False
        return True

    def _name(
        self,
        spot: Spot,
        name: str,
        attributes: Attributes | OSError,
        states: dict[str, Fate | _Question],
        start: int | None,
        *,
        marked: bool,
        last: bool,
    ) -> None:
        state = states.get(name)
        if isinstance(attributes, OSError):
            self._register.trouble(Place(spot.layer, join(spot.path, name)), attributes.errno or 0)
            if state is None:
                states[name] = _Question(start or 0)
        elif state is None:
            fate = None if start is None else self._topmost(spot, name, attributes, marked=marked)
            if fate is None:
                states[name] = _Question(start or 0, [(spot, attributes)])
                return
            self._register.enter(spot, name, attributes, fate)
            if not last:
                states[name] = fate
        elif isinstance(state, _Question):
            state.met.append((spot, attributes))
        else:
            self._below(spot, name, attributes, state)

    def _topmost(self, spot: Spot, name: str, attributes: Attributes, *, marked: bool) -> Fate | None:
        # The fate of an object that nothing is above of; None: the resolver is to be asked.
        kind = attributes.kind
        if kind is Kind.DIRECTORY:
            return None
        path = join(spot.path, name)
        if kind is Kind.FILE and marked:
            marks = self._marks(spot.layer, path)
            if marks is None or Mark.METACOPY in marks:
                return None
            if attributes.size == 0 and Mark.WHITEOUT in marks and self._resolver.following.xattr_whiteouts:
                return self._whiteout(spot)
        elif kind is Kind.CHARACTER and attributes.rdev == 0:
            return self._whiteout(spot)
        if spot.layer.role is Role.UPPER:
            refused = self._resolver.origins.may_be_refused(Place(spot.layer, path), attributes)
            return None if refused or path in self._unchanged else Fate.VISIBLE
        # With index=on alone, what has one name is in no index.
        return None if self._indexed and attributes.nlink > 1 else Fate.VISIBLE

    def _below(self, spot: Spot, name: str, attributes: Attributes, above: Fate) -> None:
        # An object below something plain, or below a whiteout.
        fate = Fate.WHITED_OUT if above is Fate.WHITEOUT else Fate.SHADOWED
        self._lost(spot, name, attributes, fate)

    def _lost(self, spot: Spot, name: str, attributes: Attributes, fate: Fate) -> None:
        # An object that is not seen under this name.
        if self._is_whiteout(spot, name, attributes):
            fate = self._whiteout(spot)
        elif attributes.kind is Kind.DIRECTORY:
            if self._is_apart(attributes):
                return
            inside = Fate.BEHIND_OTHER if fate is Fate.SHADOWED else fate
            self._left_out.append((Spot(spot.layer, join(spot.path, name), attributes), inside))
        self._register.enter(spot, name, attributes, fate)

    def _is_unchanged(self, directory: Resolution, name: str, question: _Question) -> bool:
        # Whether the upper's object equals what it hides; both are entered then. Either can go, but not both: it is the
        # upper's that is called unchanged, and what it hides is as good as seen.
        if not question.met:
            return False
        spot, attributes = question.met[0]
        if spot.layer.role is not Role.UPPER or attributes.kind is Kind.DIRECTORY:
            return False
        if join(spot.path, name) not in self._unchanged:
            return False
        below = self._resolver.child(directory, name, start=1)
        if not below.exists or below.is_directory:
            return False
        self._register.enter(spot, name, attributes, Fate.UNCHANGED)
        self._answered(below, _Question(1, question.met[1:]))
        return True

    def _answered(self, found: Resolution, question: _Question) -> dict[Place, Spot]:
        # Enters what was met of a name that the resolver was asked about, and gives what lists each part of it.
        needed = needed_by(found)
        parts: dict[Place, Spot] = {}
        for spot, attributes in question.met:
            place = Place(spot.layer, join(spot.path, found.name))
            if place not in needed:
                self._lost(spot, found.name, attributes, fate_beside(found, place))
                continue
            needed.remove(place)
            if not self._is_apart(attributes):
                parts[place] = self._seen(spot, place, attributes)
        for place in needed:
            if (elsewhere := self._led_to(place)) is not None:
                parts[place] = elsewhere
        for unreadable in found.unreadable:
            self._register.trouble(unreadable.place, unreadable.errno)
        return parts

    def _seen(self, spot: Spot, place: Place, attributes: Attributes) -> Spot:
        # An object of *spot* that is a part of what is seen.
        marks = self._marks(place.layer, place.path) or ()
        counting = {Mark.REDIRECT}
        if attributes.kind is Kind.FILE:
            counting.add(Mark.METACOPY)
        elif Mark.OPAQUE in marks and self._is_opaque(place):
            counting.add(Mark.OPAQUE)
        for mark in counting.intersection(marks):
            self._register.mark(spot, mark)
        self._register.enter(spot, place.path.rpartition("/")[2], attributes, Fate.VISIBLE)
        return Spot(place.layer, place.path, attributes)

    def _led_to(self, place: Place) -> Spot | None:
        # What a redirect or the index leads to; what lies on the way there is needed, too.
        above = self._way(Place(place.layer, place.path.rpartition("/")[0]))
        found = self._look(place)
        if found is not None and above is not None:
            self._register.enter(above, place.path.rpartition("/")[2], found.attributes, Fate.VISIBLE)
        return found

    def _way(self, place: Place) -> Spot | None:
        # A directory that is needed, and all above it.
        below: list[Spot] = []
        while (above := self._on_the_way.get(place)) is None:
            spot = self._look(place)
            if spot is None:
                return None
            below.append(spot)
            if not place.path:
                break
            place = Place(place.layer, place.path.rpartition("/")[0])
        while below:
            spot = below.pop()
            self._register.enter(above or spot, spot.path.rpartition("/")[2], spot.attributes, Fate.VISIBLE)
            above = self._on_the_way[Place(spot.layer, spot.path)] = spot
        return above

    def _tree(self, root: Spot, fate: Fate) -> None:
        # What is below a directory that is not seen.
        pending = [root]
        while pending:
            spot = pending.pop()
            self._register.begin(spot)
            if not spot.fresh:
                # Listed before: as a part of what is seen, or for the same fate.
                continue
            try:
                for name, attributes in spot.layer.tree.entries(spot.path):
                    if isinstance(attributes, OSError):
                        self._register.trouble(Place(spot.layer, join(spot.path, name)), attributes.errno or 0)
                    elif attributes.kind is not Kind.DIRECTORY:
                        out = fate is not Fate.WORK and self._is_whiteout(spot, name, attributes)
                        self._register.enter(spot, name, attributes, self._whiteout(spot) if out else fate)
                    elif not self._is_apart(attributes):
                        self._register.enter(spot, name, attributes, fate)
                        pending.append(Spot(spot.layer, join(spot.path, name), attributes))
            except OSError as error:
                self._register.trouble(Place(spot.layer, spot.path), error.errno or 0)

    def _look(self, place: Place) -> Spot | None:
        try:
            attributes = place.layer.tree.lstat(place.path)
        except OSError as error:
            self._register.trouble(place, error.errno or 0)
            return None
        return None if attributes is None else Spot(place.layer, place.path, attributes)

    def _whiteout(self, spot: Spot) -> Fate:
        self._register.mark(spot, Mark.WHITEOUT)
        return Fate.WHITEOUT

    def _is_whiteout(self, spot: Spot, name: str, attributes: Attributes) -> bool:
        if attributes.kind is Kind.FILE and attributes.size == 0:
            marked = Mark.WHITEOUT in (self._marks(spot.layer, join(spot.path, name)) or ())
            return marked and self._resolver.following.xattr_whiteouts
        return attributes.kind is Kind.CHARACTER and attributes.rdev == 0

    def _is_apart(self, attributes: Attributes) -> bool:
        return attributes.kind is Kind.DIRECTORY and (attributes.dev, attributes.ino) in self._apart

    def _is_opaque(self, place: Place) -> bool:
        try:
            value = place.layer.tree.xattr(place.path, self._resolver.following.prefix + Mark.OPAQUE)
        except OSError:
            return False
        return value is not None and decode_opaque(value) is Opaque.YES

    def _marks(self, layer: Layer, path: str) -> Collection[str] | None:
        # The marks that can be seen, without their prefix; None where that cannot be told.
        prefix = self._prefix
        if prefix is None or (prefix is Prefix.TRUSTED and not layer.tree.trusted):
            return ()
        try:
            names = layer.tree.xattr_names(path)
        except OSError:
            return None
        return [name.removeprefix(prefix) for name in names if name.startswith(prefix)] if names else ()
