"""Forms of containers/storage's documents that the Podman here does not write: Podman 5, CRI-O, more stores."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ovlctl.engines.keepers import Engine
from ovlctl.engines.places import Place
from ovlctl.engines.podman.images import big_data_name
from ovlctl.engines.podman.store import read
from ovlctl.engines.values import Pod, Role, State
from tests.engines.podman_trees import Tree, layer, libpod, sample

if TYPE_CHECKING:
    from ovlctl.engines.values import Store

_BASE = "6cd3d1f598e79f58a48587b6bde06370e2a0db03c294a3c806af03625c8f745d"
_TOP = "169363c66a131ce57085fcf7221fca9cb9a70b7a204b21aa5c29dd7fe47f8d2a"
_UPPER = "1c8f4750ec9738ea4084637053d46be18557f48f2c01515e810341c3a2b3abcb"
_CONTAINER = "2a20d5c79fccac20e0783da3376b41683d982f7bc8814bbdab76309ee985821c"
_IMAGE = "6bdccb9907a00910c15ed1845936bc4e4c5c77d5e3e97ef51aeccbd0bcd8b512"
_POD = "f9b08bd61a24f449809350da551998335c375a23f2c4922663dc2f43204b7820"


def _podman5(scratch: str) -> Tree:
    # layers.json is Podman 5.4's own; the others as 4.3 wrote them, with the names that 5.4 told of its container.
    names = {"image-name": "registry.example/library/l2:latest", "image-id": _IMAGE, "name": "cool_hugle"}
    container = {
        "id": _CONTAINER,
        "names": ["cool_hugle"],
        "image": _IMAGE,
        "layer": _UPPER,
        "metadata": json.dumps({**names, "created-at": 1795426101}),
        "created": "2026-11-23T09:28:21.697Z",
    }
    tree = Tree(f"{scratch}/storage", sample("podman54-store-layers"), sample("podman43-store-images"), [container])
    for image in tree.images:
        tree.put(f"overlay-images/{image['id']}/{big_data_name('sha256:' + image['id'])}", "{}")
    return tree.write()


def _config(**more: object) -> dict[str, Any]:
    return {
        "id": _CONTAINER,
        "name": "cool_hugle",
        "rootfsImageID": _IMAGE,
        "rootfsImageName": "registry.example/library/l2:latest",
        "createdTime": "2026-11-23T10:28:21.696639234+01:00",
        **more,
    }


def test_layers_and_images_of_podman_5(scratch: str) -> None:
    """A chain, its digests and sizes, the roles; the configuration in a file of an encoded name."""
    tree = _podman5(scratch)
    config = {"created": "2026-11-23T09:15:04Z", "history": [{"created_by": "ADD"}, {"empty_layer": True}]}
    name = f"overlay-images/{_IMAGE}/{big_data_name(f'sha256:{_IMAGE}')}"
    tree.put(name, json.dumps(config))
    store = tree.read()
    assert [one.id for one in store.chain(_UPPER)] == [_UPPER, _TOP, _BASE]
    assert [(one.role, one.size) for one in store.chain(_UPPER)] == [
        (Role.WRITABLE, None),
        (Role.IMAGE, 8192),
        (Role.IMAGE, 2000384),
    ]
    image = next(one for one in store.images if one.id == f"sha256:{_IMAGE}")
    assert image.names == ("localhost/img:latest",)
    assert [(step.created_by, step.empty) for step in image.steps] == [("ADD", False), ("", True)]
    assert image.created_ns == 1795425304 * 10**9


@pytest.mark.parametrize("where", ["db.sql", "libpod/db.sql"])
def test_the_database_of_podman_5(scratch: str, where: str) -> None:
    """State, process, pod and time of creation are libpod's, and a container without an image is its alone."""
    tree = _podman5(scratch)
    os.makedirs(f"{tree.root}/libpod", exist_ok=True)
    rootfs = {"id": "e" * 64, "name": "plain", "rootfs": "/srv/tree", "createdTime": "2026-11-23T09:28:21Z"}
    libpod(
        f"{tree.root}/{where}",
        pods={_POD: "group"},
        containers=[_config(pod=_POD), rootfs],
        states=[{"state": 3, "pid": 4242, "mountpoint": "/x"}, {"state": 6}],
    )
    store = tree.read()
    assert store.troubles == ()
    running, plain = store.containers
    assert (running.name, running.state, running.pid, running.layer) == ("cool_hugle", State.RUNNING, 4242, _UPPER)
    assert running.pod == Pod(id=_POD, name="group")
    assert running.created_ns == 1795426101_696639234
    assert (plain.name, plain.state, plain.layer, plain.merged) == ("plain", State.STOPPED, None, "/srv/tree")


def test_a_database_that_is_written_is_read(scratch: str) -> None:
    """What is still in the log of a database that Podman has open counts; afterwards it is as it was."""
    tree = _podman5(scratch)
    path = f"{tree.root}/db.sql"
    libpod(path, pods={}, containers=[_config()], states=[{"state": 1}])
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode=WAL")
    with writer:
        writer.execute("UPDATE ContainerState SET JSON = ?", (json.dumps({"state": 5, "pid": 7}),))
    before = {name: Path(tree.root, name).read_bytes() for name in os.listdir(tree.root) if name.startswith("db.sql")}
    (container,) = tree.read().containers
    assert (container.state, container.pid) == (State.PAUSED, 7)
    assert before == {name: Path(tree.root, name).read_bytes() for name in before}
    assert {name for name in os.listdir(tree.root) if name.startswith("db.sql")} == set(before)
    writer.close()


def test_a_transaction_that_was_cut_short_is_undone(scratch: str) -> None:
    """A journal beside the database, as after a crash: what it keeps is what counts."""
    tree = _podman5(scratch)
    path = f"{tree.root}/db.sql"
    libpod(path, pods={}, containers=[_config()], states=[{"state": 1}])
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA cache_size=1")
    writer.execute("PRAGMA cache_spill=1")
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE ContainerState SET JSON = ?", (json.dumps({"state": 3, "pid": 9}),))
    writer.execute("CREATE TABLE filler(x)")
    writer.executemany("INSERT INTO filler VALUES (?)", [("x" * 3000,) for _ in range(200)])
    journal = Path(f"{path}-journal").read_bytes()
    assert journal[:4].strip(b"\0")
    crashed = Tree(f"{scratch}/crashed", tree.layers, [], tree.containers).write()
    crashed.put("db.sql", Path(path).read_bytes())
    assert crashed.read().containers[0].state is State.RUNNING
    crashed.put("db.sql-journal", journal)
    writer.execute("ROLLBACK")
    writer.close()
    store = crashed.read()
    assert store.troubles == ()
    assert store.containers[0].state is State.CREATED


def _crio(scratch: str) -> Store:
    sandbox = {
        "pod-name": "k8s_web_shop_1b4e28ba_0",
        "pod-id": "a" * 64,
        "name": "k8s_POD_web_shop_1b4e28ba_0",
        "metadata-name": "web",
        "uid": "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
        "namespace": "shop",
        "pod": True,
        "image-name": "registry.example/pause:3.9",
    }
    inside = {
        "pod-name": "k8s_web_shop_1b4e28ba_0",
        "pod-id": "a" * 64,
        "name": "k8s_nginx_web_shop_1b4e28ba_0",
        "metadata-name": "nginx",
        "image-name": "registry.example/nginx:1",
    }
    tree = Tree(f"{scratch}/crio", [layer("base"), layer("one", "base"), layer("two", "base")])
    tree.containers = [
        {"id": "a" * 64, "names": ["k8s_POD"], "layer": "one", "metadata": json.dumps(sandbox)},
        {"id": "b" * 64, "names": ["k8s_nginx"], "layer": "two", "metadata": json.dumps(inside)},
    ]
    tree.write()
    tree.put(f"overlay-containers/{'b' * 64}/userdata/state.json", json.dumps({"status": "running", "pid": 77}))
    tree.put(f"overlay-containers/{'a' * 64}/userdata/state.json", json.dumps({"status": "stopped", "pid": 76}))
    return tree.read()


def test_containers_of_crio(scratch: str) -> None:
    """Names as crictl shows them, the pod with its namespace and uid, the state that CRI-O wrote down."""
    sandbox, nginx = _crio(scratch).containers
    pod = Pod(id="1b4e28ba-2fa1-11d2-883f-0016d3cca427", name="web", namespace="shop")
    assert (nginx.engine, nginx.name, nginx.pod, nginx.state, nginx.pid) == (
        Engine.CRI,
        "nginx",
        pod,
        State.RUNNING,
        77,
    )
    assert nginx.image_name == "registry.example/nginx:1"
    assert (sandbox.name, sandbox.pod, sandbox.state, sandbox.pid) == ("web", pod, State.STOPPED, None)


def test_what_lives_until_the_next_boot(scratch: str) -> None:
    """A transient store: layers and containers in the run root; and where one is mounted, if not at its own place."""
    tree = Tree(f"{scratch}/root", [layer("base")], [{"id": "1" * 64, "layer": "base", "names": ["b"]}]).write()
    run = Tree(f"{scratch}/run")
    run.put("overlay-layers/volatile-layers.json", json.dumps([layer("up", "base"), layer("own", "base")]))
    entries = [{"id": "c" * 64, "names": ["c"], "layer": "up"}, {"id": "d" * 64, "names": ["d"], "layer": "own"}]
    run.put("overlay-containers/volatile-containers.json", json.dumps(entries))
    points = [
        {"id": "up", "path": "/elsewhere/merged", "count": 1},
        {"id": "own", "path": "/link/to/storage/overlay/own/merged", "count": 1},
    ]
    run.put("overlay-layers/mountpoints.json", json.dumps(points))
    store = tree.read(run=f"{scratch}/run")
    assert [one.merged for one in store.containers] == ["/elsewhere/merged", None]
    assert [(one.id, one.mounts) for one in store.layers] == [("base", 0), ("up", 1), ("own", 1)]
    assert {one.mounts for one in tree.read().layers} == {None}
    assert [one.id for one in store.chain("up")] == ["up", "base"]
    assert store.chain("up")[0].directory == f"{store.root}/overlay/up"


def test_further_image_stores_are_told_and_chains_go_on_there(scratch: str) -> None:
    """Additional image stores are stores of their own; the layer of a container lies on theirs."""
    below = Tree(f"{scratch}/shared", [layer("base")], [{"id": "1" * 64, "layer": "base", "names": ["b"]}]).write()
    containers = [{"id": "c" * 64, "names": ["c"], "layer": "up"}, {"id": "d" * 64, "names": ["d"], "layer": "gone"}]
    tree = Tree(f"{scratch}/root", [layer("up", "base")], [], containers).write()
    gone = f"{scratch}/gone"
    place = Place(engine=Engine.PODMAN, root=tree.root, images=(below.root, gone))
    own, shared, missing = read(place)
    assert [one.directory for one in own.chain("up")] == [f"{own.root}/overlay/up", f"{shared.root}/overlay/base"]
    assert [one.layer for one in own.containers] == ["up", None]
    assert shared.images[0].names == ("b",)
    assert (missing.root, missing.layers) == (gone, ())
    assert [error.paths for error in missing.troubles] == [(gone,)]


def test_an_unfinished_layer_says_so(scratch: str) -> None:
    """containers/storage removes it when it is used next."""
    tree = Tree(f"{scratch}/root", [layer("half", flags={"incomplete": True}), layer("whole", flags=None)]).write()
    assert [(one.role, one.held) for one in tree.read().layers] == [(Role.OTHER, ("incomplete",)), (Role.OTHER, ())]


def test_copies_of_a_top_layer_with_other_owners_are_the_images(scratch: str) -> None:
    """`mapped-layers`, which a user namespace needs where the kernel cannot map a mount."""
    image = {"id": "1" * 64, "layer": "top", "mapped-layers": ["mapped"]}
    layers = [layer("base"), layer("top", "base"), layer("mapped", "base"), layer("other", "top")]
    store = Tree(f"{scratch}/root", layers, [image]).write().read()
    roles = {one.id: one.role for one in store.layers}
    assert roles == {"base": Role.IMAGE, "top": Role.IMAGE, "mapped": Role.IMAGE, "other": Role.OTHER}


def test_names_that_are_no_layers(scratch: str) -> None:
    """The driver's own names, and those of probes that were killed."""
    tree = Tree(f"{scratch}/root", [layer("base")]).write()
    for name in (
        "l",
        "staging",
        "tempdirs",
        "compat123",
        "metacopy-check77",
        "opaque-bug-check5",
        "left",
        "compatible",
    ):
        os.makedirs(f"{tree.root}/overlay/{name}", exist_ok=True)
    store = tree.read()
    assert set(os.listdir(store.places)) - store.reserved == {"base", "left", "compatible"}


def test_other_drivers_in_the_same_root(scratch: str) -> None:
    """A store for each driver that was used there: what one left behind is told, too."""
    tree = Tree(f"{scratch}/root", [layer("base")]).write()
    tree.put("vfs-layers/layers.json", json.dumps([layer("old")]))
    overlay, vfs = read(Place(engine=Engine.PODMAN, root=tree.root))
    assert (overlay.driver, vfs.driver) == ("overlay", "vfs")
    (old,) = vfs.layers
    assert (old.directory, old.diff, old.work) == (f"{tree.root}/vfs/dir/old", f"{tree.root}/vfs/dir/old", None)


def test_a_container_of_nobody_is_podmans(scratch: str) -> None:
    """Somebody else's that uses containers/storage: `podman ps --external` lists it."""
    store = Tree(f"{scratch}/root", [layer("up")], [], [{"id": "c" * 64, "layer": "up"}]).write().read()
    assert [(one.engine, one.name, one.state) for one in store.containers] == [(Engine.PODMAN, "c" * 64, State.UNKNOWN)]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("manifest", "manifest"),
        ("sha256:ab", "=c2hhMjU2OmFi"),
        ("Upper", "=VXBwZXI="),
        ("a.b0", "a.b0"),
        ("../../x", "=Li4vLi4veA=="),
    ],
)
def test_names_of_big_data(key: str, name: str) -> None:
    """Plain where they have only digits, dots and small letters; else in base64, as containers/storage writes them."""
    assert big_data_name(key) == name


def test_an_empty_root_is_an_empty_store(scratch: str) -> None:
    """Where nothing was ever made."""
    store = Tree(scratch).read()
    assert (store.layers, store.images, store.containers, store.troubles) == ((), (), (), ())
