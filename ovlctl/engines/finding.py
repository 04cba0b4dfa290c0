"""A container or an image by what people call it: name, id, the beginning of an id, reference."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.engines import references
from ovlctl.engines.keepers import Engine
from ovlctl.errors import ContainerMissing, EngineMissing, NameAmbiguous

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ovlctl.engines.values import Container, Image, Layer, Store

_BEGINNING = re.compile(r"[0-9a-f]{1,64}", re.ASCII)
_ALGORITHM = "sha256:"
_SHORT = 12
_NEAR = 3
_TOLD = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What a word means: a container, an image, or a layer that neither has, as a snapshot of containerd.

    Attributes:
        store: It is in.
        container, image, layer: The one that it is; the others are None.
    """

    store: Store
    container: Container | None = None
    image: Image | None = None
    layer: Layer | None = None

    @property
    def top(self) -> str | None:
        """The id of the topmost layer of its stack."""
        if self.layer is not None:
            return self.layer.id
        return self.container.layer if self.container is not None else self.image.layer if self.image else None

    @property
    def engine(self) -> Engine:
        """Whose it is."""
        return self.container.engine if self.container is not None else self.store.engine

    @property
    def label(self) -> str:
        """What to call it: engine, namespace and name."""
        if self.container is not None:
            name, namespace = self.container.name, self.container.namespace
        elif self.image is not None:
            name = self.image.names[0] if self.image.names else _cut(self.image.id)
            namespace = self.image.namespace
        else:
            name, namespace = self.layer.id if self.layer is not None else "", None
        inside = namespace if self.store.engine is Engine.CONTAINERD else None
        return f"{self.engine}:{inside}/{name}" if inside is not None else f"{self.engine}:{name}"

    @property
    def kind(self) -> str:
        """What it is, in a word."""
        return "container" if self.container is not None else "image" if self.image is not None else "snapshot"

    @property
    def id(self) -> str:
        """Its id."""
        thing = self.container or self.image or self.layer
        return thing.id if thing is not None else ""


def find(stores: Sequence[Store], word: str, *, container: bool | None = None) -> Match:
    """The one that *word* means, in the order in which engines look.

    Containers by id or name, then by the beginning of an id; images by reference or id, then by the end of a reference
    (Podman) or the beginning of an id; snapshots of containerd by key. For containerd all of it also as
    ``NAMESPACE/...``. What is first found decides.

    Args:
        stores: Where to look.
        word: What it is called.
        container: Whether only a container is meant, or only an image; None for anything.

    Raises:
        EngineMissing: There are no stores.
        ContainerMissing: Nothing is called so.
        NameAmbiguous: Several are.
    """
    if not stores:
        raise EngineMissing("no store of a container engine is here", hint="`ovlctl driver` lists where it looks")
    for way in _WAYS if container is None else _CONTAINERS if container else _IMAGES:
        found = _distinct([match for store in stores for match in way(store, word)])
        if len(found) == 1:
            return found[0]
        if found:
            raise _ambiguous(word, found)
    raise _missing(stores, word, container=container)


def names(stores: Sequence[Store], engine: Engine) -> tuple[str, ...]:
    """What things of *engine* are called, for completion: names of containers and references of images, sorted."""
    found: set[str] = set()
    for store in stores:
        inside = store.engine is Engine.CONTAINERD
        for container in store.containers:
            if engine in {container.engine, store.engine}:
                found.add(f"{container.namespace}/{container.name}" if inside else container.name)
        if engine is store.engine:
            for image in store.images:
                found.update(f"{image.namespace}/{name}" if inside else name for name in image.names)
    return tuple(sorted(found))


def _containers(store: Store, word: str) -> Iterator[Match]:
    for container in store.containers:
        if any(key in {container.id, container.name} for key in _keys(store, container.namespace, word)):
            yield Match(store=store, container=container)


def _containers_by_beginning(store: Store, word: str) -> Iterator[Match]:
    for container in store.containers:
        keys = _keys(store, container.namespace, word)
        if any(_BEGINNING.fullmatch(key) and container.id.startswith(key) for key in keys):
            yield Match(store=store, container=container)


def _images(store: Store, word: str) -> Iterator[Match]:
    for image in store.images:
        for key in _keys(store, image.namespace, word):
            wanted = references.parse(key)
            known = image.id in {key, _ALGORITHM + key} or key in image.names
            if known or any(wanted.is_same(references.parse(name)) for name in image.names):
                yield Match(store=store, image=image)
                break


def _images_here(store: Store, word: str) -> Iterator[Match]:
    # Podman takes localhost/NAME for NAME before it takes others that end so.
    return _images(store, f"localhost/{word}") if store.engine is Engine.PODMAN else iter(())


def _images_by_end(store: Store, word: str) -> Iterator[Match]:
    wanted = references.parse(word)
    for image in store.images if store.engine is Engine.PODMAN else ():
        if any(wanted.ends(references.parse(name)) for name in image.names):
            yield Match(store=store, image=image)


def _images_by_beginning(store: Store, word: str) -> Iterator[Match]:
    for image in store.images:
        for key in _keys(store, image.namespace, word):
            digits = key.removeprefix(_ALGORITHM)
            if _BEGINNING.fullmatch(digits) and image.id.removeprefix(_ALGORITHM).startswith(digits):
                yield Match(store=store, image=image)
                break


def _snapshots(store: Store, word: str) -> Iterator[Match]:
    if store.engine is Engine.CONTAINERD:
        for layer in store.layers:
            if word in {layer.id, layer.id.partition("/")[2]}:
                yield Match(store=store, layer=layer)


_CONTAINERS: tuple[Callable[[Store, str], Iterator[Match]], ...] = (_containers, _containers_by_beginning)
_IMAGES: tuple[Callable[[Store, str], Iterator[Match]], ...] = (
    _images,
    _images_here,
    _images_by_end,
    _images_by_beginning,
)
_WAYS = (*_CONTAINERS, *_IMAGES, _snapshots)


def _keys(store: Store, namespace: str | None, word: str) -> tuple[str, ...]:
    # The word, and in containerd's store what follows the namespace.
    if store.engine is Engine.CONTAINERD and namespace is not None and word.startswith(f"{namespace}/"):
        return word.removeprefix(f"{namespace}/"), word
    return (word,)


def _distinct(found: Sequence[Match]) -> list[Match]:
    # An image that a store and one below it both have is the first's.
    kept: list[Match] = []
    for match in found:
        above = (other for other in kept if other.id == match.id)
        if not any(match.store is below for other in above for below in other.store.below):
            kept.append(match)
    return kept


def _cut(id_: str) -> str:
    return id_.removeprefix(_ALGORITHM)[:_SHORT]


def _ambiguous(word: str, found: Sequence[Match]) -> NameAmbiguous:
    told = [f"{match.label} ({_cut(match.id)}) in {match.store.root}" for match in found[:_TOLD]]
    more = f", and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
    listed = ", ".join(["{}"] * len(told))
    hint = "a longer id or name chooses one, `--root DIR` a store"
    return NameAmbiguous(f"{{}} may be {listed}{more}", word, *told, hint=hint)


def _missing(stores: Sequence[Store], word: str, *, container: bool | None) -> ContainerMissing:
    kind = {None: "container or image", True: "container", False: "image"}[container]
    engines = " or ".join(sorted({str(store.engine) for store in stores}))
    if container is not None:
        others = (
            match for way in (_IMAGES if container else _CONTAINERS) for store in stores for match in way(store, word)
        )
        if (other := next(others, None)) is not None:
            hint = f"it is {'an image' if container else 'a container'}: `ovlctl driver {other.kind} {{1}}`"
            return ContainerMissing(f"{{0}} is no {kind} of {engines}", word, other.label, hint=hint)
    known = sorted({name for store in stores for engine in Engine for name in names([store], engine)})
    near = difflib.get_close_matches(word, known, n=_NEAR)
    if near:
        there = ", ".join(f"{{{at}}}" for at in range(1, len(near) + 1))
        return ContainerMissing(f"{{0}} is no {kind} of {engines}", word, *near, hint=f"there is {there}")
    return ContainerMissing(f"{{}} is no {kind} of {engines}", word)
