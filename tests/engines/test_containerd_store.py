"""containerd's store, read from disk: what containerd says of it, the same while it runs and while it does not."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ovlctl.engines.containerd import store as containerd_store
from ovlctl.engines.keepers import Engine
from ovlctl.engines.values import Role, State, Store, StoreKind
from tests.containerd import DOCKER_IMAGE, IMAGE, RUNNING, STOPPED, Containerd

if TYPE_CHECKING:
    from ovlctl.engines.values import Container


def read(containerd: Containerd) -> Store:
    """The one store that there is."""
    (store,) = containerd_store.read(containerd.place)
    assert store.troubles == ()
    return store


def container(store: Store, name: str) -> Container:
    """The container *name*."""
    return next(one for one in store.containers if one.name == name)


def rows(said: str) -> list[list[str]]:
    """The lines of a table below its head, as words."""
    return [line.split() for line in said.splitlines()[1:]]


@pytest.mark.parametrize("namespace", ["default", "moby"])
def test_snapshots(containerd_engine: Containerd, namespace: str) -> None:
    """Every snapshot is told with the parent, the kind, the directories and the size that ctr has."""
    store = read(containerd_engine)
    mine = {layer.id.removeprefix(f"{namespace}/"): layer for layer in store.layers if layer.id.startswith(namespace)}
    said = rows(containerd_engine("snapshots", "ls", namespace=namespace))
    assert set(mine) == {row[0] for row in said}
    usage = dict(
        row[:2] for row in rows(containerd_engine("snapshots", "usage", "-b", namespace=namespace)) if len(row) > 1
    )
    for key, *rest in said:
        layer = mine[key]
        parent, kind = rest if len(rest) == 2 else (None, *rest)
        assert layer.parent == (None if parent is None else f"{namespace}/{parent}")
        assert (layer.work is not None) == (kind == "Active")
        if kind == "Committed":
            assert layer.size == int(usage[key])
        info = json.loads(containerd_engine("snapshots", "info", key, namespace=namespace))
        assert ("label containerd.io/gc.root" in layer.held) == ("containerd.io/gc.root" in info.get("Labels", {}))
        assert os.path.isdir(layer.diff)
        if kind == "Active":
            mounts = containerd_engine("snapshots", "mounts", "/x", key, namespace=namespace)
            below = store.chain(layer.id)[1:]
            assert f"upperdir={layer.diff}" in mounts
            assert f"workdir={layer.work}" in mounts
            assert f"lowerdir={':'.join(one.diff for one in below)}" in mounts


def test_order_and_places(containerd_engine: Containerd) -> None:
    """Lower layers come first; every layer has a directory in `places`, and every directory there is a layer's."""
    store = read(containerd_engine)
    assert (store.engine, store.kind, store.driver) == (Engine.CONTAINERD, StoreKind.SNAPSHOTTER, "overlayfs")
    seen: set[str] = set()
    for layer in store.layers:
        assert layer.parent is None or layer.parent in seen
        seen.add(layer.id)
        assert layer.directory == f"{store.places}/{layer.name}"
    assert set(os.listdir(store.places)) == set(store.by_name)
    assert store.packed == (f"{containerd_engine.root}/io.containerd.content.v1.content",)


def test_images(containerd_engine: Containerd) -> None:
    """Images have the targets and names that ctr has, the layers that they were unpacked to, and their history."""
    store = read(containerd_engine)
    found = {(image.namespace, name): image for image in store.images for name in image.names}
    assert set(found) == {("default", IMAGE), ("default", "example.org/busy:again"), ("moby", DOCKER_IMAGE)}
    for (namespace, name), image in found.items():
        assert namespace is not None
        said = {row[0]: row[2] for row in rows(containerd_engine("images", "ls", namespace=namespace))}
        assert image.id == said[name]
        chain = store.chain(image.layer)
        assert [layer.role for layer in chain] == [Role.IMAGE] * 3
        assert all(layer.digest for layer in chain)
        assert [(step.created_by, step.empty) for step in image.steps] == [("test", False)] * 3
        content = {row[0]: row[1] for row in rows(containerd_engine("content", "ls", namespace=namespace))}
        assert image.size
        assert image.size > 1 << 20
        assert image.id in content


def test_containers(containerd_engine: Containerd) -> None:
    """Containers have their snapshot, image, name; the one that runs has its process and where it is mounted."""
    store = read(containerd_engine)
    running, created = container(store, "running"), container(store, "named")
    pids = {row[0]: int(row[1]) for row in rows(containerd_engine("tasks", "ls"))}
    assert (running.state, running.pid) == (State.RUNNING, pids["running"])
    assert (created.id, created.state, created.pid) == ("created", State.STOPPED, None)
    for one in (running, created):
        assert (one.engine, one.namespace, one.image_name) == (Engine.CONTAINERD, "default", IMAGE)
        assert one.layer == f"default/{one.id}"
        assert store.by_id[one.layer].role is Role.WRITABLE
        assert one.image == next(image.id for image in store.images if IMAGE in image.names)
    assert running.merged is not None
    assert os.path.ismount(running.merged)
    assert os.path.exists(f"{running.merged}/etc/two")
    roles = {layer.id: layer.role for layer in store.layers}
    assert roles["default/idle"] is Role.OTHER
    assert roles["default/chain/2"] is Role.OTHER


def test_down(containerd_engine: Containerd) -> None:
    """The daemon down, the answers are the same."""
    before = read(containerd_engine)
    with containerd_engine.stopped():
        assert read(containerd_engine) == before
    assert read(containerd_engine) == before
    assert {one.id for one in before.containers} == {"running", "created", RUNNING}
    assert STOPPED not in {one.id for one in before.containers}


def test_while_it_works(containerd_engine: Containerd) -> None:
    """While snapshots are made and removed, no error is told, and chains go down to the bottom."""
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            containerd_engine("snapshots", "prepare", "busy1", "chain/2")
            containerd_engine("snapshots", "commit", "busy2", "busy1")
            containerd_engine("snapshots", "prepare", "busy3", "busy2")
            containerd_engine("snapshots", "rm", "busy3")
            containerd_engine("snapshots", "rm", "busy2")

    worker = threading.Thread(target=work)
    worker.start()
    met: set[str] = set()
    try:
        end = time.monotonic() + 5
        while time.monotonic() < end:
            store = read(containerd_engine)
            for layer in store.layers:
                if "busy" in layer.id:
                    met.add(layer.id.rpartition("/")[2])
                    assert store.chain(layer.id)[-1].id == "default/chain/1"
    finally:
        ended.set()
        worker.join()
    assert met >= {"busy1", "busy2", "busy3"}


def test_other_snapshotter(containerd_engine: Containerd) -> None:
    """What a snapshotter keeps that is no overlay is told of by its name, without layers."""
    containerd_engine("snapshots", "--snapshotter", "native", "prepare", "plain")
    try:
        overlayfs, native = containerd_store.read(containerd_engine.place)
        assert (overlayfs.driver, native.driver, native.layers, native.images) == ("overlayfs", "native", (), ())
        assert "default/plain" not in overlayfs.by_id
    finally:
        containerd_engine("snapshots", "--snapshotter", "native", "rm", "plain")
