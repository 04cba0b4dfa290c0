"""``tree``: the merged view as a list, without mounting anything; or what one layer holds.

Law: the rows that are there, in :func:`merged`, are what a walk of a mount comes to, in the same shape; with *hidden*
every object of every layer has one row more, at the path that it has in its layer, unless it is itself what is seen
there. Rows are made one at a time; memory does not grow with their number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ovlctl.ops.reading.paths import missing, not_in_layer, not_seen, plain
from ovlctl.overlay import one_layer
from ovlctl.overlay.candidates import also
from ovlctl.overlay.merged import Entry, below
from ovlctl.overlay.one_layer import Held, walk_layer
from ovlctl.overlay.resolution import Outcome, Place, Unreadable, Verdict
from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.reading import View
    from ovlctl.ops.reading.troubles import Troubles
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.object_marks import Marks
    from ovlctl.overlay.resolution import Rule
    from ovlctl.overlay.tree import Attributes


_IN_USE = {Verdict.PROVIDES, Verdict.MERGED, Verdict.DATA, Verdict.METADATA_ONLY}


class Row(NamedTuple):
    """A line of a listing: an object, or a name that has none.

    Attributes:
        path: In the merged view, or in the layer that is listed; without a leading slash.
        place: The object. None for a name that readdir(3) gives and lstat(2) does not find, one that the kernel
            refuses, and one of which nothing can be known.
        attributes: Of the object.
        verdict: What became of it: PROVIDES for what is seen. None where a layer is listed by itself.
        listed: Whether readdir(3) gives the name; None where that was not asked.
        outcome: What lstat(2) says of the name.
        errno: Of a refusal.
        rule: Why so.
        target: Of a symbolic link.
        data: Where the content of a metadata-only file is; None for every other object.
        data_errno: What open(2) gives for a file that is seen and whose content cannot be had.
        marks: Where a layer is listed by itself.
    """

    path: str
    place: Place | None = None
    attributes: Attributes | None = None
    verdict: Verdict | None = None
    listed: bool | None = None
    outcome: Outcome = Outcome.PRESENT
    errno: int = 0
    rule: Rule | None = None
    target: str | None = None
    data: Place | None = None
    data_errno: int = 0
    marks: Marks | None = None


def merged(
    view: View, path: str, troubles: Troubles, *, hidden: bool = False, depth: int | None = None
) -> Iterator[Row]:
    """What is below *path* of the merged view, or *path* itself when it is no directory.

    Args:
        view: An open stack.
        path: From the root of the merged view.
        troubles: Takes what cannot be read.
        hidden: Also a row for each object that is not seen.
        depth: How many levels; None for all.

    Raises:
        PathNotInStack: Nothing is there; with *hidden*, in no layer either.
    """
    found = view.resolver.resolve(plain(path), complete=hidden)
    if hidden:
        # Also where no directory of the view leads.
        found = also(found, [(Place(layer, found.path), True) for layer in view.layers.merged])
    if not found.is_directory:
        own = tuple(_rows(Entry(found, listed=found.exists), troubles, hidden=hidden))
        if not own:
            raise not_seen(found, view.subject)
        # The directory that it is in was not listed.
        yield from (row._replace(listed=True if found.exists else None) for row in own)
    if found.is_directory or hidden:
        for entry in below(view.resolver, found, hidden=hidden, depth=depth):
            if isinstance(entry, Unreadable):
                troubles.add(entry)
            elif hidden:
                yield from _rows(entry, troubles, hidden=True)
            elif (row := _seen(entry, troubles)) is not None:
                yield row


def of_layer(view: View, layer: Layer, path: str, troubles: Troubles, *, depth: int | None = None) -> Iterator[Row]:
    """What one layer itself holds below *path*, or at *path* when that is no directory.

    Raises:
        PathNotInStack: The layer has nothing there.
    """
    following, place = view.subject.following, Place(layer, plain(path))
    start = list(one_layer.held(place, following))
    if not start:
        raise not_in_layer(place.path, layer)
    is_directory = isinstance(start[0], Held) and start[0].attributes.kind is Kind.DIRECTORY
    for found in walk_layer(layer, place.path, following, depth=depth) if is_directory else start:
        if isinstance(found, Unreadable):
            troubles.add(found)
            continue
        if found.marks is not None and not found.marks.readable:
            troubles.certain = False
        target = _target(found.place, troubles) if found.attributes.kind is Kind.SYMLINK else None
        yield Row(found.place.path, found.place, found.attributes, target=target, marks=found.marks)


def _rows(entry: Entry, troubles: Troubles, *, hidden: bool) -> Iterator[Row]:
    if (row := _seen(entry, troubles)) is not None:
        yield row
    if hidden:
        yield from _hidden(entry, troubles)


def _seen(entry: Entry, troubles: Troubles) -> Row | None:
    """What the merged view has; None for a name that is not even listed."""
    found, listed = entry
    for lost in found.unreadable:
        troubles.add(lost)
    attributes = found.attributes
    if attributes is None:
        if not listed and missing(found):
            return None
        return Row(found.path, None, None, None, listed, found.outcome, found.errno, found.rule)
    provider = found.stack[0]
    return Row(
        found.path,
        provider,
        attributes,
        Verdict.PROVIDES,
        listed,
        Outcome.PRESENT,
        0,
        found.rule,
        _target(provider, troubles) if attributes.kind is Kind.SYMLINK else None,
        None if found.data is provider or found.data == provider else found.data,
        found.data_errno,
    )


def _hidden(entry: Entry, troubles: Troubles) -> Iterator[Row]:
    found, listed = entry
    known = {lost.place for lost in found.unreadable}
    # What a lookup had found before it failed.
    vain = {Outcome.REFUSED: Verdict.REFUSED, Outcome.UNKNOWN: Verdict.UNREADABLE}.get(found.outcome)
    for candidate in found.candidates:
        place, attributes = candidate.place, candidate.attributes
        # What a redirect leads to has its row where it lies.
        if attributes is not None and place.path == found.path and place not in found.stack[:1]:
            target = _target(place, troubles) if attributes.kind is Kind.SYMLINK else None
            verdict = vain if vain is not None and candidate.verdict in _IN_USE else candidate.verdict
            yield Row(
                found.path,
                place,
                attributes,
                verdict,
                listed,
                found.outcome,
                found.errno,
                found.rule,
                target,
            )
        elif candidate.verdict is Verdict.UNREADABLE and place not in known:
            troubles.add(Unreadable(place=place, errno=0))


def _target(place: Place, troubles: Troubles) -> str | None:
    try:
        return place.layer.tree.readlink(place.path)
    except OSError as error:
        troubles.add(Unreadable(place=place, errno=error.errno or 0))
        return None
