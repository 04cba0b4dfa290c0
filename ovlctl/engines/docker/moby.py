"""Docker with its images in containerd: layers and images of the namespace ``moby``, containers as Docker records them.

Docker gives the snapshot of a container the container's id as its key, and puts another one below, ``ID-init``
(moby's ``daemon/containerd/image_snapshot.go``). It mounts them below its own data root.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from ovlctl.engines.containerd.databases import METADATA
from ovlctl.engines.docker.containers import containers
from ovlctl.engines.files import Files
from ovlctl.engines.keepers import Engine
from ovlctl.engines.values import Role

if TYPE_CHECKING:
    from ovlctl.engines.places import Place
    from ovlctl.engines.values import Container, Image, Layer, Store

NAMESPACE = "moby"
_INIT = "-init"
_OWN = "containerd/daemon"
_SYSTEM = ("/var/lib/containerd", "/run/containerd")
_ROOTFS = "rootfs"
# What docker.io means in names, and Docker leaves out; and the names of images that have none.
_PREFIXES = ("docker.io/library/", "docker.io/")
_DANGLING = "moby-dangling@"


def containerd_place(docker: Place) -> Place | None:
    """Where the containerd that a Docker uses keeps what it has; None when there is none.

    It is Docker's own, below Docker's data root, where dockerd starts one; else the system's.

    Args:
        docker: Docker's; on another machine's disk, with ``.../var/lib/docker`` as its root.
    """
    run = None if docker.run is None else os.path.join(docker.run, _OWN)
    own = replace(docker, engine=Engine.CONTAINERD, root=os.path.join(docker.root, _OWN), run=run)
    if _may_be(own):
        return own
    root, run = _SYSTEM
    if not docker.alive:
        root, run = os.path.join(os.path.dirname(docker.root), os.path.basename(root)), None
    system = replace(docker, engine=Engine.CONTAINERD, root=root, run=run)
    return system if _may_be(system) else None


def _may_be(containerd: Place) -> bool:
    # Where it may not be looked for, it is there for all that is known.
    try:
        os.lstat(os.path.join(containerd.root, METADATA))
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


def is_used(docker: Place, containerd: Store) -> bool:
    """Whether that Docker has its images in *containerd*: one that has not, has no snapshots there.

    Raises:
        OSError: Docker's data root cannot be opened.
    """
    with Files(docker.root) as files:
        known = containers(files)
    return bool(known.of(containerd.driver)) or any(map(_is_mine, containerd.layers))


def read(docker: Place, containerd: Store) -> Store:
    """What Docker keeps in *containerd*, as Docker names it.

    Args:
        docker: Its place.
        containerd: What containerd itself keeps, of the snapshotter that Docker uses.

    Raises:
        OSError: Docker's data root cannot be opened.
    """
    with Files(docker.root) as files:
        known = containers(files)
        root = files.root
    recorded = known.of(containerd.driver)
    ids = {container.id for container in recorded}
    layers = tuple(_layer(layer, ids) for layer in containerd.layers if _is_mine(layer))
    return replace(
        containerd,
        engine=Engine.DOCKER,
        root=root,
        layers=layers,
        images=tuple(map(_image, (one for one in containerd.images if one.namespace == NAMESPACE))),
        containers=tuple(_container(one, root, containerd.driver, layers) for one in recorded),
        troubles=(*containerd.troubles, *known.troubles),
    )


def without(containerd: Store) -> Store:
    """What containerd keeps for others than Docker: nothing is told twice.

    A Docker with a store of its own has containers in the namespace, too, while they run; they have no snapshots, and
    Docker tells of them.
    """
    return replace(
        containerd,
        layers=tuple(layer for layer in containerd.layers if not _is_mine(layer)),
        images=tuple(image for image in containerd.images if image.namespace != NAMESPACE),
        containers=tuple(one for one in containerd.containers if one.namespace != NAMESPACE),
    )


def _is_mine(layer: Layer) -> bool:
    # Also what the namespace forgot, and the snapshotter did not yet.
    return layer.id.removeprefix("?/").startswith(f"{NAMESPACE}/")


def _layer(layer: Layer, containers_: set[str]) -> Layer:
    key = layer.id.removeprefix(f"{NAMESPACE}/")
    if key in containers_:
        return replace(layer, role=Role.WRITABLE)
    if key.endswith(_INIT) and key.removesuffix(_INIT) in containers_:
        return replace(layer, role=Role.INIT)
    return layer


def _image(image: Image) -> Image:
    return replace(image, names=tuple(sorted(_short(name) for name in image.names if not name.startswith(_DANGLING))))


def _short(name: str) -> str:
    prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "")
    return name.removeprefix(prefix)


def _container(container: Container, root: str, driver: str, layers: tuple[Layer, ...]) -> Container:
    key = f"{NAMESPACE}/{container.id}"
    return replace(
        container,
        layer=key if any(layer.id == key for layer in layers) else None,
        namespace=NAMESPACE,
        merged=os.path.join(root, _ROOTFS, driver, container.id),
    )
