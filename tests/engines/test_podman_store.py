"""What is read from a store of Podman's is what Podman and buildah say of it."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from ovlctl.engines.keepers import Engine
from ovlctl.engines.places import Place
from ovlctl.engines.podman.store import read
from ovlctl.engines.values import Container, Image, Role, State, Store

if TYPE_CHECKING:
    from tests.podman import Podman

_STATES = {
    "created": State.CREATED,
    "running": State.RUNNING,
    "exited": State.STOPPED,
    "storage": State.UNKNOWN,
}
_OF_PODMAN = ("running", "stopped", "created", "inpod")
_IMAGES = ("localhost/base:1", "localhost/app:2", "localhost/app:3")


@pytest.fixture(scope="module")
def store(podman_engine: Podman) -> Store:
    """What is read, without troubles."""
    (found,) = read(Place(engine=Engine.PODMAN, root=podman_engine.root, run=podman_engine.run))
    assert found.troubles == ()
    return found


def _container(store: Store, name: str) -> Container:
    (found,) = [container for container in store.containers if container.name == name]
    return found


def _image(store: Store, name: str) -> Image:
    (found,) = [image for image in store.images if name in image.names]
    return found


def _data(store: Store, top: str | None) -> dict[str, str]:
    # What `podman inspect` calls GraphDriver.Data, but for MergedDir, which it leaves out when nothing is mounted.
    layers = store.chain(top)
    lowers = {"LowerDir": ":".join(layer.diff for layer in layers[1:])} if layers[1:] else {}
    return {"UpperDir": layers[0].diff, "WorkDir": str(layers[0].work), **lowers}


def test_containers_are_those_that_podman_lists(podman_engine: Podman, store: Store) -> None:
    """`podman ps --all --external`: ids, names, images, states, processes and pods."""
    said = {
        (entry["Id"], entry["Names"][0], entry["ImageID"], _STATES[entry["State"]], entry["Pid"], entry["Pod"])
        for entry in podman_engine.json("ps", "--all", "--external", "--format", "json")
    }
    assert said == {
        (
            one.id,
            one.name,
            str(one.image).removeprefix("sha256:"),
            one.state,
            one.pid or 0,
            one.pod.id if one.pod else "",
        )
        for one in store.containers
    }
    pod = _container(store, "inpod").pod
    assert pod is not None
    assert pod.name == "group"
    assert _container(store, "stopped").image_name == "localhost/app:3"


def test_buildahs_containers_are_those_that_podman_has_not(podman_engine: Podman, store: Store) -> None:
    """`buildah containers`, which lists what `podman commit` touched, too."""
    listed = {entry["id"] for entry in json.loads(podman_engine.buildah("containers", "--json"))}
    podmans = {entry["Id"] for entry in podman_engine.json("ps", "--all", "--format", "json")}
    own = {container.id for container in store.containers if container.engine is Engine.BUILDAH}
    assert own == listed - podmans
    assert [store.chain(_container(store, name).layer)[0].mounts for name in ("working", "resting")] == [1, 0]
    assert {_container(store, name).engine for name in _OF_PODMAN} == {Engine.PODMAN}
    assert _container(store, "working").image_name == "localhost/app:3"


@pytest.mark.parametrize("name", _OF_PODMAN)
def test_a_containers_directories_are_podmans(podman_engine: Podman, store: Store, name: str) -> None:
    """`podman inspect`: LowerDir, UpperDir, WorkDir, and MergedDir of one that is mounted; when it was created."""
    (said,) = podman_engine.json("container", "inspect", name)
    one = _container(store, name)
    data = dict(said["GraphDriver"]["Data"])
    merged = data.pop("MergedDir", None)
    assert _data(store, one.layer) == data
    assert merged in {None, store.chain(one.layer)[0].merged}
    assert (merged is not None) == (name == "running") == bool(store.chain(one.layer)[0].mounts)
    assert one.merged is None
    assert _moment(said["Created"]) == one.created_ns
    assert said["State"]["Pid"] == (one.pid or 0)


@pytest.mark.parametrize("name", _IMAGES)
def test_an_image_is_podmans(podman_engine: Podman, store: Store, name: str) -> None:
    """`podman image inspect`: id, names, layers by digest, directories, history, when it was created."""
    (said,) = podman_engine.json("image", "inspect", name)
    image = _image(store, name)
    layers = store.chain(image.layer)
    assert image.id == f"sha256:{said['Id']}"
    assert list(image.names) == sorted(said["RepoTags"])
    assert [layer.digest for layer in reversed(layers)] == said["RootFS"]["Layers"]
    assert _data(store, image.layer) == {
        key: at for key, at in said["GraphDriver"]["Data"].items() if key != "MergedDir"
    }
    assert [(step.created_by, step.empty) for step in image.steps] == [
        (line.get("created_by", ""), line.get("empty_layer", False)) for line in said["History"]
    ]
    assert _moment(said["Created"]) == image.created_ns
    assert sum(layer.size or 0 for layer in layers) > 0


def test_layers_have_their_roles_and_directories(store: Store) -> None:
    """Each lies where it says, named by its id, with its short link; only containers write."""
    for layer in store.layers:
        assert os.path.isdir(layer.diff)
        assert layer.directory == f"{store.places}/{layer.id}"
        assert os.path.realpath(f"{store.links}/{layer.link}") == layer.diff
    assert {layer.id for layer in store.layers if layer.role is Role.WRITABLE} == {
        container.layer for container in store.containers
    }
    below = {layer.id for image in store.images for layer in store.chain(image.layer)}
    assert {layer.id for layer in store.layers if layer.role is Role.IMAGE} == below
    assert set(os.listdir(store.places)) - store.reserved == {layer.name for layer in store.layers}
    seen: set[str | None] = {None}
    for layer in store.layers:
        assert layer.parent in seen
        seen.add(layer.id)


def test_reading_writes_nothing(podman_engine: Podman, store: Store) -> None:
    """Not a byte, not a time, no lock file: what is there before is there after."""
    before = _all(podman_engine.root)
    read(Place(engine=Engine.PODMAN, root=podman_engine.root, run=podman_engine.run))
    assert _all(podman_engine.root) == before


def test_a_copy_of_the_store_says_the_same(podman_engine: Podman, store: Store, scratch: str) -> None:
    """As on another machine's disk, with other paths and nothing that runs."""
    copy = f"{scratch}/copy"
    shutil.copytree(podman_engine.root, copy, symlinks=True, ignore=_ignored)
    (found,) = read(Place(engine=Engine.PODMAN, root=copy, alive=False))
    assert found.troubles == ()
    here = replace(store, layers=tuple(replace(one, mounts=None) for one in store.layers))
    assert _moved(found, copy, podman_engine.root) == _moved(here, "", "")


# What layers hold, and pipes and mounts of containers that run.
_ignored = shutil.ignore_patterns("diff", "merged", "work", "ctl", "winsz", "attach", "shm")


def _moved(value: Any, before: str, after: str) -> Any:
    if is_dataclass(value):
        return {one.name: _moved(getattr(value, one.name), before, after) for one in fields(value)}
    if isinstance(value, tuple):
        return [_moved(one, before, after) for one in value]
    return value.replace(before, after) if before and isinstance(value, str) else value


def _moment(text: str) -> int:
    whole, _, rest = text.partition(".")
    seconds = datetime.fromisoformat(f"{whole.removesuffix('Z')}+00:00").timestamp()
    return int(seconds) * 10**9 + int(rest.rstrip("Z").ljust(9, "0") or 0)


def _all(root: str) -> set[tuple[str, int, int, int]]:
    found = set()
    for at, directories, names in os.walk(root):
        if at.endswith("/overlay"):  # what containers write meanwhile is theirs
            directories.clear()
        for name in names:
            status = os.lstat(f"{at}/{name}")
            found.add((f"{at}/{name}", status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return found
