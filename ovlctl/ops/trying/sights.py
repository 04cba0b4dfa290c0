"""What there is at a path at one moment: through the mount, and in each layer by its own directory.

A view is opened anew for each moment, because open trees keep directories that an action may have moved since.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.kernel import fiemap
from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.clones import can_clone
from ovlctl.kernel.openat2 import open_far_beneath
from ovlctl.ops.explain.file_systems import FileSystems
from ovlctl.ops.trying.values import LayerSight, Moment, Sight
from ovlctl.overlay.layers import Role
from ovlctl.overlay.marks import Mark
from ovlctl.overlay.object_marks import read_marks
from ovlctl.overlay.resolution import Place
from ovlctl.overlay.tree import Attributes, Kind, join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ovlctl.ops.reading import View
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.object_marks import Marks
    from ovlctl.overlay.resolution import Resolution

_BLOCK = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Whence:
    """Where an object comes from: numbers of layers.

    Attributes:
        provider: The layer that gives the object.
        data: The one that has its data; None where it has none.
    """

    provider: int | None = None
    data: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """The data of a file.

    Attributes:
        bytes: How many, holes left out.
        shared: Whether some of its blocks belong to another file, too; None where that cannot be told.
        can_be_shared: Whether its file system may share blocks at all.
    """

    bytes: int = 0
    shared: bool | None = False
    can_be_shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that steps are worked out from, at one moment.

    Attributes:
        moments: Of the paths of the wish.
        upper: What the upper has at those paths and in the directories on the way.
        index: The entries of the upper's index, by name.
        whence: Where each of those paths comes from.
    """

    moments: tuple[Moment, ...]
    upper: Mapping[str, LayerSight]
    index: Mapping[str, LayerSight]
    whence: Mapping[str, Whence]


def parents(path: str) -> Iterator[str]:
    """The directories on the way to *path*, topmost first, without the root."""
    here = ""
    for name in path.split("/")[:-1]:
        here = join(here, name)
        yield here


def watched(*paths: str) -> tuple[str, ...]:
    """*paths* and the directories on the way to them, each after those that it lies in."""
    return tuple(dict.fromkeys(each for path in paths for each in (*parents(path), path)))


def resolved(view: View, paths: Iterable[str]) -> dict[str, Resolution]:
    """What *paths* resolve to, each of which comes after the directories on the way to it: a lookup for each."""
    found = {"": view.resolver.root()}
    for path in paths:
        directory, _, name = path.rpartition("/")
        around = found.get(directory)
        if path and around is not None and around.is_directory:
            found[path] = view.resolver.child(around, name)
        else:
            found[path] = view.resolver.resolve(path)
    return found


def same(number: int) -> int:
    """An id as it is."""
    return number


class Witness:
    """Looks at the paths of one wish.

    Args:
        view: The stack.
        root: A descriptor of the root of its mount.
        uid: What a user id is called by whoever asks, who may be in another user namespace.
        gid: The same for groups.
    """

    def __init__(
        self, view: View, root: int, *, uid: Callable[[int], int] = same, gid: Callable[[int], int] = same
    ) -> None:
        self._view, self._root = view, root
        self._uid, self._gid = uid, gid
        self._prefix = view.subject.following.prefix
        self._numbers = numbers(view)

    def look(self, *paths: str) -> Seen:
        """What there is now at *paths*."""
        every = watched(*paths)
        return Seen(
            moments=tuple(map(self.moment, paths)),
            upper={path: self._in_upper(path) for path in every},
            index=dict(self._index()),
            whence={path: self._whence(found) for path, found in resolved(self._view, every).items()},
        )

    def moment(self, path: str) -> Moment:
        """What there is at *path*."""
        found = self._view.resolver.resolve(path, complete=True)
        return Moment(path=path, merged=self._merged(path), layers=tuple(self._layers(found)))

    def data_of(self, path: str) -> Data:
        """The data that the upper's file at *path* has; none when there is no such file."""
        upper = self._view.layers.upper
        try:
            descriptor = None if upper is None else upper.tree.descriptor(path)
        except OSError:
            return Data()
        if descriptor is None:
            return Data()
        try:
            found = data_bytes(descriptor)
            every = fiemap.extents(descriptor, sync=False)
            can_be_shared = self._clones(descriptor) is not Answer.NO
        finally:
            os.close(descriptor)
        shared = None if every is None else any(each.flags & fiemap.FIEMAP_EXTENT.SHARED for each in every)
        return Data(bytes=found, shared=shared if can_be_shared else False, can_be_shared=can_be_shared)

    def _clones(self, descriptor: int) -> Answer:
        upper = self._view.layers.upper
        file_system = None if upper is None else FileSystems(self._view).of(upper)
        return Answer.UNKNOWN if file_system is None else can_clone(descriptor, file_system.kind)

    def _merged(self, path: str) -> Sight | None:
        try:
            found = open_far_beneath(self._root, path or ".", os.O_PATH | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            return self._sight(Attributes.of(os.fstat(found)))
        finally:
            os.close(found)

    def _layers(self, found: Resolution) -> Iterator[LayerSight]:
        upper = self._view.layers.upper
        if upper is not None:
            yield self._in_upper(found.path)
        places = {seen.place.layer: seen.place for seen in found.candidates if seen.present}
        if found.data is not None and found.data.layer.role is Role.DATA:
            places[found.data.layer] = found.data
        for layer, number in self._numbers.items():
            if layer in places and layer.role is not Role.UPPER:
                yield self._of(places[layer], number, found.path)

    def _in_upper(self, path: str) -> LayerSight:
        upper = self._view.layers.upper
        if upper is None:
            return LayerSight(layer=0, sight=None)
        return self._of(Place(upper, path), 0, path)

    def _of(self, place: Place, number: int, path: str) -> LayerSight:
        tree = place.layer.tree
        elsewhere = None if place.path == path else place.path
        try:
            attributes = tree.lstat(place.path)
            if attributes is None:
                return LayerSight(layer=number, sight=None)
            marks = _read(self._view, place, attributes)
        except OSError:
            # ENOTDIR: a directory on the way is a file there, or a whiteout.
            return LayerSight(layer=number, sight=None)
        return LayerSight(layer=number, sight=self._sight(attributes), marks=names_of(marks), path=elsewhere)

    def _index(self) -> Iterator[tuple[str, LayerSight]]:
        index = self._view.layers.index
        if index is not None:
            for child in index.tree.scandir(""):
                yield child.name, self._of(Place(index, child.name), 0, child.name)

    def _whence(self, found: Resolution) -> Whence:
        if not found.stack:
            return Whence()
        data = None if found.data is None else self._numbers.get(found.data.layer)
        return Whence(provider=self._numbers.get(found.stack[0].layer), data=data)

    def _sight(self, seen: Attributes) -> Sight:
        return Sight(
            kind=seen.kind,
            ino=seen.ino,
            dev=seen.dev,
            size=seen.size,
            blocks=seen.blocks,
            nlink=seen.nlink,
            mode=seen.mode,
            uid=self._uid(seen.uid),
            gid=self._gid(seen.gid),
            mtime_ns=seen.mtime_ns,
        )


def numbers(view: View) -> dict[Layer, int]:
    """The number of each layer, topmost first; the index is a part of the upper."""
    layers = view.layers
    every = {layer: number for number, layer in enumerate((*layers.merged, *layers.data))}
    return every if layers.index is None else {**every, layers.index: 0}


def names_of(marks: Marks) -> tuple[Mark, ...]:
    """The marks that are there, sorted; ``whiteout`` for a whiteout of either kind."""
    there = {
        Mark.WHITEOUT: marks.whiteout is not None,
        Mark.ORIGIN: marks.origin_raw is not None,
        Mark.OPAQUE: marks.opaque is not None,
        Mark.REDIRECT: marks.redirect is not None,
        Mark.METACOPY: marks.metacopy is not None,
        Mark.IMPURE: marks.impure,
        Mark.NLINK: marks.nlink is not None,
        Mark.UUID: marks.uuid is not None,
        Mark.PROTATTR: marks.protattr is not None,
        Mark.UPPER: marks.upper is not None,
    }
    return tuple(sorted(mark for mark, present in there.items() if present))


def data_bytes(descriptor: int) -> int:
    """Bytes of an open file that are data and no hole.

    Raises:
        OSError: It cannot be searched.
    """
    size, position, found = os.fstat(descriptor).st_size, 0, 0
    while position < size:
        try:
            begin = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError:
            break  # ENXIO: nothing but a hole is left
        position = min(size, os.lseek(descriptor, begin, os.SEEK_HOLE))
        found += position - begin
    return found


def lower_positive(view: View, path: str, after: Layer) -> bool:
    """Whether a layer below *after* has something at *path* that is no whiteout: ovl_lower_positive() of dir.c.

    Only what the directory around is made of counts.
    """
    directory = view.resolver.resolve(path.rpartition("/")[0])
    below = False
    for place in directory.stack:
        if below:
            name = join(place.path, path.rpartition("/")[2])
            try:
                attributes = place.layer.tree.lstat(name)
                if attributes is not None:
                    marks = _read(view, Place(place.layer, name), attributes)
                    return marks.whiteout is None
            except OSError:
                return True  # as the kernel has it, where it cannot look
        below = below or place.layer is after
    return False


def stands_in(view: View, path: str, own: Layer) -> bool:
    """Whether nothing but *own* and what is above it has *path*, so that the stack itself needs no whiteout for it.

    Args:
        view: A scratch stack.
        path: From the root of the merged view.
        own: Its topmost lower, which is the upper of the stack itself.
    """
    directory = view.resolver.resolve(path.rpartition("/")[0])
    for place in directory.stack:
        if place.layer is own:
            name = join(place.path, path.rpartition("/")[2])
            try:
                attributes = own.tree.lstat(name)
                if attributes is None:
                    return False
                marks = _read(view, Place(own, name), attributes)
            except OSError:
                return False
            return marks.whiteout is None and not lower_positive(view, path, own)
    return False


def _read(view: View, place: Place, attributes: Attributes) -> Marks:
    following = view.subject.following
    return read_marks(place.layer.tree, place.path, attributes, following.prefix, following.habits)


def is_file(sight: Sight | None) -> bool:
    """Whether it is a regular file."""
    return sight is not None and sight.kind is Kind.FILE
