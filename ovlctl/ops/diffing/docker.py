"""Changes as ``docker diff`` tells them: added, changed, deleted.

Source: ChangesDirs() and statDifferent() of Moby's pkg/archive. Docker compares two mounted views by type, mode, owner,
device number, and of all but directories size and modification time; of the extended attributes it knows
security.capability only. Where one of two times has no fraction, as in a layer that was unpacked from an archive, only
the seconds count (sameFsTime()). A directory in which something changed counts as changed, the root never. Of a deleted
directory it tells the directory alone, and nothing of one in whose place a file is.

Law: for the same views the result is the set that ``docker diff`` prints, in the order of paths.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.ops.diffing.letters import Letter, Lettered
from ovlctl.overlay.change import Change, ChangeKind, Field
from ovlctl.overlay.tree import Kind, xattrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ovlctl.overlay.resolution import Place

_SECOND = 1_000_000_000
_CAPABILITY = "security.capability"
_ALWAYS = {Field.KIND, Field.MODE, Field.OWNER, Field.DEVICE, Field.SIZE}


def docker(changes: Iterable[Change], *, user_xattrs: bool = False) -> Iterator[Lettered]:
    """*changes*, told without renames, as Docker tells them.

    Args:
        changes: From :func:`ovlctl.ops.diffing.diff`.
        user_xattrs: Whether extended attributes of users count, which for Docker they do not.
    """
    told: list[str] = []
    gone = ""
    for change in changes:
        letter = _letter(change, user_xattrs=user_xattrs)
        if change.change is ChangeKind.REPLACED and change.kind is not Kind.DIRECTORY:
            gone = change.path
        if letter is None or (gone and change.path.startswith(gone + "/")):
            continue
        while told and not change.path.startswith(told[-1] + "/"):
            told.pop()
        parts = change.path.split("/")[:-1]
        for depth in range(len(told[-1].split("/")) if told else 0, len(parts)):
            told.append("/".join(parts[: depth + 1]))
            yield Lettered(Letter.CHANGED, told[-1])
        if change.kind is Kind.DIRECTORY and letter is not Letter.DELETED and change.path:
            told.append(change.path)
        if change.path:
            yield Lettered(letter, change.path)


def _letter(change: Change, *, user_xattrs: bool) -> Letter | None:
    if change.change in {ChangeKind.ADDED, ChangeKind.LINKED}:
        return Letter.ADDED
    if change.change is ChangeKind.DELETED:
        return Letter.DELETED
    differs = not _ALWAYS.isdisjoint(change.fields)
    differs = differs or _other_time(change) or _other_xattrs(change, user=user_xattrs)
    return Letter.CHANGED if differs else None


def _other_time(change: Change) -> bool:
    if Field.TIMES not in change.fields or change.kind is Kind.DIRECTORY:
        return False
    found = [place.layer.tree.lstat(place.path) for place in (change.above, change.below) if place is not None]
    times = [divmod(attributes.mtime_ns, _SECOND) for attributes in found if attributes is not None]
    return len({second for second, _ in times}) > 1 or all(fraction for _, fraction in times)


def _other_xattrs(change: Change, *, user: bool) -> bool:
    if Field.XATTRS not in change.fields:
        return False
    above, below = (_xattrs(place, user=user) for place in (change.above, change.below))
    return above != below


def _xattrs(place: Place | None, *, user: bool) -> dict[str, bytes]:
    found = {} if place is None else xattrs(place.layer.tree, place.path)
    return {name: value for name, value in found.items() if name == _CAPABILITY or (user and name.startswith("user."))}
