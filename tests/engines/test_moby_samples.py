"""Docker 26 with its images in containerd, as recorded: what it and ctr said follows from the databases alone."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from ovlctl.engines.containerd import store as containerd_store
from ovlctl.engines.containerd.databases import METADATA, directory
from ovlctl.engines.docker import moby
from ovlctl.engines.keepers import Engine
from ovlctl.engines.places import Place
from ovlctl.engines.values import Role, State
from tests.engines.bolts import Tree, database, varint

if TYPE_CHECKING:
    from ovlctl.engines.values import Store

_SAMPLES = os.path.join(os.path.dirname(__file__), "samples")
_KINDS = {"View": 1, "Active": 2, "Committed": 3}


def sample(name: str) -> str:
    """What an engine said."""
    with open(f"{_SAMPLES}/docker26-ctrd-{name}", encoding="utf-8") as file:
        return file.read()


@pytest.fixture
def docker(scratch: str) -> Store:
    """Docker's store, with databases and a record as they were when these samples were taken."""
    inspected: dict[str, Any] = json.loads(sample("container-inspect.json"))
    rows = [line.split() for line in sample("ctr-snapshots.txt").splitlines()[1:]]
    # The mount tells the numbers of four, from the container's own down; the last one was committed after them.
    mine, init = inspected["Id"], f"{inspected['Id']}-init"
    parents = {row[0]: row[1] for row in rows if len(row) == 3}
    chain = [mine, init, parents[init], parents[parents[init]]]
    others = [row[0] for row in rows if row[0] not in chain]
    numbers = {key: number for number, key in enumerate([*reversed(chain), *others], 1)}
    names = {key: f"moby/{number + 10}/{key}" for key, number in numbers.items()}
    stored: dict[bytes, Tree] = {}
    for key, *_, kind in rows:
        parent = {b"parent": names[parents[key]].encode()} if key in parents else {}
        stored[names[key].encode()] = {b"id": varint(numbers[key]), b"kind": bytes([_KINDS[kind]]), **parent}
        os.makedirs(f"{scratch}/containerd/daemon/{directory('overlayfs')}/snapshots/{numbers[key]}/fs")
    known = {key.encode(): {b"name": name.encode()} for key, name in names.items()}
    for name, tree in (
        (METADATA, {b"v1": {b"moby": {b"snapshots": {b"overlayfs": known}}}}),
        (f"{directory('overlayfs')}/metadata.db", {b"v1": {b"snapshots": stored}}),
    ):
        at = f"{scratch}/containerd/daemon/{name}"
        os.makedirs(os.path.dirname(at), exist_ok=True)
        with open(at, "wb") as new:
            new.write(database(tree))
    os.makedirs(f"{scratch}/containers/{mine}")
    with open(f"{scratch}/containers/{mine}/config.v2.json", "w", encoding="utf-8") as record:
        json.dump({**inspected, "ID": mine}, record)
    place = Place(engine=Engine.DOCKER, root=scratch)
    containerd = moby.containerd_place(place)
    assert containerd is not None
    (store,) = containerd_store.read(containerd)
    return moby.read(place, store)


def test_mount(docker: Store) -> None:
    """The directories of a container are those that ctr and the kernel's mount table said."""
    (container,) = docker.containers
    upper, *lowers = docker.chain(container.layer)
    moved = docker.places.partition("/io.containerd")[0]
    for name in ("ctr-mounts.txt", "mountinfo.txt"):
        mount = sample(name).replace("/var/lib/docker/containerd/daemon", moved)
        assert re.findall(r"upperdir=([^,\s]+)", mount) == [upper.diff]
        assert re.findall(r"lowerdir=([^,\s]+)", mount) == [":".join(one.diff for one in lowers)]
    assert container.merged == sample("mountinfo.txt").split()[4].replace("/var/lib/docker", docker.root)


def test_container(docker: Store) -> None:
    """The container is as `docker inspect` said."""
    inspected = json.loads(sample("container-inspect.json"))
    (container,) = docker.containers
    assert container.id == inspected["Id"]
    assert container.name == inspected["Name"].removeprefix("/")
    assert container.image == inspected["Image"]
    assert container.image_name == inspected["Config"]["Image"]
    assert (container.state, container.pid) == (State.RUNNING, inspected["State"]["Pid"])
    assert [layer.role for layer in docker.chain(container.layer)][:2] == [Role.WRITABLE, Role.INIT]


def test_committed(docker: Store) -> None:
    """What `docker commit` made lies on the layer that Docker put below the container."""
    (committed,) = (layer for layer in docker.layers if layer.id.startswith("moby/sha256:5d59"))
    assert [layer.role for layer in docker.chain(committed.id)][1] is Role.INIT
    assert docker.troubles == ()
