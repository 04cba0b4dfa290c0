"""Every store of some places, read by whoever knows its engine."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from ovlctl.engines.files import Files
from ovlctl.engines.keepers import Engine
from ovlctl.engines.values import Store, StoreKind
from ovlctl.errors import OvlError, StoreDamaged, StoreForbidden, strerror

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ovlctl.engines.places import Place

_DRIVERS = {
    Engine.DOCKER: ("overlay2", StoreKind.GRAPH_DRIVER, "overlay2"),
    Engine.PODMAN: ("overlay", StoreKind.GRAPH_DRIVER, "overlay"),
    Engine.CONTAINERD: ("overlayfs", StoreKind.SNAPSHOTTER, "io.containerd.snapshotter.v1.overlayfs/snapshots"),
}


def read(places: Iterable[Place]) -> tuple[Store, ...]:
    """The stores of *places*.

    What Docker keeps in a containerd is a store of Docker's; the same containerd, as a place of its own, then tells of
    the rest. A place that cannot be read is a store with nothing but a trouble.
    """
    places = tuple(places)
    containerd = _Containerds()
    found: list[Store] = []
    for place in places:
        if place.engine is Engine.DOCKER:
            found += _read(place, containerd.docker)
    for place in places:
        if place.engine is Engine.PODMAN:
            found += _read(place, _podman)
        elif place.engine is Engine.CONTAINERD:
            found += _read(place, containerd.rest)
    told = {os.path.realpath(place.root) for place in places if place.engine is Engine.CONTAINERD}
    for place in containerd.below:
        # What lies beside Docker's snapshots is nobody's unless it is told of.
        if os.path.realpath(place.root) not in told:
            found += _read(place, containerd.rest)
    return tuple(found)


def _read(place: Place, reader: Callable[[Place], Sequence[Store]]) -> Sequence[Store]:
    try:
        with Files(place.root) as files:
            files.status(".")  # forbidden here, it is forbidden everywhere, and that is said once
        return [replace(store, alive=place.alive) for store in reader(place)]
    except OvlError as error:
        return (_unread(place, error),)
    except PermissionError as error:
        message = f"{{}} cannot be read: {strerror(error)}"
        return (_unread(place, StoreForbidden(message, place.root, errno=error.errno, hint="ask as root")),)
    except OSError as error:
        message = f"{{}} cannot be read: {strerror(error)}"
        return (_unread(place, StoreDamaged(message, place.root, errno=error.errno)),)


def _unread(place: Place, error: OvlError) -> Store:
    driver, kind, where = _DRIVERS[place.engine]
    return Store(
        engine=place.engine,
        kind=kind,
        driver=driver,
        root=place.root,
        places=os.path.join(place.root, where),
        troubles=(error,),
        alive=place.alive,
    )


def _podman(place: Place) -> Sequence[Store]:
    from ovlctl.engines.podman import store as podman_store

    return podman_store.read(place)


class _Containerds:
    # Every containerd is read once, also when Docker and a place of its own lead to it.

    def __init__(self) -> None:
        self._read: dict[str, tuple[Store, ...]] = {}
        self._docker: set[str] = set()  # roots of those that a Docker uses, be it for its containers alone
        self._told: set[tuple[str, str]] = set()  # root and driver of those that a Docker has its images in
        self._own: set[str] = set()
        #: Those that a Docker started for itself.
        self.below: list[Place] = []

    def docker(self, place: Place) -> Sequence[Store]:
        from ovlctl.engines.docker import moby
        from ovlctl.engines.docker import store as docker_store

        found = docker_store.read(place)
        below = moby.containerd_place(place)
        # On another machine's disk a link in its place may lead out of it.
        if below is None or (not place.alive and os.path.realpath(below.root) != below.root):
            return found
        self._docker.add(os.path.realpath(below.root))
        used: list[Store] = []
        own = below.root.startswith(f"{place.root}/")
        for store in _read(below, self._stores):
            # Of Docker's own it is Docker's to say that it cannot be read.
            if moby.is_used(place, store) or (own and store.troubles and not store.layers):
                self._told.add((store.root, store.driver))
                used.append(moby.read(place, store))
        if own:
            self._own.add(os.path.realpath(below.root))
            self.below.append(below)
        return (*found, *used)

    def rest(self, place: Place) -> Sequence[Store]:
        from ovlctl.engines.docker import moby

        root = os.path.realpath(place.root)
        found: Sequence[Store] = self._stores(place)
        if root in self._docker:
            # What Docker tells of is not told again, and neither are the troubles that were told with it.
            rest = [(moby.without(store), (store.root, store.driver) in self._told) for store in found]
            found = [replace(store, troubles=()) if told else store for store, told in rest]
        if root in self._own:  # a dockerd's, that nobody else uses, unless they do
            return [store for store in found if store.layers or store.images or store.containers or store.troubles]
        return found

    def _stores(self, place: Place) -> tuple[Store, ...]:
        from ovlctl.engines.containerd import store as containerd_store

        root = os.path.realpath(place.root)
        if root not in self._read:
            self._read[root] = containerd_store.read(place)
        return self._read[root]
