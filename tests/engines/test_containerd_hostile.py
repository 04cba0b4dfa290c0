"""Stores of containerd that are damaged or made to mislead: one error for each entry, and all else told."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from ovlctl.engines import bolt
from ovlctl.engines.containerd import store as containerd_store
from ovlctl.engines.containerd.databases import METADATA, directory
from ovlctl.engines.files import Files
from ovlctl.engines.keepers import Engine
from ovlctl.engines.places import Place
from ovlctl.engines.values import Role, State, Store
from ovlctl.errors import OvlError, StoreDamaged, StoreForbidden, StoreMisleads
from tests.capabilities import needs_root
from tests.engines.bolts import Tree, database, varint

if TYPE_CHECKING:
    from tests.conftest import OrdinaryUser
    from tests.containerd import Containerd

SNAPSHOTTER = directory("overlayfs")
SNAPSHOTS = f"{SNAPSHOTTER}/metadata.db"
BLOBS = "io.containerd.content.v1.content/blobs/sha256"
MANIFEST = b"application/vnd.oci.image.manifest.v1+json"
INDEX = b"application/vnd.oci.image.index.v1+json"


def write(at: str, name: str, content: bytes) -> None:
    """A file of a store."""
    os.makedirs(os.path.dirname(f"{at}/{name}"), exist_ok=True)
    with open(f"{at}/{name}", "wb") as new:
        new.write(content)


def stored(number: int, kind: int = 3, **more: bytes) -> Tree:
    """A snapshot, as the snapshotter has it."""
    return {b"id": varint(number), b"kind": bytes([kind]), **{key.encode(): value for key, value in more.items()}}


def snapshots(at: str, tree: Tree, numbers: tuple[int, ...] = ()) -> None:
    """The database of a snapshotter, and directories."""
    write(at, SNAPSHOTS, database({b"v1": {b"snapshots": tree}}))
    for number in numbers:
        os.makedirs(f"{at}/{SNAPSHOTTER}/snapshots/{number}/fs")


def named(**keys: str) -> Tree:
    """The snapshots of a namespace: what the snapshotter calls each."""
    return {b"overlayfs": {key.encode(): {b"name": name.encode()} for key, name in keys.items()}}


def metadata(at: str, **namespaces: Tree) -> None:
    """The database of containerd."""
    write(at, METADATA, database({b"v1": {name.encode(): tree for name, tree in namespaces.items()}}))


def read(at: str, run: str | None = None) -> Store:
    """The one store."""
    (store,) = containerd_store.read(Place(engine=Engine.CONTAINERD, root=at, run=run))
    return store


def messages(store: Store) -> list[str]:
    """What is wrong with it."""
    return [trouble.message(str) for trouble in store.troubles]


def image(digest: bytes, media_type: bytes = MANIFEST) -> Tree:
    """An image of a namespace."""
    return {b"target": {b"digest": digest, b"mediatype": media_type, b"size": varint(2)}}


def blob(at: str, document: object) -> bytes:
    """Put a document into the content store; its digest."""
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    name = hashlib.sha256(content).hexdigest()
    write(at, f"{BLOBS}/{name}", content)
    return f"sha256:{name}".encode()


def described(digest: bytes, media_type: bytes) -> dict[str, Any]:
    """A descriptor."""
    return {"digest": digest.decode(), "mediaType": media_type.decode(), "size": 1}


def test_by_hand(scratch: str) -> None:
    """A store written by hand is read as one that containerd wrote."""
    snapshots(scratch, {b"d/1/a": stored(1), b"d/2/b": stored(2, 2, parent=b"d/1/a")}, (1, 2))
    metadata(scratch, d={b"snapshots": named(a="d/1/a", b="d/2/b")})
    store = read(scratch)
    assert store.troubles == ()
    assert [(layer.id, layer.name, layer.parent) for layer in store.layers] == [("d/a", "1", None), ("d/b", "2", "d/a")]


def test_nothing(scratch: str) -> None:
    """Where there is no containerd, there is no store; where there is no directory, the system's error."""
    assert containerd_store.read(Place(engine=Engine.CONTAINERD, root=scratch)) == ()
    with pytest.raises(FileNotFoundError):
        containerd_store.read(Place(engine=Engine.CONTAINERD, root=f"{scratch}/none"))


def test_without_one_of_two(scratch: str) -> None:
    """With meta.db gone the snapshots are told, of no namespace; with metadata.db gone, images and containers."""
    snapshots(scratch, {b"d/1/a": stored(1), b"d/2/b": stored(2, 2, parent=b"d/1/a")}, (1, 2))
    store = read(scratch)
    assert [layer.id for layer in store.layers] == ["?/d/1/a", "?/d/2/b"]
    assert store.layers[1].parent == "?/d/1/a"
    assert messages(store) == [f"{scratch}/{METADATA} is not there"]
    os.remove(f"{scratch}/{SNAPSHOTS}")
    container = {b"c": {b"snapshotter": b"overlayfs", b"snapshotKey": b"c"}}
    metadata(scratch, d={b"containers": container, b"snapshots": named(c="d/1/c")})
    store = read(scratch)
    assert messages(store) == [f"{scratch}/{SNAPSHOTS} is not there, and containerd has snapshots of it"]
    assert store.layers == ()
    assert [(one.id, one.layer) for one in store.containers] == [("c", None)]


def test_lost_and_forgotten(scratch: str) -> None:
    """A snapshot that only one of the databases knows is told so."""
    snapshots(scratch, {b"d/1/a": stored(1), b"d/2/gone": stored(2, 2, parent=b"d/1/a")}, (1, 2))
    metadata(scratch, d={b"snapshots": named(a="d/1/a", lost="d/3/lost")})
    store = read(scratch)
    assert [(layer.id, layer.role) for layer in store.layers] == [("d/a", Role.OTHER), ("?/d/2/gone", Role.OTHER)]
    assert messages(store) == [f"{scratch}/{SNAPSHOTS} has no snapshot lost, which the namespace d has"]


def test_hostile_records(scratch: str) -> None:
    """Records that lack what they need are one error each; the good one beside them is told."""
    bad: dict[bytes, Tree] = {
        b"d/2/none": {},
        b"d/3/kind": stored(3, 9),
        b"d/4/number": {b"id": b"\xff" * 30, b"kind": b"\2"},
        b"d/5/short": {b"id": b"\x80", b"kind": b"\2"},
    }
    good = stored(1, size=b"\x01", createdat=b"\x01short", labels=b"no bucket")
    snapshots(scratch, {b"d/1/\x1b[2J\n": good, **bad}, (1,))
    metadata(
        scratch,
        d={
            b"snapshots": {b"overlayfs": {b"\x1b[2J\n": {b"name": b"d/1/\x1b[2J\n"}, b"nameless": {}}},
            b"images": {
                b"no target": {},
                b"no digest": image(b"../../../etc/passwd"),
                b"absent": image(b"sha256:" + b"0" * 64),
            },
        },
    )
    store = read(scratch)
    assert [(layer.id, layer.size, layer.created_ns) for layer in store.layers] == [("d/\x1b[2J\n", None, None)]
    assert len(store.troubles) == 4 + 1 + 3
    assert all(isinstance(trouble, StoreDamaged) for trouble in store.troubles)
    # Names are arguments of an error, and whoever shows it escapes them.
    assert not any("\x1b" in trouble.template for trouble in store.troubles)


def test_circles_and_twins(scratch: str) -> None:
    """Snapshots on themselves and two in one directory are errors; the rest is told."""
    snapshots(
        scratch,
        {
            b"d/1/a": stored(1, parent=b"d/2/b"),
            b"d/2/b": stored(2, parent=b"d/1/a"),
            b"d/3/c": stored(3),
            b"d/4/d": stored(3, parent=b"d/3/c"),
            b"d/5/e": stored(5, parent=b"d/9/gone"),
        },
        (1, 2, 3, 5),
    )
    metadata(scratch, d={b"snapshots": named(a="d/1/a", b="d/2/b", c="d/3/c", d="d/4/d", e="d/5/e")})
    store = read(scratch)
    assert [layer.id for layer in store.layers] == ["d/c", "d/e"]
    assert len(store.troubles) == 2


def test_links(scratch: str) -> None:
    """A layer that is a link to /etc, and one whose directory is, are not followed and not told."""
    snapshots(scratch, {b"d/1/a": stored(1), b"d/2/b": stored(2), b"d/3/c": stored(3)}, (1,))
    os.mkdir(f"{scratch}/{SNAPSHOTTER}/snapshots/2")
    os.symlink("/etc", f"{scratch}/{SNAPSHOTTER}/snapshots/2/fs")
    os.symlink("/", f"{scratch}/{SNAPSHOTTER}/snapshots/3")
    metadata(scratch, d={b"snapshots": named(a="d/1/a", b="d/2/b", c="d/3/c")})
    store = read(scratch)
    assert [layer.id for layer in store.layers] == ["d/a"]
    assert [type(trouble) for trouble in store.troubles] == [StoreMisleads, StoreMisleads]


def test_hostile_content(scratch: str) -> None:
    """Blobs that lie, are links, or go round are one error each; the other image is told."""
    snapshots(scratch, {})
    config = blob(scratch, {"rootfs": {"type": "layers", "diff_ids": []}, "history": [3, {"created_by": 7}]})
    media = b"application/vnd.oci.image.config.v1+json"
    good = blob(scratch, {"config": described(config, media), "layers": []})
    liar = blob(scratch, {"config": described(config, media), "layers": 3})
    write(scratch, f"{BLOBS}/{'1' * 64}", b"{}")
    os.symlink("/etc/passwd", f"{scratch}/{BLOBS}/{'2' * 64}")
    os.mkfifo(f"{scratch}/{BLOBS}/{'3' * 64}")
    deep = blob(scratch, b"[" * 100_000)
    wide = blob(scratch, {"manifests": [described(good, MANIFEST)] * 1000})
    for _ in range(20):
        wide = blob(scratch, {"manifests": [described(wide, INDEX)] * 1000})
    targets = {
        b"good": (good, MANIFEST),
        b"liar": (liar, MANIFEST),
        b"other": (b"sha256:" + b"1" * 64, MANIFEST),
        b"link": (b"sha256:" + b"2" * 64, MANIFEST),
        b"fifo": (b"sha256:" + b"3" * 64, MANIFEST),
        b"deep": (deep, INDEX),
        b"wide": (wide, INDEX),
        b"chart": (config, b"application/vnd.cncf.helm.config.v1+json"),
    }
    metadata(scratch, d={b"images": {name: image(*target) for name, target in targets.items()}})
    start = time.monotonic()
    store = read(scratch)
    assert time.monotonic() - start < 20
    found = {name: one for one in store.images for name in one.names}
    assert set(found) == {name.decode() for name in targets}
    assert [step.created_by for step in found["good"].steps] == ["", ""]
    assert len(found["wide"].steps) == 2
    assert len(store.troubles) == 5
    assert sum(isinstance(trouble, StoreMisleads) for trouble in store.troubles) == 1


def test_hostile_tasks(scratch: str) -> None:
    """Names of containers lead nowhere but to their own task; a process that is no number is none."""
    os.makedirs(f"{scratch}/root")
    os.makedirs(f"{scratch}/run/io.containerd.runtime.v2.task/d/good")
    write(scratch, "run/init.pid", b"1")
    write(scratch, "run/io.containerd.runtime.v2.task/d/good/init.pid", b"77\n")
    write(scratch, "run/io.containerd.runtime.v2.task/d/bad/init.pid", b"-1")
    os.symlink("/proc/1", f"{scratch}/run/io.containerd.runtime.v2.task/d/link")
    record = {b"snapshotter": b"overlayfs", b"snapshotKey": b"x"}
    names = (b"good", b"bad", b"link", b"../../..", b"..", b"not")
    metadata(f"{scratch}/root", d={b"containers": dict.fromkeys(names, record)})
    store = read(f"{scratch}/root", f"{scratch}/run")
    found = {one.id: (one.state, one.pid) for one in store.containers}
    assert found["good"] == (State.RUNNING, 77)
    assert found["bad"] == found["not"] == (State.STOPPED, None)
    assert found["../../.."] == found[".."] == found["link"] == (State.UNKNOWN, None)
    assert [type(trouble) for trouble in store.troubles] == [StoreMisleads]
    (elsewhere,) = containerd_store.read(Place(engine=Engine.CONTAINERD, root=f"{scratch}/root", alive=False))
    assert {one.state for one in elsewhere.containers} == {State.UNKNOWN}


def test_roles_and_labels(scratch: str) -> None:
    """Leases, labels and namespaces say what a snapshot is for; labels of CRI and of nerdctl, what a container is."""
    records = {
        f"{name}".encode(): stored(number, 2) for number, name in enumerate(("d/1/a", "buildkit/2/b", "d/3/c"), 1)
    }
    snapshots(scratch, records, (1, 2, 3))
    pod = {f"io.kubernetes.pod.{key}".encode(): key.encode() for key in ("uid", "name", "namespace")}
    cri = {b"io.cri-containerd.kind": b"container", b"io.kubernetes.container.name": b"web", **pod}
    lease = {b"labels": {b"containerd.io/gc.flat": b"x", b"containerd.io/gc.expire": b"2030"}}
    metadata(
        scratch,
        d={
            b"snapshots": named(a="d/1/a", c="d/3/c"),
            b"leases": {b"it": {**lease, b"snapshots": {b"overlayfs": {b"a": b""}}}},
            b"containers": {
                b"c": {b"snapshotter": b"overlayfs", b"snapshotKey": b"c", b"labels": cri},
                b"n": {b"snapshotter": b"native", b"snapshotKey": b"c", b"labels": {b"nerdctl/name": b"nice"}},
                b"m": {},
            },
        },
        buildkit={b"snapshots": named(b="buildkit/2/b")},
    )
    overlayfs, native = containerd_store.read(Place(engine=Engine.CONTAINERD, root=scratch))
    by_id = overlayfs.by_id
    assert {id_: layer.role for id_, layer in by_id.items()} == {
        "d/a": Role.BUILD_CACHE,
        "buildkit/b": Role.BUILD_CACHE,
        "d/c": Role.WRITABLE,
    }
    assert by_id["d/a"].held == ("lease it until 2030",)
    one, bare = overlayfs.containers
    assert (one.engine, one.name, one.layer) == (Engine.CRI, "web", "d/c")
    assert one.pod is not None
    assert (one.pod.id, one.pod.name, one.pod.namespace) == ("uid", "name", "namespace")
    assert (bare.engine, bare.name, bare.layer) == (Engine.CONTAINERD, "m", None)
    assert (native.driver, native.layers, [each.name for each in native.containers]) == ("native", (), ["nice"])


def test_shared_snapshot(scratch: str) -> None:
    """A snapshot that two namespaces have is one layer, found from both."""
    snapshots(scratch, {b"a/1/k": stored(1, 2)}, (1,))
    container = {b"containers": {b"c": {b"snapshotter": b"overlayfs", b"snapshotKey": b"k"}}}
    shared = {b"snapshots": named(k="a/1/k"), **container}
    metadata(scratch, a=shared, b=shared)
    store = read(scratch)
    assert [layer.id for layer in store.layers] == ["a/k"]
    assert [one.layer for one in store.containers] == ["a/k", "a/k"]


@pytest.fixture
def copied(containerd_engine: Containerd, scratch: str) -> str:
    """A copy of a real containerd's databases and blobs."""
    with containerd_engine.stopped():
        for name in (METADATA, SNAPSHOTS):
            with open(f"{containerd_engine.root}/{name}", "rb") as file:
                write(scratch, name, file.read())
        shutil.copytree(
            f"{containerd_engine.root}/io.containerd.content.v1.content", f"{scratch}/io.containerd.content.v1.content"
        )
    return scratch


def test_flipped_bytes(copied: str) -> None:
    """Whatever is damaged, the answer is a store with errors of ovlctl in it, in time."""
    whole = read(copied)
    assert whole.troubles == ()
    chance = random.Random(2)
    for name in (METADATA, SNAPSHOTS):
        with open(f"{copied}/{name}", "rb") as file:
            content = file.read()
        with Files(copied) as files:
            used = bolt.snapshot(files, name).meta.length
        seen = 0
        for _ in range(60):
            broken = bytearray(content)
            for _ in range(chance.choice((1, 3, 30))):
                page = chance.randrange(2, used // 4096) * 4096
                broken[page + int(chance.random() ** 3 * 4096)] ^= chance.randrange(1, 256)
            write(copied, name, bytes(broken))
            start = time.monotonic()
            # More than one when the name of a snapshotter was hit.
            stores = containerd_store.read(Place(engine=Engine.CONTAINERD, root=copied))
            assert time.monotonic() - start < 10
            troubles = [trouble for store in stores for trouble in store.troubles]
            assert all(isinstance(trouble, OvlError) for trouble in troubles)
            seen += bool(troubles)
        assert seen > 5
        write(copied, name, content)
    assert read(copied) == whole


def test_empty_database(copied: str) -> None:
    """One of the databases cut short or emptied is one error, and the other is told."""
    write(copied, METADATA, b"")
    store = read(copied)
    assert len(store.layers) > 5
    assert [type(trouble) for trouble in store.troubles] == [StoreDamaged]


@needs_root
def test_forbidden(copied: str, ordinary_user: OrdinaryUser) -> None:
    """Somebody who may not read the snapshotter's database is told so once, and what meta.db says."""
    os.chmod(f"{copied}/{SNAPSHOTTER}", 0o700)
    code = (
        "from ovlctl.engines.containerd import store as containerd_store\n"
        "from ovlctl.engines.places import Place\n"
        "from ovlctl.engines.keepers import Engine\n"
        f"(store,) = containerd_store.read(Place(engine=Engine.CONTAINERD, root={copied!r}))\n"
        "print(len(store.layers), len(store.images), *(type(each).__name__ for each in store.troubles))\n"
    )
    done = ordinary_user.run([sys.executable, "-c", code])
    assert done.stdout.split() == ["0", "2", StoreForbidden.__name__], done.stderr


def test_thousand(scratch: str) -> None:
    """A store of many snapshots is read in a moment."""
    records: dict[bytes, Tree] = {}
    names: dict[str, str] = {}
    for number in range(1, 3001):
        parent = f"d/{number - 1}/k{number - 1:04}" if number % 50 != 1 else ""
        records[f"d/{number}/k{number:04}".encode()] = stored(number, parent=parent.encode())
        names[f"k{number:04}"] = f"d/{number}/k{number:04}"
    snapshots(scratch, records)
    metadata(scratch, d={b"snapshots": named(**names)})
    start = time.monotonic()
    store = read(scratch)
    assert len(store.layers) == 3000
    assert store.troubles == ()
    assert time.monotonic() - start < 5


def test_root_that_is_a_link(scratch: str) -> None:
    """A root that is a link itself is followed, as administrators move stores."""
    os.mkdir(f"{scratch}/real")
    snapshots(f"{scratch}/real", {b"d/1/a": stored(1)}, (1,))
    metadata(f"{scratch}/real", d={b"snapshots": named(a="d/1/a")})
    os.symlink("real", f"{scratch}/link")
    store = read(f"{scratch}/link")
    assert store.root == f"{scratch}/real"
    assert store == read(f"{scratch}/real")
