"""One layer by itself: what it holds, with the marks that overlayfs left there, whatever the merge makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ovlctl.overlay.object_marks import read_marks
from ovlctl.overlay.resolution import Place, Unreadable
from ovlctl.overlay.sorted_names import SortedNames
from ovlctl.overlay.tree import Kind, join

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.overlay.layers import Following, Layer
    from ovlctl.overlay.object_marks import Marks
    from ovlctl.overlay.tree import Attributes


class Held(NamedTuple):
    """An object of a layer.

    Attributes:
        marks: None when they could not be read.
    """

    place: Place
    attributes: Attributes
    marks: Marks | None


def held(place: Place, following: Following) -> Iterator[Held | Unreadable]:
    """The object at *place*, and what of it could not be read; nothing when there is none.

    Args:
        place: In a layer.
        following: The settings of the stack.
    """
    tree = place.layer.tree
    try:
        attributes = tree.lstat(place.path)
    except NotADirectoryError:
        return
    except OSError as error:
        yield Unreadable(place=place, errno=error.errno or 0)
        return
    if attributes is None:
        return
    try:
        yield Held(place, attributes, read_marks(tree, place.path, attributes, following.prefix, following.habits))
    except OSError as error:
        yield Held(place, attributes, None)
        yield Unreadable(place=place, errno=error.errno or 0)


def walk_layer(
    layer: Layer, path: str, following: Following, *, depth: int | None = None
) -> Iterator[Held | Unreadable]:
    """Everything below *path*, sorted, each directory followed by what is in it.

    Args:
        layer: The layer.
        path: A directory of it.
        following: The settings of the stack.
        depth: How many levels; None for all.
    """
    pending = [_in(Place(layer, path), following)]
    while pending:
        for found in pending[-1]:
            yield found
            deeper = depth is None or len(pending) < depth
            if isinstance(found, Held) and found.attributes.kind is Kind.DIRECTORY and deeper:
                pending.append(_in(found.place, following))
                break
        else:
            pending.pop()


def _in(directory: Place, following: Following) -> Iterator[Held | Unreadable]:
    names = SortedNames()
    try:
        for child in directory.layer.tree.scandir(directory.path):
            names.add(child.name)
    except OSError as error:
        yield Unreadable(place=directory, errno=error.errno or 0)
    for name in names:
        yield from held(Place(directory.layer, join(directory.path, name)), following)
