"""The merged view listed: names with what they resolve to, one at a time.

Law 1 for listings: the entries with ``listed`` are the names that readdir(3) gives through a fresh mount, and those
whose resolution exists are the names that lstat(2) finds there. The two differ. A directory that is made of one layer
is read as it is, so that whiteouts in it are listed although nothing is there. A merged directory hides device
whiteouts always, and other names that are not there only where readdir(3) itself looks them up: regular files where a
directory among the lowers has ``opaque=x``, names of an impure directory of the upper, all names with xino.

Where readdir(3) looks names up, one whose lookup is refused is left out, or the whole call fails with that errno, by
where in the buffer it stands. ``listed`` is False then, and the entry is given all the same. A directory of the upper
alone that is impure cannot be read at all.

Source: ovl_dir_read_merged(), ovl_dir_is_real() and ovl_cache_entry_new() in fs/overlayfs/readdir.c.

A listing holds the names of every layer but the lowest in memory; of a directory of one layer it holds nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.overlay.candidates import others, with_hidden
from ovlctl.overlay.layers import Role
from ovlctl.overlay.marks import Mark
from ovlctl.overlay.resolution import Outcome, Place, Resolution, Unreadable, Verdict
from ovlctl.overlay.tree import Kind, join

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.overlay.resolver import Resolver


@dataclass(frozen=True, slots=True)
class Entry:
    """A name in a merged directory.

    Attributes:
        resolution: What it is. It need not exist: a name can be listed and not be there, and hidden ones can be asked
            for.
        listed: Whether readdir(3) gives the name.
    """

    resolution: Resolution
    listed: bool

    @property
    def name(self) -> str:
        """The name."""
        return self.resolution.name


def listing(resolver: Resolver, directory: Resolution, *, hidden: bool = False) -> Iterator[Entry | Unreadable]:
    """The entries of *directory*, in no particular order; nothing when it is not a directory that exists.

    Each name costs one lookup, which starts in the topmost layer that has it.

    Args:
        resolver: The stack's.
        directory: From *resolver*.
        hidden: Also give the names that are whited out, or are in layers that the directory is not made of (behind an
            opaque directory, a file, or a redirect); every entry then has a candidate for each layer.

    Yields:
        Entries, and what could not be read: names of that layer may be missing then.
    """
    if not directory.is_directory:
        return
    # A directory of one layer that was copied up may have whiteouts for names of a lower that is gone: ovl_get_inode().
    copied_up = directory.path != "" and _marked(resolver, directory.stack[0], Mark.ORIGIN)
    merges = directory.is_merged or copied_up
    seen: set[str] = set()
    lowest = None if hidden else directory.stack[-1]
    for start, place in enumerate(directory.stack):
        every, files = _looks_up(resolver, directory, place)
        try:
            for child in place.layer.tree.scandir(place.path):
                if child.name in seen:
                    continue
                if place is not lowest:
                    seen.add(child.name)
                found = resolver.child(directory, child.name, start=start, complete=hidden)
                looked_up = every or (files and child.kind is Kind.FILE)
                listed = not merges or _listed(found, place, child.kind, looked_up=looked_up)
                if listed or hidden or found.outcome is not Outcome.ABSENT:
                    yield Entry(found, listed)
        except OSError as error:
            yield Unreadable(place=place, errno=error.errno or 0)
    if hidden:
        yield from _behind(resolver, directory, seen)


def walk(resolver: Resolver, path: str = "", *, hidden: bool = False) -> Iterator[Entry | Unreadable]:
    """Everything below *path*: the entries of a directory, then those of the directories in it.

    Args:
        resolver: The stack's.
        path: A directory.
        hidden: As for :func:`listing`.
    """
    top = resolver.resolve(path)
    pending: list[tuple[Resolution, list[str]]] = []
    here: Resolution | None = top
    while here is not None:
        # Names only: a million directories side by side are a million short strings.
        below: list[str] = []
        for entry in listing(resolver, here, hidden=hidden):
            if isinstance(entry, Entry) and entry.resolution.is_directory:
                below.append(entry.name)
            yield entry
        below.reverse()
        pending.append((here, below))
        here = _next(resolver, pending)


def _next(resolver: Resolver, pending: list[tuple[Resolution, list[str]]]) -> Resolution | None:
    while pending:
        parent, names = pending[-1]
        if names:
            return resolver.child(parent, names.pop())
        pending.pop()
    return None


def _listed(found: Resolution, place: Place, kind: Kind | None, *, looked_up: bool) -> bool:
    # Of a directory that merges: whether readdir(3) gives a name that *place* is the first to have.
    if looked_up:
        return found.exists
    top = next((seen for seen in found.candidates if seen.place.layer is place.layer), None)
    return kind is not None or top is None or top.verdict is not Verdict.WHITEOUT


def _looks_up(resolver: Resolver, directory: Resolution, place: Place) -> tuple[bool, bool]:
    # Whether readdir(3) looks up the names that come from *place*: every one of them, and regular files.
    role = place.layer.role
    if resolver.one_device:
        every = role is Role.UPPER and _marked(resolver, place, Mark.IMPURE)
    else:
        every = resolver.following.xino
    return every, every or (directory.has_whiteout_marks and place.layer in directory.whiteout_layers)


def _marked(resolver: Resolver, place: Place, mark: Mark) -> bool:
    if resolver.following.blind:
        return False
    try:
        return place.layer.tree.xattr(place.path, resolver.following.prefix + mark) is not None
    except OSError:
        return False


def _behind(resolver: Resolver, directory: Resolution, seen: set[str]) -> Iterator[Entry | Unreadable]:
    parent = resolver.resolve(directory.path.rpartition("/")[0])
    for candidate in others(directory, parent, resolver.layers).candidates if directory.path else ():
        place, attributes = candidate.place, candidate.attributes
        if place in directory.stack or attributes is None or attributes.kind is not Kind.DIRECTORY:
            continue
        try:
            for child in place.layer.tree.scandir(place.path):
                if child.name not in seen:
                    seen.add(child.name)
                    found = resolver.child(directory, child.name, complete=True)
                    yield Entry(with_hidden(found, Place(place.layer, join(place.path, child.name))), listed=False)
        except OSError as error:
            yield Unreadable(place=place, errno=error.errno or 0)
