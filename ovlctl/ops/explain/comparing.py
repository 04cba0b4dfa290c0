"""Our answer against the kernel's: file handles for what is there, errors for what is not."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ovlctl.ops.explain.sight import Sight, see
from ovlctl.ops.explain.terms import Ground, Verdict
from ovlctl.ops.explain.values import KernelWord
from ovlctl.overlay.layers import Role
from ovlctl.overlay.marks import Mark, decode_handle
from ovlctl.overlay.resolution import Outcome
from ovlctl.overlay.resolution import Verdict as Fate
from ovlctl.overlay.resolver import Resolver
from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from ovlctl.ops.reading import View
    from ovlctl.overlay.resolution import Place, Resolution
    from ovlctl.overlay.tree import Attributes

#: How often both sides are looked at when they differ, before that counts: somebody may be writing.
_LOOKS = 3
_OUT_OF_REACH = {errno.EACCES, errno.EPERM}


def compare(view: View, found: Resolution) -> KernelWord:
    """What the kernel says of the path of *found*, and whether it is the same.

    Law 1 is checked here on the user's own stack. A difference counts only when our own side stays the same while the
    kernel is asked, since a file that grows differs from one moment to the next.
    """
    root = view.subject.root
    if root is None:
        return KernelWord(verdict=Verdict.NOT_CHECKABLE, ground=Ground.NOT_MOUNTED)
    said = _compare(view, found, see(root, found.path, view.subject.options))
    for _ in range(_LOOKS):
        if said.verdict is not Verdict.DISAGREES:
            return said
        again = Resolver(view.layers, view.subject.following).resolve(found.path, complete=True)
        if _same(again, found):
            return said
        found = again
        said = _compare(view, found, see(root, found.path, view.subject.options))
    return _word(Verdict.NOT_CHECKABLE, Ground.CHANGING, see(root, found.path, view.subject.options))


def _compare(view: View, found: Resolution, sight: Sight) -> KernelWord:
    if (ground := _unseen(found, sight)) is not None:
        return _word(Verdict.NOT_CHECKABLE, ground, sight)
    if found.outcome is Outcome.UNKNOWN:
        return _word(Verdict.NOT_CHECKABLE, Ground.NOT_CERTAIN, sight)
    word = _compare_answers(view, found, sight)
    if found.certain or word.verdict is not Verdict.DISAGREES:
        return word
    # Without the marks it is no wonder: one that cannot be seen may have led elsewhere. The mark `origin`, by which
    # a copied-up file goes, may be one of them.
    same = (
        sight.attributes is not None
        and found.attributes is not None
        and _is_very_same(sight.attributes, found.attributes)
    )
    return _word(Verdict.NOT_CHECKABLE, Ground.NOT_CERTAIN if same else Ground.UNSEEN_MARKS, sight)


def _compare_answers(view: View, found: Resolution, sight: Sight) -> KernelWord:
    if sight.errno != found.errno:
        return _word(Verdict.DISAGREES, Ground.OTHER_OUTCOME, sight)
    if sight.attributes is None or found.attributes is None:
        ground = Ground.ABSENCE if found.outcome is Outcome.ABSENT else Ground.ERROR
        return _word(Verdict.AGREES, ground, sight)
    if sight.attributes.kind is not found.attributes.kind:
        return _word(Verdict.DISAGREES, Ground.OTHER_KIND, sight)
    return _compare_objects(view, found, sight)


def _unseen(found: Resolution, sight: Sight) -> Ground | None:
    # Why the kernel's answer says nothing about ours.
    if sight.errno == errno.EXDEV:
        return Ground.MOUNTED_OVER
    if sight.errno == errno.ELOOP and found.errno != errno.ELOOP:
        return Ground.THROUGH_LINK
    if sight.errno in _OUT_OF_REACH and sight.errno != found.errno:
        return Ground.NOT_REACHABLE
    return None


def _compare_objects(view: View, found: Resolution, sight: Sight) -> KernelWord:
    assert sight.attributes is not None  # noqa: S101 -- for the type checker; both exist
    assert found.attributes is not None  # noqa: S101 -- as above
    sized = found.kind in {Kind.FILE, Kind.SYMLINK}
    other = _word(Verdict.DISAGREES, Ground.OTHER_SIZE, sight)
    smaller = sized and sight.attributes.size != found.attributes.size
    if sight.record is None:
        return other if smaller else _word(Verdict.NOT_CHECKABLE, Ground.NO_ANSWER, sight)
    try:
        known = _handles(view, found)
    except OSError:
        known = set()
    if not known:
        return other if smaller else _word(Verdict.NOT_CHECKABLE, Ground.NO_HANDLES, sight)
    said = (sight.record.type, sight.record.handle)
    if said not in known and not (_is_remembered(view, found) and _is_very_same(sight.attributes, found.attributes)):
        return _word(Verdict.DISAGREES, Ground.OTHER_OBJECT, sight)
    return other if smaller else _word(Verdict.AGREES, Ground.HANDLE, sight)


def _handles(view: View, found: Resolution) -> set[tuple[int, bytes]]:
    """What the kernel may call the object: ovl_encode_fh() in fs/overlayfs/export.c.

    Without an upper that is the topmost object; else also any other part of it, the metadata-only ones that it keeps in
    between, and the one that it was copied up from.
    """
    kept = (seen.place for seen in found.candidates if seen.verdict is Fate.METADATA_ONLY)
    places = (*found.stack, *kept) if view.layers.upper is not None else found.stack[:1]
    handles = (place.layer.tree.handle(place.path) for place in places)
    known = {(handle.type, handle.handle) for handle in handles if handle is not None}
    if found.stack[0].layer.role is Role.UPPER and (origin := _origin(view, found.stack[0])) is not None:
        known.add(origin)
    return known


def _is_remembered(view: View, found: Resolution) -> bool:
    """Whether only the mount may know what an object of the upper was copied up from.

    Such a copy gets no mark ``origin`` when it is one name of several without an index, or, with userxattr, no file and
    no directory. As long as the kernel remembers the copy-up it goes on calling it by the lower's handle.
    """
    top = found.stack[0]
    return top.layer.role is Role.UPPER and found.kind is not Kind.DIRECTORY and _origin(view, top) is None


def _is_very_same(one: Attributes, other: Attributes) -> bool:
    # The mount shows size and times of the real object.
    return (one.kind, one.mode, one.size, one.mtime_ns, one.ctime_ns) == (
        other.kind,
        other.mode,
        other.size,
        other.mtime_ns,
        other.ctime_ns,
    )


def _origin(view: View, place: Place) -> tuple[int, bytes] | None:
    if view.subject.following.blind:
        return None
    value = place.layer.tree.xattr(place.path, view.subject.following.prefix + Mark.ORIGIN)
    record = None if value is None else decode_handle(value)
    return None if record is None else (record.type, record.handle)


def _same(one: Resolution, other: Resolution) -> bool:
    return _essence(one) == _essence(other)


def _essence(found: Resolution) -> tuple[object, ...]:
    seen = found.attributes
    what = None if seen is None else (seen.kind, seen.dev, seen.ino, seen.size)
    return found.outcome, found.errno, found.stack, what


def _word(verdict: Verdict, ground: Ground, sight: Sight) -> KernelWord:
    return KernelWord(
        verdict=verdict, ground=ground, errno=sight.errno, attributes=sight.attributes, record=sight.record
    )
