"""What a mount in a user namespace, or with userxattr, loses of layers that root made.

In there trusted xattrs cannot be read: whiteouts count, but directories that root made opaque, redirects and metacopy
files do not, and the kernel says nothing. Files of ids that the namespace does not know can be read and deleted, and
neither changed nor renamed: copy-up would have to give the copy an owner that cannot be named (EOVERFLOW).

Layers are as large as they like, so the look at them ends after some entries or some time, and says so.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note
from ovlctl.kernel import idmap, xattr
from ovlctl.kernel.idmap import Kind
from ovlctl.overlay.marks import Prefix

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ovlctl.ops.preflight.places import Place

#: Entries of all layers together that are looked at, and seconds.
ENTRIES = 20_000
SECONDS = 0.3
#: Trusted marks without which a layer shows something else; the others only keep inode numbers the same.
_MISSED = frozenset(Prefix.TRUSTED + name for name in ("opaque", "redirect", "metacopy"))


@dataclass(slots=True)
class Seen:
    """What was seen of one layer.

    Attributes:
        kind: What it is called in a message.
        layer: The layer.
        covers: Whether there is a layer below it, so that its marks matter.
        listed: Whether the names of trusted xattrs are listed there: on btrfs to everybody, without their values.
        trusted: An object with a trusted mark that would be missed.
        whiteout: A whiteout.
        user_marks: Whether anything bears a mark in user.overlay.*.
        foreign: An object whose owner or group is not known in this user namespace.
        complete: Whether all of the layer was seen that matters.
    """

    kind: str
    layer: Place
    covers: bool
    listed: bool = False
    trusted: str | None = None
    whiteout: str | None = None
    user_marks: bool = False
    foreign: str | None = None
    complete: bool = True

    @property
    def by_root(self) -> str | None:
        """An object that shows that marks of this layer are not for this user; None when none was seen."""
        if not self.covers:
            return None
        return self.trusted or (None if self.user_marks or self.listed else self.whiteout)


def survey(upper: Place | None, lowers: Sequence[Place], data_only: int, *, by_root: bool) -> tuple[Seen, ...]:
    """Look at layers, for as long as it may take.

    Args:
        upper: The upper, if it exists.
        lowers: Lowers, topmost first, then data-only lowers.
        data_only: How many of *lowers* are data-only.
        by_root: Root looks, who sees trusted xattrs, and to whom no owner is unknown.
    """
    last = len(lowers) - data_only - 1
    layers = [Seen("lower", layer, covers=number < last) for number, layer in enumerate(lowers)]
    if upper is not None:
        layers.insert(0, Seen("upper", upper, covers=True))
    deadline = time.monotonic() + SECONDS
    left = ENTRIES
    for number, seen in enumerate(layers):
        # What one layer does not use is for those after it.
        rest = len(layers) - number
        now = time.monotonic()
        left -= _look(seen, left // rest, now + max(0.0, deadline - now) / rest, by_root=by_root)
    return tuple(layers)


def problems(seen: Sequence[Seen]) -> Iterator[errors.OvlError]:
    """Every layer whose marks would be ignored."""
    for each in seen:
        if each.by_root is not None:
            yield errors.MadeByRoot(
                f"the {each.kind} {{}} bears marks that root made, {{}} for one: those that hide directories cannot be "
                "read here, and what they hide would reappear",
                each.layer.path,
                each.by_root,
                hint="mount it as root, or accept it with `--allow-weaker`",
            )


def cautions(seen: Sequence[Seen]) -> Iterator[Note]:
    """What works, and differs from a mount by root."""
    for each in seen:
        if each.by_root is not None:
            text = f"marks that root made in the {each.kind} {{}} are ignored where they hide directories"
            yield Note(text, (each.layer.path,))
    foreign = [each for each in seen if each.foreign is not None]
    if foreign:
        first = foreign[0]
        more = f" (so in {len(foreign)} layers)" if len(foreign) > 1 else ""
        inside = os.path.relpath(first.foreign or "", first.layer.path)
        paths = (first.layer.path,) if inside == "." else (inside, first.layer.path)
        text = (
            f"{'{} in ' * (len(paths) - 1)}the {first.kind} {{}} belongs to an id that is not known in your "
            f"mounts{more}: what is so can be read and deleted, but not changed or renamed"
        )
        yield Note(text, paths)
    for each in seen:
        if not each.complete:
            text = f"the {each.kind} {{}} is large, and only a part of it was searched for marks and owners like root's"
            yield Note(text, (each.layer.path,))


def _look(seen: Seen, entries: int, deadline: float, *, by_root: bool) -> int:
    """Fill in *seen*; how many entries were looked at."""
    unknown = {Kind.UID: idmap.overflow(Kind.UID), Kind.GID: idmap.overflow(Kind.GID)}
    seen.listed = by_root or seen.layer.mount.fs_type == "btrfs"
    owners = seen.kind != "upper" and not by_root
    waiting = [seen.layer.path]
    count = 0
    if owners:
        _owned(seen, seen.layer.path, seen.layer.status, unknown)
    while waiting and not _answered(seen, owners=owners):
        directory = waiting.pop()
        if seen.covers:
            _marked(seen, directory)
        try:
            with os.scandir(directory) as found:
                for entry in found:
                    count += 1
                    if count > entries or (count % 64 == 0 and time.monotonic() > deadline):
                        seen.complete = False
                        return count
                    _entry(seen, entry, waiting, unknown if owners else {})
        except OSError:
            # Not for this user, who will not see it in the merged view either; or it is gone.
            continue
    return count


def _entry(seen: Seen, entry: os.DirEntry[str], waiting: list[str], unknown: Mapping[Kind, int]) -> None:
    status = entry.stat(follow_symlinks=False)
    _owned(seen, entry.path, status, unknown)
    if stat.S_ISDIR(status.st_mode):
        # What is mounted below a layer is no part of it; a btrfs subvolume is.
        if seen.layer.mount.fs_type == "btrfs" or status.st_dev == seen.layer.status.st_dev:
            waiting.append(entry.path)
    elif stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
        seen.whiteout = seen.whiteout or entry.path
    elif seen.listed and seen.covers and stat.S_ISREG(status.st_mode):
        # A metacopy file.
        _marked(seen, entry.path)


def _answered(seen: Seen, *, owners: bool) -> bool:
    marks = not seen.covers or seen.trusted is not None or (seen.user_marks and not seen.listed)
    return marks and (seen.foreign is not None or not owners)


def _owned(seen: Seen, path: str, status: os.stat_result, unknown: Mapping[Kind, int]) -> None:
    if seen.foreign is None and (status.st_uid == unknown.get(Kind.UID) or status.st_gid == unknown.get(Kind.GID)):
        seen.foreign = path


def _marked(seen: Seen, path: str) -> None:
    names: tuple[str, ...] = ()
    with suppress(OSError):
        names = xattr.names(path)
    for name in names:
        if name in _MISSED:
            seen.trusted = seen.trusted or path
        elif name.startswith(Prefix.USER):
            seen.user_marks = True
