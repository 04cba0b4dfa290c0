"""What is read from Docker's store is what Docker itself says of it, whether its daemon runs or not."""

from __future__ import annotations

import json
import os
import shutil
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ovlctl.engines import bolt, gathering
from ovlctl.engines.docker import daemon as docker_daemon
from ovlctl.engines.docker.store import drivers, read
from ovlctl.engines.files import Files
from ovlctl.engines.keepers import Engine
from ovlctl.engines.values import Role, State, StoreKind
from ovlctl.errors import StoreDamaged
from tests.capabilities import needs_overlay, needs_root
from tests.engines.live.docker import DockerEngine
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from ovlctl.engines.values import Container, Image, Layer, Store

pytestmark = [needs_root, needs_overlay]
_OUT = b"../../../../../../etc/pwd"


@pytest.fixture
def store(docker_engine: DockerEngine) -> Store:
    """What is read."""
    return _read(docker_engine)


def _read(engine: DockerEngine) -> Store:
    (store,) = read(engine.place)
    assert store.troubles == ()
    return store


def _container(store: Store, name: str) -> Container:
    (found,) = [container for container in store.containers if container.name == name]
    return found


def _image(store: Store, name: str) -> Image:
    (found,) = [image for image in store.images if name in image.names]
    return found


def _data(chain: tuple[Layer, ...]) -> dict[str, str | None]:
    # What GraphDriver.Data was.
    top, *lowers = chain
    data: dict[str, str | None] = {"UpperDir": top.diff, "WorkDir": top.work, "MergedDir": top.merged}
    return data | ({"LowerDir": ":".join(layer.diff for layer in lowers)} if lowers else {})


def test_the_store(docker_engine: DockerEngine, store: Store) -> None:
    """It says what it is; every directory is a layer or belongs there; every layer has its directory."""
    data = docker_engine.daemon.data
    assert (store.engine, store.kind, store.driver) == (Engine.DOCKER, StoreKind.GRAPH_DRIVER, "overlay2")
    assert (store.root, store.places, store.links) == (data, f"{data}/overlay2", f"{data}/overlay2/l")
    assert {*os.listdir(store.places)} - store.reserved == {layer.name for layer in store.layers}
    assert drivers(docker_engine.place) == ("overlay2",)


def test_layers_lie_on_layers(store: Store) -> None:
    """Lower ones come first, and each short link leads to its layer."""
    seen: set[str] = set()
    for layer in store.layers:
        assert layer.parent is None or layer.parent in seen
        seen.add(layer.id)
        assert os.path.realpath(f"{store.links}/{layer.link}") == layer.diff


@pytest.mark.parametrize("name", [DockerEngine.RUNNING, DockerEngine.STOPPED])
def test_containers(docker_engine: DockerEngine, store: Store, name: str) -> None:
    """A container is what ``docker inspect`` prints: paths, names, how it stands; its own layers have their roles."""
    said = docker_engine.inspect(name)
    found = _container(store, name)
    chain = store.chain(found.layer)
    assert _data(chain) == said["GraphDriver"]["Data"]
    assert [layer.role for layer in chain[:2]] == [Role.WRITABLE, Role.INIT]
    assert {layer.role for layer in chain[2:]} == {Role.IMAGE}
    assert (found.id, f"/{found.name}", found.image) == (said["Id"], said["Name"], said["Image"])
    assert found.image_name == said["Config"]["Image"]
    assert found.engine is Engine.DOCKER
    assert (found.state, found.pid) == (
        (State.RUNNING, said["State"]["Pid"]) if name == DockerEngine.RUNNING else (State.STOPPED, None)
    )
    assert found.pod is None


@pytest.mark.parametrize("name", [DockerEngine.BASE, DockerEngine.IMAGE, DockerEngine.BUILT])
def test_images(docker_engine: DockerEngine, store: Store, name: str) -> None:
    """An image is what ``docker image inspect`` and ``docker history`` print: paths, digests, sizes, commands."""
    said = docker_engine.inspect(name, kind="image")
    found = _image(store, name)
    chain = store.chain(found.layer)
    assert _data(chain) == said["GraphDriver"]["Data"]
    assert [layer.digest for layer in reversed(chain)] == said["RootFS"]["Layers"]
    assert sum(layer.size or 0 for layer in chain) == said["Size"]
    assert (found.id, list(found.names)) == (said["Id"], sorted(said["RepoTags"] + said["RepoDigests"]))
    history = docker_engine.docker("history", "--no-trunc", "--format", "{{json .}}", name).splitlines()
    assert [step.created_by for step in reversed(found.steps)] == [json.loads(line)["CreatedBy"] for line in history]
    assert sum(not step.empty for step in found.steps) == len(chain)


def test_a_pod(docker_engine: DockerEngine) -> None:
    """Labels that the kubelet puts on a container name its pod."""
    labels = {"uid": "9f1c2d3e-4b5a-6978-8796-a5b4c3d2e1f0", "name": "shop", "namespace": "prod"}
    words = [word for key, value in labels.items() for word in ("--label", f"io.kubernetes.pod.{key}={value}")]
    docker_engine.docker("create", "--network=none", "--name", "ovl-pod", *words, docker_engine.BASE, "/bin/sh")
    try:
        found = _container(_read(docker_engine), "ovl-pod")
        assert found.pod is not None
        assert (found.pod.id, found.pod.name, found.pod.namespace) == tuple(labels.values())
        assert (found.state, found.pid) == (State.CREATED, None)
    finally:
        docker_engine.docker("rm", "ovl-pod")


def test_paused(docker_engine: DockerEngine) -> None:
    """A paused container is neither running nor stopped."""
    docker_engine.docker("pause", docker_engine.RUNNING)
    try:
        assert _container(_read(docker_engine), docker_engine.RUNNING).state is State.PAUSED
    finally:
        docker_engine.docker("unpause", docker_engine.RUNNING)


def test_what_buildkit_keeps(docker_engine: DockerEngine, store: Store) -> None:
    """Steps that no image came of are build cache, each on the one before it; so are layers of an image that went."""
    cache = {layer.id: layer for layer in store.layers if layer.role is Role.BUILD_CACHE}
    written = {name for layer in cache.values() for name in ("a", "b") if os.path.exists(f"{layer.diff}/{name}")}
    assert written == {"a", "b"}
    (last,) = [layer for layer in cache.values() if os.path.exists(f"{layer.diff}/b")]
    base = _image(store, docker_engine.BASE).layer
    assert [layer.id for layer in store.chain(last.id)][2:] == [base]
    assert os.path.exists(f"{store.chain(last.id)[1].diff}/a")

    docker_engine.build("ovl-gone:latest", f'FROM {docker_engine.BASE}\nRUN ["/bin/sh", "-c", "echo gone > /gone"]\n')
    top = _image(_read(docker_engine), "ovl-gone:latest").layer
    docker_engine.docker("rmi", "ovl-gone:latest")
    after = _read(docker_engine)
    assert top is not None
    assert after.by_id[top].role is Role.BUILD_CACHE
    assert after.by_id[top].digest is not None
    assert {*os.listdir(after.places)} - after.reserved == {layer.name for layer in after.layers}


def test_daemon_down(docker_engine: DockerEngine, store: Store) -> None:
    """Without the daemon the store says the same, the container that goes on included."""
    pid = docker_engine.process(docker_engine.RUNNING)
    before = _read(docker_engine)
    with docker_engine.down():
        assert _read(docker_engine) == before
        assert _container(before, docker_engine.RUNNING).pid == pid
        assert os.path.exists(f"/proc/{pid}")
    assert docker_engine.process(docker_engine.RUNNING) == pid
    assert store.root == before.root


def test_asking(docker_engine: DockerEngine, store: Store) -> None:
    """The daemon's own answers, asked through the SDK, agree with the store."""
    info: Any = json.loads(docker_engine.docker("info", "-f", "{{json .}}"))
    answer = docker_daemon.ask(docker_engine.endpoint)
    assert (answer.version, answer.driver, answer.root) == (info["ServerVersion"], store.driver, store.root)
    assert (answer.kind, answer.rootless) == (store.kind, False)
    assert answer.backing_fs == dict(info["DriverStatus"])["Backing Filesystem"]
    for name in (docker_engine.RUNNING, docker_engine.STOPPED):
        said = docker_daemon.inspect_container(docker_engine.endpoint, name)
        found = _container(store, name)
        assert (said.id, said.name, said.image, said.pid, said.state) == (
            found.id,
            found.name,
            found.image,
            found.pid,
            found.state,
        )
        top, *lowers = store.chain(found.layer)
        assert said.graph is not None
        assert (said.graph.upper, said.graph.work, said.graph.merged) == (top.diff, top.work, top.merged)
        assert said.graph.lowers == tuple(layer.diff for layer in lowers)
    said = docker_daemon.inspect_image(docker_engine.endpoint, docker_engine.TAG)
    assert said.digests == tuple(
        layer.digest for layer in reversed(store.chain(_image(store, docker_engine.TAG).layer))
    )


def test_remapped_users(docker_engine: DockerEngine, scratch: str) -> None:
    """With remapped users the store is one directory further down; both are told."""
    os.symlink(docker_engine.daemon.data, f"{scratch}/100000.100000")  # no engine makes a link there
    place = replace(docker_engine.place, root=scratch)
    assert read(place) == ()
    os.remove(f"{scratch}/100000.100000")
    os.makedirs(f"{scratch}/100000.100000/overlay2/l")
    (below,) = read(place)
    assert below.places == f"{os.path.realpath(scratch)}/100000.100000/overlay2"


def test_a_hostile_cache(docker_engine: DockerEngine, scratch: str) -> None:
    """A snapshot of BuildKit whose directory leads out is one trouble; all else is told."""
    for name in ("image", "buildkit", "containers"):
        shutil.copytree(f"{docker_engine.daemon.data}/{name}", f"{scratch}/{name}")
    with Files(scratch) as files:
        buckets = bolt.snapshot(files, "buildkit/snapshots.db").root.buckets.values()
        content = files.bytes("buildkit/snapshots.db")
    bad = next(filter(None, (bucket.get(b"committed") for bucket in buckets)))
    assert len(bad) == len(_OUT)
    with open(f"{scratch}/buildkit/snapshots.db", "wb") as file:
        file.write(content.replace(b"committed" + bad, b"committed" + _OUT))
    (store,) = read(replace(docker_engine.place, root=scratch))
    (trouble,) = store.troubles
    assert type(trouble) is StoreDamaged
    whole = _read(docker_engine)
    assert [image.id for image in store.images] == [image.id for image in whole.images]
    assert {layer.name for layer in store.layers} == {layer.name for layer in whole.layers}


def test_while_docker_works(docker_engine: DockerEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes and goes while it is read is no damage."""
    monkeypatch.setattr(gathering, "PATIENCE_S", PATIENCE)
    monkeypatch.setattr(gathering, "_FRESH_S", PATIENCE)

    def work() -> None:
        for number in range(6):
            docker_engine.run(f"ovl-brief-{number}", docker_engine.IMAGE, "/bin/sh", "-c", "true", words=("--rm",))

    busy = threading.Thread(target=work)
    busy.start()
    reads = 0
    while busy.is_alive():
        (store,) = read(docker_engine.place)
        assert [str(trouble) for trouble in store.troubles] == []
        reads += 1
    assert reads
