"""The merged view listed: names with what they resolve to, in the order of their code points, one at a time.

Law 1 for listings: the entries with ``listed`` are the names that readdir(3) gives through a fresh mount, and those
whose resolution exists are the names that lstat(2) finds there. The two differ. A directory that is made of one layer
is read as it is, so that whiteouts in it are listed although nothing is there. A merged directory hides device
whiteouts always, and other names that are not there only where readdir(3) itself looks them up: regular files where a
directory among the lowers has ``opaque=x``, names of an impure directory of the upper, all names with xino.

Where readdir(3) looks names up, one whose lookup is refused is left out, or the whole call fails with that errno, by
where in the buffer it stands. ``listed`` is False then, and the entry is given all the same. A directory of the upper
alone that is impure cannot be read at all.

Source: ovl_dir_read_merged(), ovl_dir_is_real() and ovl_cache_entry_new() in fs/overlayfs/readdir.c.

A listing holds the names of one directory in memory (compressed when they are many), a walk those of the directories
on the way to where it is.
"""

from __future__ import annotations

import errno
import heapq
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from ovlctl.overlay.candidates import also, look, others
from ovlctl.overlay.layers import Role
from ovlctl.overlay.marks import Mark
from ovlctl.overlay.resolution import Outcome, Place, Resolution, Rule, Unreadable, Verdict
from ovlctl.overlay.sorted_names import SortedNames
from ovlctl.overlay.tree import Kind, join

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.overlay.resolution import Candidate
    from ovlctl.overlay.resolver import Resolver


class Entry(NamedTuple):
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
    """The entries of *directory*, sorted by name; nothing when it is not a directory that exists.

    Each name costs one lookup, which starts in the topmost layer that has it.

    Args:
        resolver: The stack's.
        directory: From *resolver*.
        hidden: Also give the names that are whited out, or are in layers that the directory is not made of (behind an
            opaque directory, a file, or a redirect); every entry then has a candidate for each layer that has one.

    Yields:
        What could not be read first (names of that layer may be missing then), and then entries.
    """
    if not directory.is_directory:
        return
    # A directory of one layer that was copied up may have whiteouts for names of a lower that is gone: ovl_get_inode().
    copied_up = directory.path != "" and _marked(resolver, directory.stack[0], Mark.ORIGIN)
    merges = directory.is_merged or copied_up
    parts = [_Part.read(resolver, directory, place) for place in directory.stack]
    every = [*parts, *_behind(resolver, directory)] if hidden else parts
    yield from (part.trouble for part in every if part.trouble is not None)
    # A layer that cannot be listed may have any name.
    unread = next((at for at, part in enumerate(parts) if part.trouble is not None), len(parts))
    for name, sort, having in _merge(every):
        start = having[0]
        listed = start < len(parts)
        if listed or unread < len(parts):
            found = resolver.child(directory, name, start=min(start, unread))
            listed = listed and (not merges or parts[start].lists(found, sort))
        else:
            found = _nowhere(directory, name)
        if hidden:
            yield Entry(also(found, [(every[at].place_of(name), at >= len(parts)) for at in having]), listed)
        elif listed or found.outcome is not Outcome.ABSENT:
            yield Entry(found, listed)


def _nowhere(directory: Resolution, name: str) -> Resolution:
    # No layer that the directory is made of has the name.
    return Resolution(
        path=join(directory.path, name),
        outcome=Outcome.ABSENT,
        rule=Rule.NOWHERE,
        errno=errno.ENOENT,
        certain=directory.certain,
    )


def walk(
    resolver: Resolver, path: str = "", *, hidden: bool = False, depth: int | None = None
) -> Iterator[Entry | Unreadable]:
    """Everything below *path*, each directory followed by what is in it.

    Args:
        resolver: The stack's.
        path: A directory; with *hidden* also a path that some layer has something at.
        hidden: As for :func:`listing`; what is below hidden directories is given too.
        depth: How many levels; None for all.
    """
    return below(resolver, resolver.resolve(path, complete=hidden), hidden=hidden, depth=depth)


def below(
    resolver: Resolver, found: Resolution, *, hidden: bool = False, depth: int | None = None
) -> Iterator[Entry | Unreadable]:
    """:func:`walk` for a path that was resolved before; with *hidden* its candidates say where to look, too."""
    pending = [_in(resolver, found, hidden=hidden)]
    while pending:
        for entry in pending[-1]:
            yield entry
            deeper = depth is None or len(pending) < depth
            if deeper and isinstance(entry, Entry) and _leads_on(entry.resolution, hidden=hidden):
                pending.append(_in(resolver, entry.resolution, hidden=hidden))
                break
        else:
            pending.pop()


def _leads_on(found: Resolution, *, hidden: bool) -> bool:
    return found.is_directory or (hidden and any(map(_is_directory, found.candidates)))


def _in(resolver: Resolver, found: Resolution, *, hidden: bool) -> Iterator[Entry | Unreadable]:
    if hidden and not found.is_directory:
        return _below_hidden(found)
    return listing(resolver, found, hidden=hidden)


class _Sort(StrEnum):
    """What a directory itself says of a name, as far as it matters for listings."""

    ODD = "o"
    FILE = "f"
    OTHER = ""


# Follows a name in SortedNames. No name holds it, and it sorts before whatever a longer name may go on with.
_END = "\0"


@dataclass(slots=True, kw_only=True)
class _Part:
    """The names that one layer has in a directory.

    Attributes:
        names: Each with its sort: ODD without a kind (devices among them), FILE where readdir(3) looks files up.
        every: Whether readdir(3) looks every one of them up.
    """

    place: Place
    names: SortedNames
    every: bool = False
    trouble: Unreadable | None = None

    @classmethod
    def read(cls, resolver: Resolver, directory: Resolution, place: Place) -> _Part:
        every, files = _looks_up(resolver, directory, place)
        return cls.at(place, every=every, files=files)

    @classmethod
    def at(cls, place: Place, *, every: bool = False, files: bool = False) -> _Part:
        names = SortedNames()
        part = cls(place=place, names=names, every=every)
        try:
            for name, kind in place.layer.tree.scandir(place.path):
                if kind is None:
                    names.add(name + _END + _Sort.ODD)
                elif files and kind is Kind.FILE:
                    names.add(name + _END + _Sort.FILE)
                else:
                    names.add(name)
        except OSError as error:
            part.trouble = Unreadable(place=place, errno=error.errno or 0)
        return part

    def place_of(self, name: str) -> Place:
        return Place(self.place.layer, join(self.place.path, name))

    def lists(self, found: Resolution, sort: str) -> bool:
        # Of a directory that merges: whether readdir(3) gives a name that this layer is the first to have.
        if self.every or sort == _Sort.FILE:
            return found.exists
        if sort != _Sort.ODD:
            return True
        top = next((seen for seen in found.candidates if seen.place.layer is self.place.layer), None)
        return top is None or top.verdict is not Verdict.WHITEOUT


def _merge(parts: list[_Part]) -> Iterator[tuple[str, str, list[int]]]:
    """Every name once, with its sort in the first part that has it, and the numbers of all parts that have it."""
    if len(parts) == 1:
        for item in parts[0].names:
            name, _, sort = item.partition(_END)
            yield name, sort, [0]
        return
    every = heapq.merge(*(_numbered(part.names, at) for at, part in enumerate(parts)))
    for name, same in groupby(every, key=itemgetter(0)):
        having = list(same)
        yield name, having[0][2], [at for _, at, _ in having]


def _numbered(names: SortedNames, at: int) -> Iterator[tuple[str, int, str]]:
    for item in names:
        name, _, sort = item.partition(_END)
        yield name, at, sort


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


def _behind(resolver: Resolver, directory: Resolution) -> list[_Part]:
    # What layers have at a directory that is not made of them.
    if not directory.path:
        return []
    parent = resolver.resolve(directory.path.rpartition("/")[0])
    return [
        _Part.at(candidate.place)
        for candidate in others(directory, parent, resolver.layers).candidates
        if candidate.place not in directory.stack and _is_directory(candidate)
    ]


def _below_hidden(found: Resolution) -> Iterator[Entry | Unreadable]:
    # What layers have below a name that is no directory of the merged view.
    parts = [_Part.at(candidate.place) for candidate in found.candidates if _is_directory(candidate)]
    yield from (part.trouble for part in parts if part.trouble is not None)
    rule, number = (
        (Rule.PARENT_NOT_DIRECTORY, errno.ENOTDIR)
        if found.exists
        else (Rule.PARENT_ABSENT, found.errno or errno.ENOENT)
    )
    for name, _, having in _merge(parts):
        places = [parts[at].place_of(name) for at in having]
        yield Entry(
            Resolution(
                path=join(found.path, name),
                outcome=found.outcome if found.outcome is Outcome.UNKNOWN else Outcome.ABSENT,
                rule=rule,
                errno=number,
                candidates=tuple(look(place, Verdict.PARENT_HIDDEN) for place in places),
                certain=found.certain,
            ),
            listed=False,
        )


def _is_directory(candidate: Candidate) -> bool:
    return candidate.attributes is not None and candidate.attributes.kind is Kind.DIRECTORY
