"""What may be wrong with a store, done to a copy of a real one; each tells the paths that an error has to name."""

from __future__ import annotations

import glob
import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.ops.engines.copies import Copy

#: Ways in which a STACK of the container that stands on the damage fails: its status. Without one it is told.
_NOT_FOUND, _DAMAGED = 3, 5
_ALL = frozenset({"docker", "podman", "containerd", "moby"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something wrong.

    Attributes:
        do: To a copy: it, the directory of the lowest layer of its container, a directory outside.
        stack: The status of verbs about the container's stack.
        stores: To which it can be done.
    """

    do: Callable[[Copy, str, str], tuple[str, ...]]
    stack: int = 0
    stores: frozenset[str] = _ALL


def write(path: str, content: str | bytes) -> None:
    """Put *content* into a file."""
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())


def _link(path: str, target: str) -> tuple[str, ...]:
    shutil.rmtree(path, ignore_errors=True)
    os.symlink(target, path)
    return (path,)


def _layer(copy: Copy, lowest: str, out: str) -> tuple[str, ...]:
    return _link(f"{lowest}/{copy.diff}", out)


def _layers_directory(_: Copy, lowest: str, out: str) -> tuple[str, ...]:
    return _link(lowest, out)


def _places(copy: Copy, _: str, out: str) -> tuple[str, ...]:
    return _link(copy.places, out)


def _places_of_nothing(copy: Copy, _: str, out: str) -> tuple[str, ...]:
    # No layer leads there; all that lies there would be unknown.
    for name in ("image/overlay2/layerdb", "image/overlay2/imagedb"):
        shutil.rmtree(f"{copy.root}/{name}", ignore_errors=True)
    for name in ("layers", "images", "containers"):
        with suppress(FileNotFoundError):
            write(f"{copy.root}/overlay-{name}/{name}.json", "[]")
    return _link(copy.places, out)


def _short_links(copy: Copy, _: str, out: str) -> tuple[str, ...]:
    return _link(f"{copy.places}/l", out)


def _images_of_docker(copy: Copy, _: str, out: str) -> tuple[str, ...]:
    return _link(f"{copy.root}/image", out)


def _images_of_podman(copy: Copy, _: str, out: str) -> tuple[str, ...]:
    return _link(f"{copy.root}/overlay-images", out)


def _containers(copy: Copy, _: str, out: str) -> tuple[str, ...]:
    return _link(f"{copy.root}/{'overlay-containers' if copy.name == 'podman' else 'containers'}", out)


def _volumes(copy: Copy, _: str, out: str) -> tuple[str, ...]:
    # No part of what a store is told by: an administrator may move it so. It is not walked into.
    _link(f"{copy.root}/volumes", out)
    return ()


def _another_driver(copy: Copy, _: str, out: str) -> tuple[str, ...]:
    # Data left behind, by its looks.
    os.makedirs(f"{copy.root}/image/vfs", exist_ok=True)
    _link(f"{copy.root}/vfs", out)
    return ()


def _container_document(copy: Copy, *_: str) -> tuple[str, ...]:
    path = f"{copy.root}/containers/{copy.case.stopped[1]}/config.v2.json"
    if copy.name == "podman":
        path = f"{copy.root}/overlay-containers/containers.json"
    write(path, '{"ID": "cut short')
    return (path,)


def _image_documents(copy: Copy, *_: str) -> tuple[str, ...]:
    if copy.name == "podman":
        path = f"{copy.root}/overlay-images/images.json"
        write(path, b"\xff\x1b[31m\n")
        return (path,)
    if copy.name == "docker":
        paths = sorted(glob.glob(f"{copy.root}/image/overlay2/imagedb/content/sha256/*"))[:1]
    else:
        paths = sorted(filter(_is_manifest, glob.glob(f"{copy.root}/**/blobs/sha256/*", recursive=True)))[:1]
    for path in paths:
        write(path, b"\xff\x1b[31m\n")
    return tuple(paths)


def _is_manifest(path: str) -> bool:
    with open(path, "rb") as file:
        return b'"layers":' in file.read(4096)


def _bolts(copy: Copy, *_: str) -> tuple[str, ...]:
    for path in copy.bolts:
        write(path, b"\xff\x1b[31m\n" * 2000)
    return copy.bolts


def _bolt_cut_short(copy: Copy, *_: str) -> tuple[str, ...]:
    os.truncate(copy.bolts[-1], 3 * 4096)
    return copy.bolts[-1:]


def _circle_of_podman(copy: Copy, lowest: str, _: str) -> tuple[str, ...]:
    path = f"{copy.root}/overlay-layers/layers.json"
    with open(path, "rb") as file:
        layers = json.load(file)
    above = {layer.get("parent"): layer["id"] for layer in layers}
    name = os.path.basename(lowest)
    next(layer for layer in layers if layer["id"] == name)["parent"] = above[name]
    write(path, json.dumps(layers))
    return (lowest,)


def _circle_of_docker(copy: Copy, lowest: str, _: str) -> tuple[str, ...]:
    # A layer of Docker's is called by the digest of all below it: another parent is no parent.
    for path in glob.glob(f"{copy.root}/image/overlay2/layerdb/sha256/*"):
        with open(f"{path}/cache-id", encoding="ascii") as file:
            if file.read() == os.path.basename(lowest):
                write(f"{path}/parent", f"sha256:{os.path.basename(path)}")
                return (path,)
    raise AssertionError(lowest)


_PODMAN, _DOCKER = frozenset({"podman"}), frozenset({"docker"})
FAULTS = {
    "a layer is a link": Fault(do=_layer, stack=_DAMAGED),
    "the directory of a layer is a link": Fault(do=_layers_directory, stack=_DAMAGED),
    "the directory of all layers is a link": Fault(do=_places, stack=_NOT_FOUND),
    "and no layer leads there": Fault(do=_places_of_nothing, stack=_NOT_FOUND, stores=_DOCKER | _PODMAN),
    "the directory of short links is a link": Fault(do=_short_links, stores=_DOCKER | _PODMAN),
    "the directory of images is a link": Fault(do=_images_of_docker, stack=_NOT_FOUND, stores=_DOCKER),
    "Podman's directory of images is a link": Fault(do=_images_of_podman, stores=_PODMAN),
    "the directory of containers is a link": Fault(
        do=_containers, stack=_NOT_FOUND, stores=_DOCKER | _PODMAN | {"moby"}
    ),
    "the directory of volumes is a link": Fault(do=_volumes),
    "data of another driver are a link": Fault(do=_another_driver, stores=_DOCKER | {"moby"}),
    "the document of a container is damaged": Fault(
        do=_container_document, stack=_NOT_FOUND, stores=_DOCKER | _PODMAN | {"moby"}
    ),
    "a document of images is damaged": Fault(do=_image_documents),
    "bolt databases are none": Fault(do=_bolts, stores=_DOCKER | _PODMAN),
    "containerd's databases are none": Fault(do=_bolts, stack=_NOT_FOUND, stores=frozenset({"containerd", "moby"})),
    "a bolt database is cut short": Fault(
        do=_bolt_cut_short, stack=_NOT_FOUND, stores=frozenset({"containerd", "moby"})
    ),
    "layers lie on each other": Fault(do=_circle_of_podman, stack=_DAMAGED, stores=_PODMAN),
    "a layer lies on itself": Fault(do=_circle_of_docker, stack=_DAMAGED, stores=_DOCKER),
}
