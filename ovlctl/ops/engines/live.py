"""Which layers of stores are mounted, where, and whose root directory they are: the kernel's own words.

An overlay is one superblock, however many namespaces have a mount of it. Its upper, as the mount table shows it, is
held against the layers of a store. A path in the table of another namespace may mean another directory here: it counts
when the same superblock is mounted here, too, or when a process there sees the directory that we see.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.overlay import live

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ovlctl.engines.values import Container, Layer, Store
    from ovlctl.kernel.mount_namespaces import MountNamespace
    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.who.scene import Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """An overlay that is mounted.

    Attributes:
        mount: One mount of it, in our own namespace where it has one.
        mount_ids: Of all its mounts, in whatever namespace.
        namespace: The namespace of *mount*.
        root: Where it can be reached from here; None, nowhere.
        upper: Its upper; None for a read-only one, and where the path means nothing here.
        lowers: Its lowers as shown, topmost first.
        pids: Processes whose root directory is in it, sorted.
        here: Whether *mount* is in our own namespace.
    """

    mount: Mount
    mount_ids: frozenset[int]
    namespace: MountNamespace
    root: str | None
    upper: str | None
    lowers: tuple[str, ...]
    pids: tuple[int, ...]
    here: bool


class Alive:
    """Every overlay that is mounted in some namespace.

    Attributes:
        overlays: They.
        whole: Whether every mount table could be read.
        unreadable: Processes that may not be looked into: whose root directory is whose, they do not tell.
    """

    def __init__(self, scene: Scene) -> None:
        self.overlays = tuple(_overlays(scene))
        self.whole = scene.complete and not scene.unread
        self.unreadable = frozenset(scene.unreadable)
        self._by_upper = {each.upper: each for each in self.overlays if each.upper is not None}
        self._by_point = {each.mount.mount_point: each for each in self.overlays if each.here}

    def of(self, store: Store, layer: Layer) -> Live | None:
        """The overlay that has *layer* as its upper; None when it is not mounted."""
        own = os.path.relpath(layer.diff, store.places)
        return self._by_upper.get(layer.diff) or self._by_upper.get(own)

    def has(self, store: Store) -> bool:
        """Whether *store* is this machine's: said to be, or some layer of it is mounted here."""
        return store.alive or any(layer.work is not None and self.of(store, layer) for layer in store.layers)

    def of_container(self, store: Store, container: Container) -> Live | None:
        """The overlay of a container: with its layer as the upper, else where its engine mounts it."""
        layer = store.by_id.get(container.layer or "")
        return (None if layer is None else self.of(store, layer)) or self.at(container.merged)

    def at(self, point: str | None) -> Live | None:
        """The overlay mounted at *point* in our own namespace."""
        return None if point is None else self._by_point.get(point)

    def with_mount(self, mount_id: int) -> Live | None:
        """The overlay that the mount of this id belongs to."""
        return next((each for each in self.overlays if mount_id in each.mount_ids), None)

    def of_process(self, pid: int) -> Live | None:
        """The overlay that the root directory of a process is in."""
        return next((each for each in self.overlays if pid in each.pids), None)


def _overlays(scene: Scene) -> Iterable[Live]:
    rooted: dict[int, list[int]] = {}
    for task in scene.tasks:
        if (root := task.places.get("root")) is not None:
            rooted.setdefault(root, []).append(task.pid)
    groups: dict[tuple[int, int], list[tuple[MountNamespace, Mount]]] = {}
    for namespace, mount in scene.mounts():
        if mount.fs_type == "overlay":
            groups.setdefault(mount.dev, []).append((namespace, mount))
    for group in groups.values():
        # The own namespace comes first in a census.
        namespace, mount = group[0]
        here = namespace is scene.own
        shown = live.layers(mount.options)
        yield Live(
            mount=mount,
            mount_ids=frozenset(each.mount_id for _, each in group),
            namespace=namespace,
            root=mount.mount_point if here else _reached(namespace, mount),
            upper=None if shown.upper is None else _upper(shown.upper, namespace, here=here),
            lowers=(*shown.lowers, *shown.data_only),
            pids=tuple(sorted({pid for _, each in group for pid in rooted.get(each.mount_id, ())})),
            here=here,
        )


def _reached(namespace: MountNamespace, mount: Mount) -> str | None:
    for task in namespace.tasks:
        root = f"{task.proc}/root"
        path = root if mount.mount_point == "/" else root + mount.mount_point
        with suppress(OSError):
            if os.stat(path).st_dev == mount.st_dev:
                return path
    return None


def _upper(shown: str, namespace: MountNamespace, *, here: bool) -> str | None:
    readings = live.LiveStack.readings(shown)
    upper = next(filter(os.path.isdir, readings), readings[0])
    if not os.path.isabs(upper):
        # Relative to the engine's store, as it is given where the options would be too long. Names there are by chance.
        return os.path.normpath(upper)
    if not here and not any(_same(upper, f"{task.proc}/root{upper}") for task in namespace.tasks):
        return None
    # An engine may go to its store through a symbolic link.
    return os.path.realpath(upper)


def _same(one: str, other: str) -> bool:
    with suppress(OSError):
        return os.path.samefile(one, other)
    return False
