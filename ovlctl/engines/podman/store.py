"""Stores of containers/storage: those of Podman, buildah and CRI-O, read from disk."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from ovlctl.engines.files import Files
from ovlctl.engines.gathering import Gathering
from ovlctl.engines.keepers import Engine
from ovlctl.engines.podman import containers as podman_containers
from ovlctl.engines.podman import images as podman_images
from ovlctl.engines.podman import layers as podman_layers
from ovlctl.engines.podman import libpod
from ovlctl.engines.values import Metacopy, Store, StoreKind
from ovlctl.errors import OvlError, StoreDamaged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ovlctl.engines.places import Place
    from ovlctl.engines.podman.layers import MountPoint
    from ovlctl.engines.podman.libpod import Record
    from ovlctl.engines.values import Container, Layer


def read(place: Place) -> tuple[Store, ...]:
    """What a graph root keeps: one store for each graph driver that was used there, then the image stores it reads.

    Args:
        place: Its root is the graph root, its run the run root, its images the further image stores.

    Raises:
        OSError, StoreForbidden: The graph root cannot be opened, or its names cannot be read.
    """
    images = tuple(store for root in place.images for store in _image_store(root))
    with ExitStack() as stack:
        files = stack.enter_context(Files(place.root))
        troubles: list[OvlError] = []
        run = _run(place, stack, troubles)
        records = libpod.read(files, run, troubles)
        metacopy = Metacopy.ALL if place.metacopy else podman_layers.metacopy(run, troubles)
        stores = [replace(_store(files, run, driver, records), metacopy=metacopy) for driver in _drivers(files)]
        if not stores:
            return (_empty(files.root, troubles), *images)
        known = {container.id for store in stores for container in store.containers}
        first = stores[0]
        stores[0] = replace(
            first,
            containers=(*first.containers, *podman_containers.without_layer(records, known)),
            troubles=(*troubles, *first.troubles),
        )
        return (*(_settled(replace(store, below=_same(images, store))) for store in stores), *images)


def _image_store(root: str) -> tuple[Store, ...]:
    # One that is configured and not there does not keep the others from being told.
    try:
        with Files(root) as files:
            return tuple(_store(files, None, driver, {}) for driver in _drivers(files))
    except OvlError as error:
        return (_empty(root, [error]),)
    except OSError as error:
        gone = StoreDamaged("{} is configured as an image store, and cannot be opened", root, errno=error.errno)
        return (_empty(root, [gone]),)


def _run(place: Place, stack: ExitStack, troubles: list[OvlError]) -> Files | None:
    if place.run is None:
        return None
    try:
        return stack.enter_context(Files(place.run))
    except FileNotFoundError:
        return None
    except OSError as error:
        troubles.append(
            StoreDamaged("{} cannot be opened: where containers are mounted is unknown", place.run, errno=error.errno)
        )
        return None


def _drivers(files: Files) -> list[str]:
    # The usual one first. Only those whose layers can be found; others keep them in volumes or datasets.
    names = set(files.names(""))
    return [driver for driver in podman_layers.PLACES if {f"{driver}-layers", f"{driver}-images"} & names]


def _store(files: Files, run: Files | None, driver: str, records: dict[str, Record]) -> Store:
    gathering = Gathering(files)
    troubles = gathering.troubles
    images = podman_images.read(files, driver, troubles)
    mounted = podman_layers.mount_points(run, driver, troubles)
    containers = podman_containers.Reader(
        files, run, driver, records=records, mounted=mounted or {}, troubles=troubles
    ).read()
    writable = {container.layer for container in containers if container.layer is not None}
    roles = podman_layers.roles_of(writable, {layer for found in images for layer in found.layers})
    there = podman_layers.is_place(gathering, driver)
    return Store(
        engine=Engine.PODMAN,
        kind=StoreKind.GRAPH_DRIVER,
        driver=driver,
        root=files.root,
        places=files.path(podman_layers.PLACES[driver]),
        links=files.path(podman_layers.LINKS) if driver == "overlay" else None,
        reserved=podman_layers.reserved(gathering, driver) if there else frozenset(),
        layers=tuple(_counted(podman_layers.read(gathering, run, driver, roles), mounted)) if there else (),
        images=tuple(found.image for found in images),
        containers=containers,
        troubles=tuple(troubles),
    )


def _counted(layers: tuple[Layer, ...], mounted: Mapping[str, MountPoint] | None) -> Iterator[Layer]:
    for layer in layers:
        point = (mounted or {}).get(layer.id)
        yield layer if mounted is None else replace(layer, mounts=0 if point is None else point.count)


def _same(images: tuple[Store, ...], store: Store) -> tuple[Store, ...]:
    return tuple(one for one in images if one.driver == store.driver)


def _settled(store: Store) -> Store:
    # A layer that is not in the store is none: a container keeps its name without it.
    def there(container: Container) -> Container:
        return container if store.chain(container.layer) else replace(container, layer=None)

    return replace(store, containers=tuple(map(there, store.containers)))


def _empty(root: str, troubles: list[OvlError]) -> Store:
    return Store(
        engine=Engine.PODMAN,
        kind=StoreKind.GRAPH_DRIVER,
        driver="overlay",
        root=root,
        places=f"{root}/overlay",
        troubles=tuple(troubles),
    )
