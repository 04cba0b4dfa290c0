"""Law 2 against two mounts: what is listed is what differs, path by path, and nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ovlctl.overlay.change import Change, ChangeKind, Field
from ovlctl.overlay.tree import Kind
from tests.overlay.made import seen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.overlay.made import Seen

View = dict[str, "Seen"]
_ACL = "system.posix_acl_"
_NEW = {ChangeKind.ADDED, ChangeKind.LINKED}


def view(point: str) -> View:
    """Everything below *point*, by path; ``""`` is the root."""
    found: View = {"": seen(point)}
    waiting = [""]
    while waiting:
        directory = waiting.pop()
        for name in os.listdir(os.path.join(point, directory)):
            path = f"{directory}/{name}" if directory else name
            there = seen(os.path.join(point, path))
            if there.errno:
                continue  # listed without being there, as whiteouts of a directory of one layer are
            found[path] = there
            if there.kind is Kind.DIRECTORY:
                waiting.append(path)
    return found


def violations(changes: Sequence[Change], above: View, below: View) -> Iterator[str]:
    """One line for each path at which *changes* do not say how *above* comes from *below*."""
    by_path = {change.path: change for change in changes}
    if len(by_path) != len(changes):
        yield f"paths are listed twice: {sorted(change.path for change in changes)}"
    if [change.path for change in changes] != sorted(by_path, key=lambda path: path.split("/") if path else []):
        yield f"out of order: {[change.path for change in changes]}"
    explaining = {change.path.rpartition("/")[0] for change in changes if _explains(change)}
    for path, there in above.items():
        explained = not path or path in explaining
        yield from _present(path, there, _source(path, by_path, below), by_path.get(path), below, explained=explained)
    for path, there in below.items():
        if path not in above and not any(_listed_as_deleted(parent, by_path) for parent in _upwards(path)):
            yield f"{path!r} is gone, and not listed: {there}"
    for path, change in by_path.items():
        if change.change is ChangeKind.DELETED:
            source = _source(path, by_path, below)
            # Below something renamed it is what was below the old path, if there was anything.
            gone = (below.get(source) if source is not None else None) or below.get(path)
            if path in above or gone is None or gone.kind is not change.kind:
                yield f"{path!r} is listed as deleted: {change}"
        elif path not in above:
            yield f"{path!r} is listed, and not there: {change}"


def _listed_as_deleted(path: str, by_path: Mapping[str, Change]) -> bool:
    return path in by_path and by_path[path].change is ChangeKind.DELETED


def _upwards(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]


def _source(path: str, by_path: Mapping[str, Change], below: View) -> str | None:
    """Where the object at *path* was in the lower view, as the changes have it; None when it is new there."""
    change = by_path.get(path)
    if change is not None and change.change is ChangeKind.RENAMED:
        return change.old_path if change.old_path in below else None
    if not path:
        return path
    parent, _, name = path.rpartition("/")
    above = by_path.get(parent)
    if above is not None and (above.change in _NEW or Field.KIND in above.fields):
        return None
    source = _source(parent, by_path, below)
    found = None if source is None else f"{source}/{name}" if source else name
    return found if found in below else None


def _explains(change: Change) -> bool:
    """Whether it is no wonder that the directory it is in has another modification time."""
    structural = {ChangeKind.ADDED, ChangeKind.REPLACED, ChangeKind.RENAMED, ChangeKind.DELETED}
    return change.differs and (change.kind is not Kind.DIRECTORY or change.change in structural)


def _present(
    path: str, there: Seen, source: str | None, change: Change | None, below: View, *, explained: bool
) -> Iterator[str]:
    if source is None:
        if change is None or change.change not in _NEW:
            yield f"{path!r} is new, and listed as {change}"
        return
    fields = set(_fields(there, below[source]))
    listed = set() if change is None else set(change.fields)
    if there.kind is Kind.DIRECTORY and explained:
        fields.discard(Field.TIMES)
    if change is not None and change.kind is not there.kind:
        yield f"{path!r} is a {there.kind}, and listed as {change}"
    if change is not None and change.proved is False and Field.CONTENT not in fields and Field.TIMES in listed:
        listed.discard(Field.CONTENT)  # presumed from the time, and said to be
    if change is not None and change.proved is False and not {Field.SIZE, Field.TIMES} & fields:
        fields.discard(Field.CONTENT)  # presumed equal, from size and time
    if fields != listed:
        yield f"{path!r} differs from {source!r} in {sorted(fields)}, and is listed as {change}"
    if change is not None and change.change is ChangeKind.UNCHANGED and fields:
        yield f"{path!r} is listed as unchanged: {change}"
    if change is not None and change.change is not ChangeKind.RENAMED and change.change in _NEW:
        yield f"{path!r} was there, and is listed as {change}"


def _fields(one: Seen, other: Seen) -> Iterator[Field]:
    if one.kind is not other.kind:
        yield Field.KIND
        return
    plain = one.kind is not Kind.DIRECTORY
    names = {name for name, _ in {*one.xattrs} ^ {*other.xattrs}}
    acl = {name for name in names if name.startswith(_ACL)}
    kinds = [
        (Field.CONTENT, one.content != other.content),
        (Field.SIZE, one.kind is Kind.FILE and one.size != other.size),
        (Field.TARGET, one.target != other.target),
        (Field.DEVICE, one.rdev != other.rdev),
        (Field.MODE, one.mode != other.mode),
        (Field.OWNER, one.owner != other.owner),
        (Field.TIMES, one.mtime_ns != other.mtime_ns),
        (Field.LINKS, plain and one.nlink != other.nlink),
        (Field.XATTRS, bool(names - acl)),
        (Field.ACL, bool(acl)),
    ]
    yield from (field for field, differs in kinds if differs)
