"""What one view of a stack changes of another: an upper of its lowers, a stack of another stack.

Law 2: changes are complete and minimal. Path by path, what is listed (other than ``UNCHANGED``) is what differs between
the two views in type, content, target, device number, mode, owner, modification time, attributes or link count, or is
there in one of them only; so the lower view with the changes applied is the upper view. Below a path that is
``RENAMED`` the other side is what is below its old path *in the lower view*; the old path itself is listed as
deleted, unless something is there again. A directory that was deleted, or is gone because its parent was replaced,
stands for all that was in it. No deletion is ever left out.

Of directories the modification time counts only where no changed entry explains it, of the root never; their sizes and
link counts never count.

Only what can differ is looked at: names of layers that both views have in common, with the same layers below, are the
same in both. For an upper over its lowers that leaves the names in the upper, whatever the size of the lowers.

Order: by path, component by component, names by code points; a directory before what is in it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from ovlctl.overlay.change import Change, ChangeKind, Field
from ovlctl.overlay.comparison import Object, compare
from ovlctl.overlay.links import Links
from ovlctl.overlay.marks import RedirectForm
from ovlctl.overlay.plain_files import CONTENT, comparing
from ovlctl.overlay.resolution import Outcome, Place, Resolution, Unreadable
from ovlctl.overlay.shared import Shared
from ovlctl.overlay.tree import Kind, join
from ovlctl.overlay.within import Within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ovlctl.overlay.resolver import Resolver

_STRUCTURAL = {ChangeKind.ADDED, ChangeKind.REPLACED, ChangeKind.RENAMED}


def changes(
    above: Resolver,
    below: Resolver,
    *,
    content: bool = False,
    renames: bool = True,
    paths: Iterable[str] = ("",),
) -> Iterator[Change | Unreadable]:
    """What *above* changes of *below*.

    Args:
        above: The view that is asked about, such as a whole stack.
        below: The view it is compared with, such as the lowers of that stack.
        content: Read files whose size and time do not tell whether they are equal.
        renames: Tell what a redirect says was elsewhere as ``RENAMED``; else it is added where it is.
        paths: Only what is at or below one of these.

    Yields:
        Changes in order, and what could not be read, for which there may be changes that are not listed.

    Raises:
        OSError: The root of a layer cannot be looked at.
    """
    work = _Comparing(above, below, Within(paths), content=content, renames=renames)
    pending = [work.start()]
    while pending:
        step = next(pending[-1], None)
        if step is None:
            pending.pop()
        elif isinstance(step, _Directory):
            pending.append(work.visit(step))
        else:
            yield step


class _Spot(NamedTuple):
    """One path of the upper view.

    Attributes:
        above: What is there.
        below: What it is compared with: there in the lower view, or below the old path of a renamed directory.
        there: What the lower view has at this very path; *below* itself, as long as nothing was renamed.
        beside: What the parent directory is compared with.
    """

    above: Resolution
    below: Resolution | None
    there: Resolution | None
    beside: Resolution | None = None

    @property
    def covers(self) -> Resolution | None:
        """A directory of the lower view, not compared with, in whose place something else is now."""
        there = self.there
        return there if there is not None and there is not self.below and there.is_directory else None


class _Directory(NamedTuple):
    """A directory of the upper view that is to be visited.

    Attributes:
        above: It.
        below: What it is compared with; None when all in it is new.
        there: As for :class:`_Spot`; None when that is no directory.
        change: What is said of itself, times of a directory not yet considered.
        times: Whether the times differ.
    """

    above: Resolution
    below: Resolution | None
    there: Resolution | None
    change: Change | None
    times: bool = False


class _Seen(NamedTuple):
    """What there is to say of one name, and the directory to go on with."""

    found: tuple[Change | Unreadable, ...] = ()
    directory: _Directory | None = None

    def explains(self, parent: str) -> bool:
        """Whether the time of the directory *parent*, which it is in, is explained by it; what is deeper does not."""
        if self.directory is not None:
            own = self.directory.change
            return own is not None and own.change in _STRUCTURAL
        changes = (one for one in self.found if isinstance(one, Change) and one.differs)
        return any(one.path.rpartition("/")[0] == parent for one in changes)


class _Comparing:
    def __init__(self, above: Resolver, below: Resolver, within: Within, *, content: bool, renames: bool) -> None:
        self.above = above
        self.below = below
        self.within = within
        self.content = content
        self.renames = renames and above.following.redirects
        self.followings = (above.following, below.following)
        self.shared = Shared(above, below)
        self.links = Links(above, below)

    def start(self) -> Iterator[Change | Unreadable | _Directory]:
        below = self.below.root()
        seen = self._compared(_Spot(self.above.root(), below, below), below, ())
        yield from seen.found
        if seen.directory is not None:
            # Its upper was made by somebody, at some time.
            yield seen.directory._replace(times=False)

    def visit(self, directory: _Directory) -> Iterator[Change | Unreadable | _Directory]:
        path = directory.above.path
        above, below = self.shared.apart(directory.above, directory.below)
        covered = () if directory.there is None or directory.there is directory.below else directory.there.stack
        names, troubles = _names((*above, *below, *covered))
        wanted = self.within.of(path, names | self.links.elsewhere(path))
        if (unread := self.links.unread()) is not None:
            yield unread
        with self._files(directory) as file:
            entries = [
                self._name(directory, name) if (change := file(name)) is None else _Seen((change,))
                for name in sorted(wanted)
            ]
        own = directory.change
        if directory.times and not any(entry.explains(path) for entry in entries):
            own = _with_times(directory)
        if self.within.has(path):
            yield from () if own is None else (own,)
            yield from troubles
        for entry in entries:
            yield from entry.found
            if entry.directory is not None:
                yield entry.directory

    @contextmanager
    def _files(self, directory: _Directory) -> Iterator[Callable[[str], Change | None]]:
        above, below = directory.above, directory.below
        plain = self.shared.over and self.within.everything and below is not None and below is directory.there
        if not plain or below is None or above.stack[1:] != below.stack:
            yield lambda _name: None
            return
        with comparing(self.above, above, below, read=self.content) as change:
            yield change

    def _name(self, directory: _Directory, name: str) -> _Seen:
        above = self.above.child(directory.above, name)
        below = there = None if directory.below is None else self.below.child(directory.below, name)
        if directory.there is not directory.below:
            there = None if directory.there is None else self.below.child(directory.there, name)
        seen = self._entry(_Spot(above, below, there, directory.below))
        if seen.found and not self.within.has(above.path):
            return _Seen(directory=seen.directory)
        return seen

    def _entry(self, spot: _Spot) -> _Seen:
        above, below = spot.above, spot.below
        troubles = _troubles(above) + (_troubles(below) if below is not None else ())
        if above.outcome in {Outcome.UNKNOWN, Outcome.REFUSED}:
            return _Seen(troubles)
        if not above.exists:
            return _Seen((*troubles, *_gone(above.path, below, spot.there)))
        if below is None or not below.exists:
            return self._new(spot, troubles)
        if self.shared.same(above, below):
            further = above.is_directory and (spot.covers is not None or self.links.elsewhere(above.path))
            directory = _Directory(above, below, _directory(spot.there), None) if further else None
            return _Seen((*troubles, *self._vanished(spot)), directory)
        return self._both(spot, below, troubles)

    def _both(self, spot: _Spot, below: Resolution, troubles: tuple[Unreadable, ...]) -> _Seen:
        if (renamed := self._renamed(spot)) is not None:
            return self._compared(spot, renamed, troubles)
        if spot.above.kind is not below.kind:
            change = _change(spot, ChangeKind.REPLACED, below, fields=(Field.KIND,))
            return self._one(spot, change, troubles)
        return self._compared(spot, below, troubles)

    def _new(self, spot: _Spot, troubles: tuple[Unreadable, ...]) -> _Seen:
        if self.shared.over and (first := self.links.first(spot.above)) is not None:
            return self._one(spot, _change(spot, ChangeKind.LINKED, old_path=first), troubles)
        if (renamed := self._renamed(spot)) is not None:
            return self._compared(spot, renamed, troubles)
        return self._one(spot, _change(spot, ChangeKind.ADDED), troubles)

    def _one(self, spot: _Spot, change: Change, troubles: tuple[Unreadable, ...]) -> _Seen:
        """A change that leaves nothing to be compared: all in a directory is new."""
        if spot.above.is_directory:
            return _Seen(troubles, _Directory(spot.above, None, _directory(spot.there), change))
        return _Seen((*troubles, change, *self._vanished(spot)))

    def _vanished(self, spot: _Spot) -> Iterator[Change | Unreadable]:
        # What was in a directory in whose place something else is now.
        there = spot.there
        if spot.above.is_directory or there is None or not there.is_directory:
            return
        names, troubles = _names(there.stack)
        yield from troubles
        for name in sorted(names):
            yield from _gone(join(spot.above.path, name), self.below.child(there, name))

    def _compared(self, spot: _Spot, below: Resolution, troubles: tuple[Unreadable, ...]) -> _Seen:
        above = spot.above
        try:
            found = compare(Object.of(above), Object.of(below), self.followings, read=self.content)
        except OSError as error:
            lost = (*troubles, Unreadable(place=above.stack[0], errno=error.errno or 0))
            further = _Directory(above, below, _directory(spot.there), None) if above.is_directory else None
            return _Seen(lost, further)
        renamed = below is not spot.below
        kind = ChangeKind.RENAMED if renamed else self._kind(above, below, found.fields)
        change = None
        if kind is not None:
            old_path = below.path if renamed else None
            change = _change(spot, kind, below, fields=found.fields, proved=found.proved, old_path=old_path)
        if above.is_directory:
            return _Seen(troubles, _Directory(above, below, _directory(spot.there), change, found.times))
        return _Seen((*troubles, *(() if change is None else (change,)), *self._vanished(spot)))

    def _kind(self, above: Resolution, below: Resolution, fields: tuple[Field, ...]) -> ChangeKind | None:
        if above.is_directory and self.shared.over and not self.shared.uncovers(above, below):
            return ChangeKind.REPLACED
        if not fields:
            copied_up = not above.is_directory and self.shared.over
            return ChangeKind.UNCHANGED if copied_up else None
        return ChangeKind.METADATA if CONTENT.isdisjoint(fields) else ChangeKind.MODIFIED

    def _renamed(self, spot: _Spot) -> Resolution | None:
        """What the object was in the lower view, when a redirect of its topmost layer says that it was elsewhere."""
        above = spot.above
        redirect = above.candidates[0].redirect if above.candidates else None
        if redirect is None or not self.renames or self.shared.lower(above.stack[0].layer):
            return None
        old_path = redirect.target
        if redirect.form is RedirectForm.RELATIVE:
            if spot.beside is None:
                return None
            old_path = join(spot.beside.path, old_path)
        old = self.below.resolve(old_path)
        if not old.exists or old.kind is not above.kind or old.path == above.path:
            return None
        if spot.below is not None and spot.below.exists and self.shared.same(old, spot.below):
            return None
        if above.is_directory:
            return old if self.shared.uncovers(above, old) else None
        return old if old.data is not None and old.data == above.data else None


def _with_times(directory: _Directory) -> Change:
    spot = _Spot(directory.above, directory.below, directory.there)
    own = directory.change or _change(spot, ChangeKind.METADATA, directory.below)
    return own._replace(fields=(*own.fields, Field.TIMES))


def _directory(found: Resolution | None) -> Resolution | None:
    return found if found is not None and found.is_directory else None


def _change(
    spot: _Spot,
    change: ChangeKind,
    below: Resolution | None = None,
    *,
    fields: tuple[Field, ...] = (),
    proved: bool | None = None,
    old_path: str | None = None,
) -> Change:
    attributes = spot.above.attributes
    assert attributes is not None, "it exists"  # noqa: S101 -- for the type checker
    return Change(
        path=spot.above.path,
        change=change,
        kind=attributes.kind,
        bytes=attributes.size if attributes.kind is Kind.FILE else None,
        fields=fields,
        proved=proved,
        old_path=old_path,
        above=spot.above.stack[0],
        below=None if below is None else below.stack[0],
    )


def _gone(path: str, *candidates: Resolution | None) -> Iterator[Change]:
    # The first of *candidates* that was there.
    for found in candidates:
        if found is not None and found.attributes is not None and found.exists:
            size = found.attributes.size if found.attributes.kind is Kind.FILE else None
            kind, below = found.attributes.kind, found.stack[0]
            yield Change(path=path, change=ChangeKind.DELETED, kind=kind, bytes=size, below=below)
            return


def _names(places: Iterable[Place]) -> tuple[set[str], list[Unreadable]]:
    names, troubles = set[str](), list[Unreadable]()
    for place in places:
        try:
            names.update(child.name for child in place.layer.tree.scandir(place.path))
        except OSError as error:
            troubles.append(Unreadable(place=place, errno=error.errno or 0))
    return names, troubles


def _troubles(found: Resolution) -> tuple[Unreadable, ...]:
    if found.outcome is Outcome.REFUSED and found.candidates:
        # The kernel itself gives an error for this name: nobody can say what it is compared to anything.
        return (*found.unreadable, Unreadable(place=found.candidates[0].place, errno=found.errno))
    return found.unreadable
