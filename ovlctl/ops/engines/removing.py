"""The commands by which engines remove what is theirs. They are told, and never run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.engines.keepers import Engine
from ovlctl.engines.values import StoreKind

if TYPE_CHECKING:
    from ovlctl.engines.values import Container, Image, Layer, Store


def command(
    store: Store, *, container: Container | None = None, image: Image | None = None, layer: Layer | None = None
) -> tuple[str, ...] | None:
    """The command that removes a container, or else an image, or else a layer; None where the engine has none."""
    if container is not None:
        return _container(container)
    if image is not None:
        return _image(store, image)
    if layer is not None and store.kind is StoreKind.SNAPSHOTTER:
        namespace, _, key = layer.id.partition("/")
        return ("ctr", "-n", namespace, "snapshots", "--snapshotter", store.driver, "rm", key)
    return None


def _container(container: Container) -> tuple[str, ...] | None:
    namespace = container.namespace or "default"
    return {
        Engine.DOCKER: ("docker", "rm", "-f", container.id),
        Engine.PODMAN: ("podman", "rm", "-f", container.id),
        Engine.BUILDAH: ("buildah", "rm", container.id),
        Engine.CONTAINERD: ("ctr", "-n", namespace, "containers", "rm", container.id),
        Engine.CRI: ("crictl", "rm", "-f", container.id),
    }.get(container.engine)


def _image(store: Store, image: Image) -> tuple[str, ...] | None:
    if store.engine is Engine.CONTAINERD:
        names = image.names[:1]
        return ("ctr", "-n", image.namespace or "default", "images", "rm", *names) if names else None
    return (store.engine.value, "rmi", image.id)
