"""The merged view as an atlas: one pass over the layers, in which each object is looked at once.

Law: the rows that are neither WHITEOUT, HIDDEN nor ODD are what a mount of the stack shows: paths, kinds, sizes, and
the layer that supplies each. The others are names that some layer has and the merged view does not.

:func:`ovlctl.overlay.merged.walk` says the same at a third of the pace. Here the resolver is asked only where the
answer depends on more than the topmost object of a name: for directories, whiteouts, files with marks that make the
layers below count, and everything where marks cannot be seen or an index counts. A directory that redirects lead to
from several places is listed at the first; at the others it stays UNREAD.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from ovlctl.ops.atlas.atlas import KINDS, Flag, Growing, Sign
from ovlctl.ops.atlas.summary import MergedSummary
from ovlctl.ops.reading.paths import not_seen, plain
from ovlctl.overlay.comparison import Object, compare
from ovlctl.overlay.resolution import Outcome, Place, Verdict
from ovlctl.overlay.tree import Attributes, Kind, join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ovlctl.ops.atlas.atlas import Atlas
    from ovlctl.ops.reading import View
    from ovlctl.overlay.resolution import Resolution

_NUMBER = {kind: number for number, kind in enumerate(KINDS)}
_TICK = 1 << 12


def merged(
    view: View,
    path: str = "",
    *,
    status: bool = False,
    depth: int | None = None,
    tick: Callable[[int], None] | None = None,
) -> tuple[Atlas, MergedSummary]:
    """The merged view below *path*, or *path* alone when it is no directory.

    Args:
        view: An open stack.
        path: From the root of the merged view; row 0 is what is there.
        status: Keep mode, owner and time of every row.
        depth: How many levels below *path*; directories of the last one are flagged UNREAD. None for all.
        tick: Called now and then with the number of rows so far.

    Raises:
        PathNotInStack: The merged view has nothing there.
        OSError: The root of the topmost layer cannot be looked at.
    """
    return _Scan(view, status=status, depth=depth, tick=tick).run(plain(path))


_NOTHING = Attributes(kind=Kind.FILE, mode=0)


class _Part(NamedTuple):
    """The directory of one layer, as a part of a merged one, or behind what hides it.

    Attributes:
        number: Of the layer.
        counts: Whether the merged directory is made of it.
    """

    number: int
    place: Place
    counts: bool


class _Had(NamedTuple):
    """What one part has of a name.

    Attributes:
        attributes: None where they could not be read.
        marked: Whether it is a file with a mark that makes the layers below count, or may be one.
    """

    part: _Part
    attributes: Attributes | None
    marked: bool

    @property
    def is_directory(self) -> bool:
        return self.attributes is not None and self.attributes.kind is Kind.DIRECTORY

    @property
    def is_whiteout(self) -> bool:
        return self.attributes is not None and self.attributes.kind is Kind.CHARACTER and self.attributes.rdev == 0

    def place(self, name: str) -> Place:
        return Place(self.part.place.layer, join(self.part.place.path, name))

    def object(self, name: str) -> Object:
        attributes = self.attributes or _NOTHING
        return Object(self.place(name), attributes, attributes.nlink, self.place(name))


@dataclass(slots=True)
class _Frame:
    """A directory whose rows are being added.

    Attributes:
        found: None for one that is hidden.
        names: Those left, in order, each with who has it, topmost first.
        level: The depth of its rows.
    """

    row: int
    found: Resolution | None
    names: Iterator[tuple[str, list[_Had]]]
    level: int


@dataclass(slots=True)
class _Run:
    """Neighbouring names that are seen as they are."""

    names: list[str] = field(default_factory=list)
    attributes: list[Attributes] = field(default_factory=list)


@dataclass(slots=True)
class _Sums:
    files: int = 0
    directories: int = 0
    size: int = 0
    added: int = 0
    changed: int = 0
    deleted: int = 0
    unreadable: int = 0


class _Scan:
    def __init__(self, view: View, *, status: bool, depth: int | None, tick: Callable[[int], None] | None) -> None:
        self._view = view
        self._resolver = view.resolver
        self._numbers = {layer: number for number, layer in enumerate((*view.layers.merged, *view.layers.data))}
        if view.layers.index is not None:
            # What the index has of a hard link is the upper's.
            self._numbers[view.layers.index] = 0
        self._upper = 0 if view.layers.upper is not None else None
        self._followings = (view.resolver.following, (view.below or view.resolver).following)
        self._growing = Growing(status=status)
        self._depth = depth
        self._tick = tick
        self._ticked = 0
        self._sums = _Sums()
        self._redirected: set[tuple[Place, ...]] = set()
        blind = view.resolver.following.blind
        # Hard links may be in the index, and marks that cannot be seen may say anything.
        self._plain = view.resolver.sees_all_marks or blind
        self._counting = frozenset[str]() if blind or not self._plain else view.resolver.counting

    def run(self, path: str) -> tuple[Atlas, MergedSummary]:
        found = self._resolver.resolve(path, complete=True)
        if not found.exists or found.attributes is None:
            raise not_seen(found, self._view.subject)
        root = self._row("", 0, 0, found.attributes, self._sign(found, []), self._numbers[found.stack[0].layer])
        if found.is_directory:
            self._walk(_Frame(root, found, self._names(root, found, self._hidden_beside(found), 1), 1))
        sums = self._sums
        return self._growing.done(), MergedSummary(
            files=sums.files,
            directories=sums.directories,
            size=sums.size,
            added=sums.added,
            changed=sums.changed,
            deleted=sums.deleted,
            unreadable=sums.unreadable,
        )

    def _hidden_beside(self, found: Resolution) -> list[_Part]:
        # Of the directory that the scan begins with: those of the same path that it is not made of.
        return [
            _Part(self._numbers[candidate.place.layer], candidate.place, counts=False)
            for candidate in found.candidates
            if candidate.place.path == found.path
            and candidate.place not in found.stack
            and candidate.attributes is not None
            and candidate.attributes.kind is Kind.DIRECTORY
        ]

    def _walk(self, first: _Frame) -> None:
        pending, growing = [first], self._growing
        while pending:
            frame = pending[-1]
            for name, had in frame.names:
                below = self._name(frame, name, had)
                if below is not None:
                    pending.append(below)
                    break
            else:
                growing.close(frame.row)
                pending.pop()

    def _names(
        self, row: int, found: Resolution | None, behind: list[_Part], level: int
    ) -> Iterator[tuple[str, list[_Had]]]:
        """Names of a directory that are not added yet; where one part is all there is, those that need care."""
        if self._tick is not None and len(self._growing) - self._ticked >= _TICK:
            self._ticked = len(self._growing)
            self._tick(self._ticked)
        parts = [] if found is None else [_Part(self._numbers[at.layer], at, counts=True) for at in found.stack]
        if len(parts) == 1 and not behind and self._plain:
            return self._runs(row, parts[0], level)
        having: dict[str, list[_Had]] = {}
        for part in (*parts, *behind):
            for name, attributes, marked in self._entries(row, part):
                had = _Had(part, attributes if isinstance(attributes, Attributes) else None, marked)
                if name in having:
                    having[name].append(had)
                else:
                    having[name] = [had]
        return iter(sorted(having.items()))

    def _entries(self, row: int, part: _Part) -> list[tuple[str, Attributes | OSError, bool]]:
        entries: list[tuple[str, Attributes | OSError, bool]] = []
        try:
            marked = part.place.layer.tree.marked(part.place.path, self._counting)
            entries.extend(self._resolver.origins.marking(part.place, marked))
        except OSError:
            self._sums.unreadable += 1
            self._growing.flags[row] |= Flag.UNREADABLE
        return entries

    def _runs(self, row: int, part: _Part, level: int) -> Iterator[tuple[str, list[_Had]]]:
        """Adds rows that one object decides, many at a time, and gives the names between them."""
        entries = self._entries(row, part)
        entries.sort(key=itemgetter(0))
        files, number = _Run(), part.number
        sign = Sign.ADDED if number == self._upper else Sign.SAME
        for name, attributes, marked in entries:
            if marked or not isinstance(attributes, Attributes) or _needs_care(attributes):
                self._add(files, row, level, sign, number)
                files = _Run()
                yield name, [_Had(part, attributes if isinstance(attributes, Attributes) else None, marked)]
            else:
                files.names.append(name)
                files.attributes.append(attributes)
        self._add(files, row, level, sign, number)

    def _add(self, files: _Run, parent: int, level: int, sign: Sign, number: int) -> None:
        if not files.names:
            return
        growing, sums = self._growing, self._sums
        sizes = [each.size for each in files.attributes]
        kinds = [each.kind for each in files.attributes]
        growing.add_run(files.names, bytes(map(_NUMBER.__getitem__, kinds)), sizes, parent, level)
        growing.alike(len(sizes), sign, number)
        if growing.status:
            for each in files.attributes:
                growing.add_status(each.mode, each.uid, each.gid, each.mtime_ns)
        sums.files += len(sizes)
        sums.size += sum(size for size, kind in zip(sizes, kinds, strict=True) if kind is Kind.FILE)
        sums.added += len(sizes) if sign is Sign.ADDED else 0

    def _name(self, frame: _Frame, name: str, had: list[_Had]) -> _Frame | None:
        """Add the row of one name; a directory gives the frame of what is in it."""
        top = had[0]
        if top.part.counts and self._plain and not top.marked and not _cares(top):
            return self._decided(frame, name, had)
        if frame.found is None or not any(each.part.counts for each in had):
            return self._unseen(frame, name, had, Sign.HIDDEN)
        return self._asked(frame, frame.found, name, had)

    def _decided(self, frame: _Frame, name: str, had: list[_Had]) -> _Frame | None:
        # The topmost object is seen, and nothing else of the name is.
        top, lower = had[0], had[1:]
        attributes = top.attributes or _NOTHING
        sign = self._sign_of_file(name, had)
        row = self._row(name, frame.row, frame.level, attributes, sign, top.part.number)
        self._cover(row, lower)
        self._count(attributes, sign)
        return self._below(frame, row, None, lower, name)

    def _asked(self, frame: _Frame, directory: Resolution, name: str, had: list[_Had]) -> _Frame | None:
        # A layer that could not be listed may have the name.
        unread = self._growing.flags[frame.row] & Flag.UNREADABLE
        start = 0 if unread else directory.stack.index(had[0].part.place) if had[0].part.counts else 0
        found = self._resolver.child(directory, name, start=start)
        self._sums.unreadable += len(found.unreadable)
        if not found.exists or found.attributes is None:
            whiteout = any(candidate.verdict is Verdict.WHITEOUT for candidate in found.candidates)
            absent = found.outcome is Outcome.ABSENT
            return self._unseen(
                frame, name, had, Sign.ODD if not absent else Sign.WHITEOUT if whiteout else Sign.HIDDEN
            )
        number = self._numbers[found.stack[0].layer]
        if found.is_directory:
            sign = self._sign(found, had[1:])
        elif number == had[0].part.number:
            sign = self._sign_of_file(name, had)
        else:
            # A hard link that was changed by another name.
            sign = Sign.CHANGED
        row = self._row(name, frame.row, frame.level, found.attributes, sign, number)
        self._cover(row, had[1:])
        self._count(found.attributes, sign)
        others = [each for each in had if each.place(name) not in found.stack]
        return self._below(frame, row, found if found.is_directory else None, others, name)

    def _unseen(self, frame: _Frame, name: str, had: list[_Had], sign: Sign) -> _Frame | None:
        # A row for what is not there: it shows the topmost object that is hidden.
        hidden = had[1:] if sign is Sign.WHITEOUT else had
        seen = next((each.attributes for each in hidden if each.attributes is not None), had[0].attributes)
        row = self._row(name, frame.row, frame.level, seen or _NOTHING, sign, had[0].part.number)
        self._cover(row, hidden if sign is Sign.WHITEOUT else had[1:])
        if sign is Sign.WHITEOUT and had[0].part.number == self._upper and hidden:
            self._sums.deleted += 1
        return self._below(frame, row, None, hidden, name)

    def _below(self, frame: _Frame, row: int, found: Resolution | None, others: list[_Had], name: str) -> _Frame | None:
        """The frame of a directory: *found*, and the directories among *others*, which it is not made of."""
        behind = [_Part(each.part.number, each.place(name), counts=False) for each in others if each.is_directory]
        if found is None and not behind:
            return None
        if (self._depth is not None and frame.level >= self._depth) or self._was_there(found):
            self._growing.flags[row] |= Flag.UNREAD
            return None
        return _Frame(row, found, self._names(row, found, behind, frame.level + 1), frame.level + 1)

    def _was_there(self, found: Resolution | None) -> bool:
        # Redirects can make more paths than there are atoms, to directories that are made of the same parts.
        if found is None or all(place.path == found.path for place in found.stack):
            return False
        known = found.stack in self._redirected
        self._redirected.add(found.stack)
        return known

    def _sign_of_file(self, name: str, had: list[_Had]) -> Sign:
        # Of what is seen and is no directory.
        if had[0].part.number != self._upper:
            return Sign.SAME
        below = _topmost_below(had)
        if below is None:
            return Sign.ADDED
        return Sign.UNCHANGED if self._alike(had[0].object(name), below.object(name)) else Sign.CHANGED

    def _alike(self, above: Object, below: Object) -> bool:
        if above.attributes.kind is not below.attributes.kind:
            return False
        try:
            return not compare(above, below, self._followings, read=False).fields
        except OSError:
            return False

    def _sign(self, found: Resolution, lower: list[_Had]) -> Sign:
        if self._numbers[found.stack[0].layer] != self._upper:
            return Sign.SAME
        seen = any(each.part.counts and each.attributes is not None and not each.is_whiteout for each in lower)
        return Sign.CHANGED if len(found.stack) > 1 or seen else Sign.ADDED

    def _row(self, name: str, parent: int, depth: int, attributes: Attributes, sign: Sign, provider: int) -> int:  # noqa: PLR0917 -- as Growing.add
        growing = self._growing
        row = growing.add(name, parent, depth, _NUMBER[attributes.kind], sign, provider, attributes.size)
        if growing.status:
            growing.add_status(attributes.mode, attributes.uid, attributes.gid, attributes.mtime_ns)
        return row

    def _cover(self, row: int, lower: list[_Had]) -> None:
        for part, attributes, _ in lower:
            if attributes is not None:
                self._growing.cover(row, part.number, _NUMBER[attributes.kind], attributes.size)

    def _count(self, attributes: Attributes, sign: Sign) -> None:
        sums = self._sums
        if attributes.kind is Kind.DIRECTORY:
            sums.directories += 1
            return
        sums.files += 1
        if attributes.kind is Kind.FILE:
            sums.size += attributes.size
        sums.added += sign is Sign.ADDED
        sums.changed += sign is Sign.CHANGED


def _needs_care(attributes: Attributes) -> bool:
    # A directory, or a whiteout.
    kind = attributes.kind
    return kind is Kind.DIRECTORY or (kind is Kind.CHARACTER and attributes.rdev == 0)


def _cares(had: _Had) -> bool:
    return had.attributes is None or _needs_care(had.attributes)


def _topmost_below(had: list[_Had]) -> _Had | None:
    # What would be seen without the topmost.
    below = next((each for each in had[1:] if each.part.counts and each.attributes is not None), None)
    return None if below is None or below.is_whiteout else below
