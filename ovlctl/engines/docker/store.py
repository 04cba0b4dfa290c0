"""Docker's own store, with the graph driver overlay2, read from its data root."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from ovlctl.engines.docker import buildkit
from ovlctl.engines.docker import layers as docker_layers
from ovlctl.engines.docker.containers import containers
from ovlctl.engines.docker.images import images
from ovlctl.engines.files import Files
from ovlctl.engines.gathering import Gathering
from ovlctl.engines.keepers import Engine
from ovlctl.engines.ordering import distinct, lower_first
from ovlctl.engines.values import Role, Store, StoreKind
from ovlctl.errors import StoreForbidden, strerror

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ovlctl.engines.places import Place
    from ovlctl.engines.values import Image, Layer

DRIVER = "overlay2"
_IMAGE = "image"
# With --userns-remap every range of users has a data root of its own in the data root: UID.GID of its root.
_REMAPPED = re.compile(r"[0-9]+\.[0-9]+")
# The short links, and what quotas on XFS need (moby's quota/projectquota.go); neither is a layer.
_RESERVED = frozenset({"l", "backingFsBlockDev"})


def read(place: Place) -> tuple[Store, ...]:
    """The stores of overlay2 below Docker's data root: none, one, or one for each range of remapped users.

    What another driver left behind is not told; :func:`drivers` names it.

    Raises:
        StoreForbidden: The data root may not be read.
        OSError: It cannot be opened.
    """
    files = _opened(place.root)
    if files is None:
        return ()
    with files:
        roots = [name for name in files.names("") if _REMAPPED.fullmatch(name) and files.is_directory(name)]
        stores = [_store(files)]
    for name in roots:
        with Files(f"{files.root}/{name}") as below:
            stores.append(_store(below))
    return tuple(store for store in stores if store is not None)


def drivers(place: Place) -> tuple[str, ...]:
    """Names of the graph drivers and snapshotters that have data of images below Docker's data root.

    ``overlay2``, ``vfs``, ``btrfs``, ``fuse-overlayfs``, ``zfs``; with containerd's store that of the snapshotter.

    Raises:
        StoreForbidden, StoreMisleads, StoreDamaged: It cannot be read.
        OSError: It cannot be opened.
    """
    files = _opened(place.root)
    if files is None:
        return ()
    with files:
        return tuple(name for name in files.names(_IMAGE) if files.is_directory(f"{_IMAGE}/{name}"))


def _opened(root: str) -> Files | None:
    try:
        return Files(root)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise StoreForbidden(
            f"{{}} cannot be read: {strerror(error)}", root, errno=error.errno, hint="ask as root"
        ) from error


def _store(files: Files) -> Store | None:
    gathering = Gathering(files)
    there = [gathering.one(name, files.status) for name in (docker_layers.PLACES, f"{_IMAGE}/{DRIVER}")]
    if there == [None, None] and not gathering.troubles:
        return None
    found = images(gathering)
    recorded = containers(files)
    mounts: Mapping[str, Sequence[Layer]] = {}
    layers: tuple[Layer, ...] = ()
    if gathering.is_place(docker_layers.PLACES):
        gathering.is_place(docker_layers.LINKS)  # layers are told without their short links
        mounts = docker_layers.of_containers(gathering)
        layers = _layers(gathering, found, mounts)
    uppers = {name: layers[-1].id for name, layers in mounts.items()}
    return Store(
        engine=Engine.DOCKER,
        kind=StoreKind.GRAPH_DRIVER,
        driver=DRIVER,
        root=files.root,
        places=files.path(docker_layers.PLACES),
        links=files.path(docker_layers.LINKS),
        reserved=_RESERVED,
        layers=layers,
        images=tuple(found),
        containers=tuple(replace(one, layer=uppers.get(one.id)) for one in recorded.of(DRIVER)),
        troubles=(*gathering.troubles, *recorded.troubles),
    )


def _layers(gathering: Gathering, found: Iterable[Image], mounts: Mapping[str, Sequence[Layer]]) -> tuple[Layer, ...]:
    of_containers = tuple(chain.from_iterable(mounts.values()))
    listed = distinct([*docker_layers.of_images(gathering), *of_containers], gathering)
    built = buildkit.snapshots(gathering, {layer.name: layer.id for layer in listed})
    ordered = lower_first(distinct([*listed, *built.layers], gathering), gathering)
    by_id = {layer.id: layer for layer in ordered}
    used = [image.layer for image in found]
    used += [layer.parent for layer in of_containers if layer.role is not Role.BUILD_CACHE]
    cached = [*built.chains, *(layer.parent for layer in ordered if layer.role is Role.BUILD_CACHE)]
    roles: dict[str, Role] = {}
    for role, tops in ((Role.IMAGE, used), (Role.BUILD_CACHE, cached)):
        for top in tops:
            id_ = top
            while id_ is not None and id_ not in roles and id_ in by_id and by_id[id_].role is Role.OTHER:
                roles[id_] = role
                id_ = by_id[id_].parent
    return tuple(replace(layer, role=roles.get(layer.id, layer.role)) for layer in ordered)
