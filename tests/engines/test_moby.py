"""Docker with its images in containerd: told as Docker's own, once, from disk."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ovlctl.engines.containerd import store as containerd_store
from ovlctl.engines.docker import moby
from ovlctl.engines.keepers import Engine
from ovlctl.engines.places import Place
from ovlctl.engines.values import Role, State, Store, StoreKind
from tests.capabilities import needs_root
from tests.containerd import IMAGE, RUNNING, STOPPED
from tests.docker import Docker, daemon, image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.containerd import Containerd


def read(containerd: Containerd) -> tuple[Store, Store]:
    """What Docker has, and what else containerd has."""
    place = moby.containerd_place(containerd.docker_place)
    assert place is not None
    (store,) = containerd_store.read(place)
    assert moby.is_used(containerd.docker_place, store)
    return moby.read(containerd.docker_place, store), moby.without(store)


def test_containers(containerd_engine: Containerd) -> None:
    """A container has its snapshot, the one that Docker puts below, its image's layers, and Docker's mount point."""
    docker, _ = read(containerd_engine)
    assert (docker.engine, docker.kind, docker.driver) == (Engine.DOCKER, StoreKind.SNAPSHOTTER, "overlayfs")
    assert docker.root == containerd_engine.docker
    assert docker.troubles == ()
    by_name = {one.name: one for one in docker.containers}
    assert set(by_name) == {"up", "down"}
    assert (by_name["up"].state, by_name["down"].state) == (State.RUNNING, State.STOPPED)
    for name, id_ in (("up", RUNNING), ("down", STOPPED)):
        one = by_name[name]
        assert (one.id, one.engine, one.image_name) == (id_, Engine.DOCKER, "busy")
        assert one.image == docker.images[0].id
        chain = docker.chain(one.layer)
        assert [layer.role for layer in chain] == [Role.WRITABLE, Role.INIT, *[Role.IMAGE] * 3]
        assert [layer.id for layer in chain[:2]] == [f"moby/{id_}", f"moby/{id_}-init"]
        assert one.merged is not None
        assert os.path.ismount(one.merged) == (name == "up")
    with open(f"/proc/{by_name['up'].pid}/cmdline", "rb") as file:
        assert b"sleep" in file.read()


def test_images(containerd_engine: Containerd) -> None:
    """Images have the names that Docker shows."""
    docker, _ = read(containerd_engine)
    assert [image.names for image in docker.images] == [("busy:latest",)]
    assert docker.by_id[docker.images[0].layer or ""].role is Role.IMAGE


def test_told_once(containerd_engine: Containerd) -> None:
    """Every layer, image and container of containerd is in one of the two stores, and in one only."""
    docker, rest = read(containerd_engine)
    (whole,) = containerd_store.read(containerd_engine.place)
    assert {layer.id for layer in docker.layers} | {layer.id for layer in rest.layers} == set(whole.by_id)
    assert not {layer.name for layer in docker.layers} & {layer.name for layer in rest.layers}
    assert {one.id for one in rest.containers} == {"running", "created"}
    assert {name for image in rest.images for name in image.names} == {IMAGE, "example.org/busy:again"}


def test_down(containerd_engine: Containerd) -> None:
    """The daemon down, the answers are the same."""
    before = read(containerd_engine)
    with containerd_engine.stopped():
        assert read(containerd_engine) == before


def test_another_disk(containerd_engine: Containerd, scratch: str) -> None:
    """On another machine's disk the system's containerd is the one beside Docker's data root."""
    os.makedirs(f"{scratch}/var/lib")
    with containerd_engine.stopped():
        subprocess.run(["cp", "-a", containerd_engine.root, f"{scratch}/var/lib/containerd"], check=True)
    shutil.copytree(f"{containerd_engine.docker}/containers", f"{scratch}/var/lib/docker/containers")
    docker = Place(engine=Engine.DOCKER, root=f"{scratch}/var/lib/docker", alive=False)
    place = moby.containerd_place(docker)
    assert place == replace(docker, engine=Engine.CONTAINERD, root=f"{scratch}/var/lib/containerd")
    (store,) = containerd_store.read(place)
    found = moby.read(docker, store)
    assert {one.name for one in found.containers} == {"up", "down"}
    assert all(layer.diff.startswith(f"{scratch}/var/lib/containerd/") for layer in found.layers)
    assert moby.containerd_place(replace(docker, root=f"{scratch}/var/lib/containers")) is not None
    assert moby.containerd_place(replace(docker, root=f"{scratch}/nothing/docker")) is None


@pytest.fixture
def graph_driver(scratch: str) -> Iterator[Docker]:
    """A Docker with a store of its own, and a container that runs."""
    with daemon(scratch) as running:
        running("import", "-", "busy", stdin=image("busybox"))
        running("run", "-d", "--network=none", "--name=mine", "busy", "/bin/busybox", "sleep", "3600")
        yield running
        running("rm", "-f", "mine")


@needs_root
def test_graph_driver(graph_driver: Docker, scratch: str) -> None:
    """A Docker with a store of its own has its running containers in its containerd, too: they are not told."""
    place = Place(engine=Engine.DOCKER, root=f"{scratch}/data", run=f"{scratch}/exec")
    containerd = moby.containerd_place(place)
    assert containerd == replace(
        place,
        engine=Engine.CONTAINERD,
        root=f"{scratch}/data/containerd/daemon",
        run=f"{scratch}/exec/containerd/daemon",
    )
    (store,) = containerd_store.read(containerd)
    (one,) = store.containers
    assert one.id == graph_driver("inspect", "--format={{.Id}}", "mine")
    assert (one.namespace, one.layer, one.state) == ("moby", None, State.RUNNING)
    assert not moby.is_used(place, store)
    rest = moby.without(store)
    assert (rest.layers, rest.images, rest.containers, rest.troubles) == ((), (), (), ())
