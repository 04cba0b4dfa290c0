"""Every store of some places at once: real engines, each with roots of its own, and stores that cannot be read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ovlctl.engines import stores
from ovlctl.engines.docker import moby
from ovlctl.engines.docker import store as docker_store
from ovlctl.engines.finding import find
from ovlctl.engines.keepers import Engine
from ovlctl.engines.places import Place, places
from ovlctl.errors import StoreDamaged, StoreForbidden
from tests.capabilities import needs_root

if TYPE_CHECKING:
    from tests.conftest import OrdinaryUser
    from tests.containerd import Containerd
    from tests.engines.live.docker import DockerEngine
    from tests.podman import Podman

_EVERY = (Engine.DOCKER, Engine.PODMAN, Engine.CONTAINERD)


def test_every_engine_that_runs_is_found_and_read(
    podman_engine: Podman, containerd_engine: Containerd, docker_engine: DockerEngine
) -> None:
    """Three engines with odd roots, at once, by what runs here."""
    found = places([], root=None, environment={})
    roots = {podman_engine.root: Engine.PODMAN, containerd_engine.root: Engine.CONTAINERD}
    known = {(place.root, place.engine) for place in found.found}
    assert set(roots.items()) <= known
    read = stores.read(place for place in found.found if place.root in roots or place.engine is Engine.DOCKER)
    assert {store.engine for store in read} == set(_EVERY)
    assert [error for store in read for error in store.troubles] == []
    assert {store.alive for store in read} == {True}
    assert find(read, "inpod").store.root == podman_engine.root


@pytest.mark.parametrize("engine", _EVERY)
def test_a_place_that_is_gone(scratch: str, engine: Engine) -> None:
    """A trouble at most, and no exception; the other places are told."""
    gone = Place(engine=engine, root=f"{scratch}/gone", alive=False)
    file = f"{scratch}/file"
    with open(file, "x", encoding="utf-8"):
        pass
    for store in stores.read([gone, Place(engine=engine, root=file, alive=False)]):
        assert store.layers == ()
        assert [type(error) for error in store.troubles] == [StoreDamaged]
        assert not store.alive


@pytest.mark.parametrize("engine", _EVERY)
@needs_root
def test_a_place_that_may_not_be_read(scratch: str, ordinary_user: OrdinaryUser, engine: Engine) -> None:
    """Root's own, for somebody else: one store with one trouble, exit status 4 for whom it is all."""
    os.mkdir(f"{scratch}/root", 0o700)
    done = ordinary_user.run([sys.executable, "-c", _READ, engine, f"{scratch}/root"])
    assert done.stdout.split() == [engine, StoreForbidden.code], done.stderr


_READ = """
import sys
from ovlctl.engines import stores
from ovlctl.engines.places import Place
from ovlctl.engines.keepers import Engine
for store in stores.read([Place(engine=Engine(sys.argv[1]), root=sys.argv[2])]):
    print(store.engine, *(error.code for error in store.troubles))
"""


def test_what_docker_has_in_containerd_is_told_once(containerd_engine: Containerd, scratch: str) -> None:
    """As Docker's when Docker is asked, too; as containerd's when only that is; read once either way."""
    docker = Place(engine=Engine.DOCKER, root=f"{scratch}/docker")
    os.makedirs(f"{docker.root}/containerd")
    os.makedirs(f"{docker.root}/containers")
    os.symlink(containerd_engine.root, f"{docker.root}/containerd/daemon")
    assert moby.containerd_place(docker) is not None
    containerd = Place(engine=Engine.CONTAINERD, root=containerd_engine.root, run=containerd_engine.run)
    alone = stores.read([containerd])
    every = stores.read([containerd, docker])
    mine = [store for store in every if store.engine is Engine.DOCKER]
    rest = [store for store in every if store.engine is Engine.CONTAINERD]
    layers = sorted(layer.id for store in alone for layer in store.layers)
    assert sorted(layer.id for store in every for layer in store.layers) == layers
    assert all(layer.id.startswith(f"{moby.NAMESPACE}/") for store in mine for layer in store.layers)
    assert not any(layer.id.startswith(f"{moby.NAMESPACE}/") for store in rest for layer in store.layers)
    assert docker_store.read(docker) == ()


@pytest.mark.parametrize("name", ["docker/containerd", "docker/containerd/daemon", "containerd"])
def test_no_link_for_a_containerd_leads_out_of_a_disk(containerd_engine: Containerd, scratch: str, name: str) -> None:
    """Neither from Docker's data root nor from beside it; on this machine links are the administrator's."""
    os.makedirs(f"{scratch}/docker/containers")
    os.makedirs(os.path.dirname(f"{scratch}/{name}"), exist_ok=True)
    target = containerd_engine.root
    if name == "docker/containerd":
        os.mkdir(f"{scratch}/outside")
        os.symlink(containerd_engine.root, f"{scratch}/outside/daemon")
        target = f"{scratch}/outside"
    os.symlink(target, f"{scratch}/{name}")
    place = Place(engine=Engine.DOCKER, root=f"{scratch}/docker", alive=False)
    assert moby.containerd_place(place) is not None
    assert stores.read([place]) == ()


def test_containers_that_docker_tells_of_are_not_containerds(docker_engine: DockerEngine) -> None:
    """With a store of its own Docker runs its containers through containerd all the same."""
    own = f"{docker_engine.place.root}/containerd/daemon"
    found = [place for place in places([], root=None, environment={}).found if place.root == own]
    assert [place.engine for place in found] == [Engine.CONTAINERD]
    running = {one.id for store in stores.read(found) for one in store.containers}
    assert running
    every = stores.read([docker_engine.place, *found])
    assert running <= {one.id for store in every for one in store.containers if store.engine is Engine.DOCKER}
    assert not {one.id for store in every for one in store.containers if store.engine is Engine.CONTAINERD}
