"""What the metadata of an engine's store says: pure values.

They are labels. What is mounted and which process runs, the kernel is asked; what lies in a directory, the directory.
Paths are absolute; every name comes from a store and is untrusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ovlctl.engines.keepers import Engine
    from ovlctl.errors import OvlError


class StoreKind(StrEnum):
    """How an engine keeps layers: itself (overlay2, containers/storage), or by a snapshotter of containerd."""

    GRAPH_DRIVER = "graph-driver"
    SNAPSHOTTER = "snapshotter"


class Metacopy(StrEnum):
    """Which overlays of a store are mounted with ``metacopy=on``: by configuration all, or some as it turned out."""

    NONE = "none"
    SOME = "some"
    ALL = "all"


class Role(StrEnum):
    """What a layer is for.

    IMAGE: read-only, of an image or below one. WRITABLE: the upper of a container. INIT: what Docker puts between an
    image and the upper. BUILD_CACHE: kept by a builder. OTHER: known to the metadata, for nothing that it tells of.
    """

    IMAGE = "image"
    WRITABLE = "writable"
    INIT = "init"
    BUILD_CACHE = "build-cache"
    OTHER = "other"


class State(StrEnum):
    """How a container stands, as the metadata has it; the kernel knows whether that is so."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer.

    Attributes:
        id: What the metadata calls it, unique in its store: a chain id, a layer id, ``NAMESPACE/KEY`` of a snapshot.
        name: The name of its directory: the id of overlay2, the number of a snapshot.
        parent: The id of the layer below; None for the lowest.
        role: What it is for.
        directory: All that belongs to it.
        diff: The layer itself, in *directory*.
        work: Overlayfs's scratch directory, for one that can be an upper.
        merged: Where the engine mounts it; None where that is not in *directory*.
        link: Its short name below :attr:`Store.links`.
        digest: Of its archive, not compressed: ``sha256:HEX``; None where none was made.
        size: Bytes of its files, as the engine wrote down; None where it did not.
        created_ns: Since the epoch.
        held: What keeps it though nothing uses it, such as a label of containerd or a lease, in the engine's words.
        mounts: How often the engine believes it to be mounted; None where it does not count.
    """

    id: str
    name: str
    parent: str | None
    role: Role
    directory: str
    diff: str
    work: str | None = None
    merged: str | None = None
    link: str | None = None
    digest: str | None = None
    size: int | None = None
    created_ns: int | None = None
    held: tuple[str, ...] = ()
    mounts: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of an image's history, oldest first: the command, and whether a layer came of it."""

    created_by: str
    empty: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image.

    Attributes:
        id: ``sha256:HEX``: of its configuration, or with containerd of what its name stands for.
        names: Its references, sorted; none for one that lost its name.
        layer: The id of its topmost layer; None for one without layers, or not unpacked here.
        steps: How it was made.
        namespace: Of containerd.
        created_ns: Since the epoch.
        size: Bytes of its packed layers in the store, where it keeps them.
    """

    id: str
    names: tuple[str, ...]
    layer: str | None
    steps: tuple[Step, ...] = ()
    namespace: str | None = None
    created_ns: int | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod: of Kubernetes, which has namespaces, or of Podman."""

    id: str
    name: str | None = None
    namespace: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container.

    Attributes:
        engine: Whose it is: buildah's lie in Podman's store, those of CRI in containerd's.
        id: Its id.
        name: What people call it.
        image: The id of its image.
        image_name: The reference it was made from.
        layer: The id of its writable layer; None where that is not in the store.
        state: As recorded.
        pid: Its first process, as recorded.
        pod: It is in.
        namespace: Of containerd.
        merged: Where the engine mounts its root directory, where that is not the layer's own place.
        created_ns: Since the epoch.
    """

    engine: Engine
    id: str
    name: str
    image: str | None = None
    image_name: str | None = None
    layer: str | None = None
    state: State = State.UNKNOWN
    pid: int | None = None
    pod: Pod | None = None
    namespace: str | None = None
    merged: str | None = None
    created_ns: int | None = None


@dataclass(frozen=True, kw_only=True)
class Store:
    """What an engine keeps, as its metadata has it.

    Attributes:
        engine: Whose it is.
        kind: How it keeps layers.
        driver: The graph driver's or the snapshotter's name: ``overlay2``, ``overlay``, ``overlayfs``.
        root: The engine's data root.
        places: The directory in which every layer has one, named :attr:`Layer.name`.
        links: Where short links to layers are.
        reserved: Names in *places* that are no layers and belong there.
        layers: Every layer, lower ones before what lies on them.
        images: Every image.
        containers: Every container.
        packed: Directories of packed layers, such as containerd's blobs.
        below: Read-only stores that have images and layers for this one, as Podman's additional image stores.
        troubles: What of it could not be read, one error each; all else is told.
        alive: Whether it is this machine's, so that what it has as running has to run here.
        metacopy: Which of its overlays are known to be mounted with ``metacopy=on``.
    """

    engine: Engine
    kind: StoreKind
    driver: str
    root: str
    places: str
    links: str | None = None
    reserved: frozenset[str] = frozenset()
    layers: tuple[Layer, ...] = ()
    images: tuple[Image, ...] = ()
    containers: tuple[Container, ...] = ()
    packed: tuple[str, ...] = ()
    below: tuple[Store, ...] = ()
    troubles: tuple[OvlError, ...] = ()
    alive: bool = True
    metacopy: Metacopy = Metacopy.NONE

    @cached_property
    def by_id(self) -> Mapping[str, Layer]:
        """Layers by id."""
        return {layer.id: layer for layer in self.layers}

    @cached_property
    def by_name(self) -> Mapping[str, Layer]:
        """Layers by the name of their directory."""
        return {layer.name: layer for layer in self.layers}

    def chain(self, top: str | None) -> tuple[Layer, ...]:
        """The layer with the id *top* and all below it, topmost first; it ends where the metadata does.

        It goes on in the stores below. A parent that comes again, as in a damaged store, ends it, too.
        """
        found: dict[str, Layer] = {}
        while top is not None and top not in found and (layer := self._layer(top)) is not None:
            found[top] = layer
            top = layer.parent
        return tuple(found.values())

    def _layer(self, id_: str) -> Layer | None:
        found = self.by_id.get(id_)
        return found or next((store.by_id[id_] for store in self.below if id_ in store.by_id), None)
