"""What uses each layer of a store: the images and containers that stand on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.engines.values import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ovlctl.engines.values import Container, Image, Layer, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Who uses a layer.

    Attributes:
        images: Images that have it.
        containers: Containers that have it, be it below their image.
        owner: The container whose own layer it is, or whose init layer.
        below: Whether some other layer lies on it.
    """

    images: tuple[Image, ...] = ()
    containers: tuple[Container, ...] = ()
    owner: Container | None = None
    below: bool = False

    @property
    def any(self) -> bool:
        """Whether somebody uses it."""
        return bool(self.images or self.containers or self.below)


def uses(store: Store) -> Mapping[str, Users]:
    """Who uses each layer of *store*, by the layer's id."""
    images: dict[str, list[Image]] = {layer.id: [] for layer in store.layers}
    containers: dict[str, list[Container]] = {layer.id: [] for layer in store.layers}
    owners: dict[str, Container] = {}
    for image in store.images:
        for layer in chain_in(store, image.layer):
            images[layer.id].append(image)
    for container in store.containers:
        for layer in chain_in(store, container.layer):
            containers[layer.id].append(container)
        for layer in own_layers(store, container):
            owners[layer.id] = container
    parents = {layer.parent for layer in store.layers}
    return {
        layer.id: Users(
            images=tuple(images[layer.id]),
            containers=tuple(containers[layer.id]),
            owner=owners.get(layer.id),
            below=layer.id in parents,
        )
        for layer in store.layers
    }


def chain_in(store: Store, top: str | None) -> tuple[Layer, ...]:
    """:meth:`~ovlctl.engines.values.Store.chain` without the layers of stores below."""
    return tuple(layer for layer in store.chain(top) if layer.id in store.by_id)


def own_layers(store: Store, container: Container) -> tuple[Layer, ...]:
    """The layers that *container* has for itself: its writable one and, with Docker, the init layer below."""
    chain = store.chain(container.layer)
    return tuple(layer for at, layer in enumerate(chain) if at == 0 or (at == 1 and layer.role is Role.INIT))
