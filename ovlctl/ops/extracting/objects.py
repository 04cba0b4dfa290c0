"""What is taken out of a stack: objects of its merged view, or of one layer, as values.

Law: the objects of the merged view, with their content and attributes, are what reading through a mount gives. Of one
layer they are what it holds, as it is: nothing below counts, and marks are not followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ovlctl import errors
from ovlctl.errors import Note
from ovlctl.ops.reading.layer_names import name_of
from ovlctl.ops.reading.paths import not_in_layer, not_seen, plain
from ovlctl.ops.reading.rules import RULES
from ovlctl.overlay.merged import walk
from ovlctl.overlay.one_layer import Held, held, walk_layer
from ovlctl.overlay.resolution import Outcome, Place, Unreadable
from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.reading import View
    from ovlctl.ops.reading.troubles import Troubles
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.resolution import Resolution
    from ovlctl.overlay.tree import Attributes


class Thing(NamedTuple):
    """An object that can be taken out.

    Attributes:
        path: In the merged view, or in the layer.
        place: The object that gives attributes, extended attributes and the target of a link.
        attributes: Of it.
        links: st_nlink.
        data: Where the content of a regular file is; None for other kinds, and for a file without.
        why_no_data: For a file without: the words for people.
        data_errno: For a file without: what open(2) gives.
        certain: Whether every mark on it that counts can be seen.
    """

    path: str
    place: Place
    attributes: Attributes
    links: int
    data: Place | None = None
    why_no_data: str = ""
    data_errno: int = 0
    certain: bool = True

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return self.attributes.kind is Kind.DIRECTORY


def find(view: View, path: str, layer: Layer | None, troubles: Troubles) -> Thing:
    """The object at *path*.

    Args:
        view: An open stack.
        path: From the root of the merged view, or of *layer*.
        layer: Look into this one only; None for the merged view.
        troubles: Takes what cannot be read and does not matter for the object as such.

    Raises:
        PathNotInStack: Nothing is there.
        AccessDenied: Whether something is there cannot be read.
        ContentUnreadable: The kernel refuses to look it up.
        NotAFile: It is a whiteout of the layer.
    """
    if layer is None:
        found = view.resolver.resolve(plain(path))
        if not found.exists:
            raise not_seen(found, view.subject)
        return _of_merge(found)
    place = Place(layer, plain(path))
    there = list(held(place, view.subject.following))
    if not there:
        raise not_in_layer(place.path, layer)
    for lost in (each for each in there if isinstance(each, Unreadable)):
        if lost is there[0]:
            raise errors.AccessDenied(
                f"{{}} of the layer {name_of(layer)} cannot be looked at",
                place.path,
                errno=lost.errno,
                hint="ask as root",
            )
        troubles.add(lost)
    thing = _of_layer(there[0], troubles) if isinstance(there[0], Held) else None
    if thing is None:
        raise errors.NotAFile(
            f"{{}} of the layer {name_of(layer)} is a whiteout: it says that the name is gone, and has no content",
            place.path,
            hint="the layers below may have it: `--layer` with their number",
        )
    return thing


def below(view: View, top: Thing, layer: Layer | None, troubles: Troubles) -> Iterator[Thing]:
    """Everything below the directory *top*, sorted, each directory followed by what is in it.

    What cannot be read, what the kernel refuses to look up, and the whiteouts of a layer are left out.
    """
    if layer is not None:
        for found in walk_layer(layer, top.path, view.subject.following):
            if isinstance(found, Unreadable):
                troubles.add(found)
            elif (thing := _of_layer(found, troubles)) is not None:
                yield thing
        return
    for entry in walk(view.resolver, top.path):
        if isinstance(entry, Unreadable):
            troubles.add(entry)
        elif entry.resolution.exists:
            yield _of_merge(entry.resolution)
        elif entry.resolution.outcome is not Outcome.ABSENT:
            _left_out(entry.resolution, troubles)


def _of_merge(found: Resolution) -> Thing:
    attributes = found.attributes
    assert attributes is not None, "what exists has attributes"  # noqa: S101 -- for the type checker
    without = attributes.kind is Kind.FILE and found.data is None
    return Thing(
        found.path,
        found.stack[0],
        attributes,
        found.nlink,
        found.data,
        "it has metadata only, and its data cannot be had" if without else "",
        found.data_errno,
        found.certain,
    )


def _of_layer(found: Held, troubles: Troubles) -> Thing | None:
    """The object as it is; None for a whiteout."""
    place, attributes, marks = found
    if marks is not None:
        if not marks.readable:
            troubles.certain = False
        if marks.whiteout is not None:
            return None
    only_metadata = marks is not None and marks.metacopy is not None and attributes.kind is Kind.FILE
    data = place if attributes.kind is Kind.FILE and not only_metadata else None
    why = "this layer has its metadata only; the data are in a layer below" if only_metadata else ""
    certain = marks is None or marks.readable
    return Thing(place.path, place, attributes, attributes.nlink, data, why, certain=certain)


def _left_out(found: Resolution, troubles: Troubles) -> None:
    for lost in found.unreadable:
        troubles.add(lost)
    if found.outcome is Outcome.REFUSED:
        why = RULES[found.rule]
        troubles.tell(Note(f"{{}} is left out: the kernel refuses to look it up ({why})", (found.path,)))
