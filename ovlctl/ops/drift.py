"""What was changed in the lowers of a mount since it was made, which overlayfs calls undefined behaviour.

Nothing watches the lowers. The record of a mount has the moment it began and the identity of each lower; whatever
has a later change time (ctime, which nobody can set) was made, written, renamed, linked or removed in since. Asking
costs one look at every file. A change within the tick of the kernel's clock in which the mount began, 10 ms at the
most, may be missed.

A lower that is the merged view of another stack counts like any other: what is written through that one's own upper
changes the lower of this one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ovlctl.kernel import mounts
from ovlctl.ops import records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ovlctl.ops.records import Record

#: Directories held open at once; what is deeper counts as unreadable.
_DEPTH = 500
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: How far the clock may have been slewed without anybody having set it, in nanoseconds.
_SLEWED = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LowerDrift:
    """What was changed in one lower.

    Attributes:
        lower: The lower.
        changed: How many files and directories.
        first: The first of them, as paths below the lower; ``.`` is the lower itself.
        unreadable: How many directories could not be looked into.
        covered: It is covered by a mount, so that it cannot be looked at.
    """

    lower: str
    changed: int = 0
    first: tuple[str, ...] = ()
    unreadable: int = 0
    covered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What was changed in the lowers of one mount.

    Attributes:
        lowers: Those of which there is something to say.
        clock_set_ns: How far the clock was set forward (or, negative, back) since, in nanoseconds; 0 when it was not.
            Back, and changes made before that may be missed.
    """

    lowers: tuple[LowerDrift, ...]
    clock_set_ns: int

    @property
    def changed(self) -> int:
        """How many files and directories were changed in all of them."""
        return sum(lower.changed for lower in self.lowers)


@dataclass(eq=False)
class _Asked:
    """One lower of one mount."""

    since: int
    limit: int
    changed: int = 0
    first: list[str] = field(default_factory=list)


@dataclass(eq=False)
class _Walk:
    """One lower, looked at once for all mounts that have it."""

    path: str
    asked: dict[str, _Asked] = field(default_factory=dict)
    unreadable: int = 0
    covered: bool = False


def since_mount(mounted: Iterable[Record], *, limit: int = 5) -> dict[str, Drift]:
    """What was changed in the lowers of each of these mounts, by name.

    A directory that several of them have is looked at once. Links are not followed, and other mounts in a lower are
    left out, as overlayfs leaves them out. A lower on a superblock that is read-only cannot have been changed.

    Args:
        mounted: Records of mounts that stand.
        limit: How many paths of each lower to name.
    """
    known = [record for record in mounted if record.began_ns is not None]
    walks: dict[str, _Walk] = {}
    for record in known:
        for path in _lowers(record):
            walk = walks.setdefault(path, _Walk(path))
            walk.asked[record.name] = _Asked(record.began_ns or 0, limit)
            walk.covered |= _is_covered(path, record)
    table = [mount.mount_point for mount in mounts.mounts()]
    for walk in walks.values():
        if not walk.covered and not _is_frozen(walk.path):
            _look(walk, table)
    return {record.name: _drift(record, walks) for record in known}


def _lowers(record: Record) -> Sequence[str]:
    return tuple(dict.fromkeys((*record.stack.lowers, *record.stack.data_only)))


def _drift(record: Record, walks: dict[str, _Walk]) -> Drift:
    found = []
    for path in _lowers(record):
        walk = walks[path]
        mine = walk.asked[record.name]
        if mine.changed or walk.unreadable or walk.covered:
            found.append(
                LowerDrift(
                    lower=path,
                    changed=mine.changed,
                    first=tuple(mine.first),
                    unreadable=walk.unreadable,
                    covered=walk.covered,
                )
            )
    moved = 0 if record.clock_ns is None else records.clock_lead() - record.clock_ns
    return Drift(lowers=tuple(found), clock_set_ns=moved if abs(moved) > _SLEWED else 0)


def _is_covered(path: str, record: Record) -> bool:
    """Whether something is mounted over this lower, so that the path does not lead to it any more."""
    if path == record.target or path.startswith(record.target.rstrip("/") + "/"):
        return True
    for lower, was in zip((*record.stack.lowers, *record.stack.data_only), record.seen, strict=False):
        if lower == path:
            try:
                now = records.seen_at(path)
            except OSError:
                return False
            return now.mount_id != was.mount_id and now.device != was.device
    return False


def _is_frozen(path: str) -> bool:
    try:
        mount = mounts.mount_at(path)
    except OSError:
        return False
    # An overlay without an upper is read-only too, but its layers may be changed.
    return mount.sb_read_only and mount.fs_type != "overlay"


def _look(walk: _Walk, table: Sequence[str]) -> None:
    try:
        top = os.open(walk.path, _OPEN)
    except OSError:
        walk.unreadable += 1
        return
    inside = walk.path.rstrip("/") + "/"
    points = frozenset(point[len(inside) :] for point in table if point.startswith(inside))
    trail = [(top, "", _entries(top, walk))]
    try:
        _note(walk, os.fstat(top), ".")
        while trail:
            directory, prefix, entries = trail[-1]
            entry = next(entries, None)
            if entry is None:
                os.close(directory)
                trail.pop()
            elif (path := prefix + entry.name) not in points:
                below = _visit(walk, entry, path, directory if len(trail) < _DEPTH else None)
                if below is not None:
                    trail.append((below, path + "/", _entries(below, walk)))
    finally:
        for directory, _, _ in trail:
            os.close(directory)


def _visit(walk: _Walk, entry: os.DirEntry[str], path: str, parent: int | None) -> int | None:
    """Look at one entry; when it is a directory, open it below *parent*, which is None where it is too deep."""
    try:
        _note(walk, entry.stat(follow_symlinks=False), path)
        if not entry.is_dir(follow_symlinks=False):
            return None
        if parent is not None:
            return os.open(entry.name, _OPEN, dir_fd=parent)
    except FileNotFoundError:
        # Gone at this moment: its directory tells.
        return None
    except OSError:
        pass
    walk.unreadable += 1
    return None


def _entries(directory: int, walk: _Walk) -> Iterator[os.DirEntry[str]]:
    """What lies in *directory*, in order of names, so that the same paths are named every time."""
    try:
        with os.scandir(directory) as entries:
            return iter(sorted(entries, key=lambda entry: entry.name))
    except OSError:
        walk.unreadable += 1
        return iter(())


def _note(walk: _Walk, status: os.stat_result, path: str) -> None:
    for mine in walk.asked.values():
        if status.st_ctime_ns > mine.since:
            mine.changed += 1
            if len(mine.first) < mine.limit:
                mine.first.append(path)
