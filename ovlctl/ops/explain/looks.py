"""What each layer has at a path: its object, the marks on it, and what they name."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ovlctl.ops.explain.hiding import Hiding
from ovlctl.ops.explain.values import LayerLook
from ovlctl.overlay.layers import Role
from ovlctl.overlay.object_marks import read_marks
from ovlctl.overlay.resolution import Verdict
from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.ops.reading import View
    from ovlctl.overlay.marks import HandleRecord
    from ovlctl.overlay.object_marks import Marks
    from ovlctl.overlay.resolution import Candidate, Place, Resolution


def looks(view: View, found: Resolution) -> tuple[LayerLook, ...]:
    """One look for each candidate.

    Args:
        view: The stack.
        found: A resolution that is complete.
    """
    below = [seen.place for seen in found.candidates if seen.present and seen.place.layer.role is not Role.UPPER]
    hiding = Hiding(view.resolver, found.path)
    return tuple(_look(view, candidate, below, hiding) for candidate in found.candidates)


def _look(view: View, candidate: Candidate, below: Sequence[Place], hiding: Hiding) -> LayerLook:
    place, attributes = candidate.place, candidate.attributes
    if candidate.verdict is Verdict.UNREADABLE and attributes is None:
        return LayerLook(candidate=candidate, errno=_trouble(place))
    if attributes is None:
        return LayerLook(candidate=candidate)
    following = view.subject.following
    tree = place.layer.tree
    marks: Marks | None = None
    target: str | None = None
    number = 0
    try:
        marks = read_marks(tree, place.path, attributes, following.prefix, following.habits)
        if attributes.kind is Kind.SYMLINK:
            target = tree.readlink(place.path)
    except OSError as error:
        number = error.errno or errno.EIO
    origin = None if marks is None or marks.origin is None else named(marks.origin, below)
    return LayerLook(
        candidate=candidate,
        marks=marks,
        target=target,
        origin=origin,
        errno=number,
        of_index=place.layer is view.layers.index,
        hider=hiding.of(place.layer) if candidate.verdict is Verdict.PARENT_HIDDEN else None,
    )


def named(record: HandleRecord, places: Sequence[Place]) -> Place | None:
    """The object among *places* that *record* is the handle of; its file system's uuid is not compared."""
    for place in places:
        try:
            handle = place.layer.tree.handle(place.path)
        except OSError:
            continue
        if handle is not None and (handle.type, handle.handle) == (record.type, record.handle):
            return place
    return None


def _trouble(place: Place) -> int:
    try:
        place.layer.tree.lstat(place.path)
    except OSError as error:
        return error.errno or errno.EIO
    return errno.EIO
