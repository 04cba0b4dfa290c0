"""Files of an upper over files of a lower, compared in a third of the time: most names in an upper are that.

Law: what is said of a name is what :mod:`ovlctl.overlay.changes` says of it by resolving it twice.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from ovlctl.overlay.change import Change, ChangeKind, Field
from ovlctl.overlay.comparison import Object, compare
from ovlctl.overlay.resolution import Place
from ovlctl.overlay.tree import Kind, join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ovlctl.overlay.resolution import Resolution
    from ovlctl.overlay.resolver import Resolver
    from ovlctl.overlay.tree import Look

#: Fields that say that a file's content is another.
CONTENT = {Field.CONTENT, Field.TARGET, Field.DEVICE}
#: Directories of more layers are rare, and each takes a descriptor.
_MOST_LAYERS = 16


@contextmanager
def comparing(
    resolver: Resolver, above: Resolution, below: Resolution, *, read: bool
) -> Iterator[Callable[[str], Change | None]]:
    """Compare names in *above*, a directory of an upper and of all that *below* is made of.

    What the block is given takes a name, and returns None for whatever is not a file over a file, has a mark that
    counts, or cannot be read.

    Args:
        resolver: Of the whole stack.
        above: The directory.
        below: The same without the upper.
        read: As for :func:`~ovlctl.overlay.comparison.compare`.
    """
    places = above.stack
    if not resolver.sees_all_marks or len(places) > _MOST_LAYERS or below.path != above.path:
        yield _unknown
        return
    with ExitStack() as closing:
        try:
            looks = [closing.enter_context(place.layer.tree.looking(place.path)) for place in places]
        except OSError:
            yield _unknown
            return
        yield _Files(resolver, above.path, [*zip(places, looks, strict=True)], read=read).change


def _unknown(_name: str) -> None:
    return None


class _Files:
    def __init__(
        self, resolver: Resolver, path: str, looks: list[tuple[Place, Callable[[str], Look | None]]], *, read: bool
    ) -> None:
        self._following = resolver.following
        self._counting = resolver.counting
        self._origins = resolver.origins
        self._path = path
        (self._upper, self._look), *self._lowers = looks
        self._read = read

    def change(self, name: str) -> Change | None:
        try:
            above = self._file(self._upper, self._look(name), name)
            if above is None or self._origins.refused(above.place, above.attributes):
                return None
            for place, look in self._lowers:
                if (seen := look(name)) is not None:
                    below = self._file(place, seen, name)
                    return None if below is None else self._compared(above, below, name)
        except OSError:
            return None
        return None

    def _file(self, place: Place, look: Look | None, name: str) -> Object | None:
        if look is None or look.attributes.kind is not Kind.FILE or not self._counting.isdisjoint(look.xattr_names):
            return None
        found = Place(place.layer, join(place.path, name))
        return Object(found, look.attributes, look.attributes.nlink, found, look.xattr_names)

    def _compared(self, above: Object, below: Object, name: str) -> Change:
        found = compare(above, below, (self._following, self._following), read=self._read)
        kind = ChangeKind.UNCHANGED
        if found.fields:
            kind = ChangeKind.METADATA if CONTENT.isdisjoint(found.fields) else ChangeKind.MODIFIED
        return Change(
            join(self._path, name),
            kind,
            Kind.FILE,
            found.fields,
            above.attributes.size,
            None,
            found.proved,
            above.place,
            below.place,
        )
