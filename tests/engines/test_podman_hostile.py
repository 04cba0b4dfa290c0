"""Stores of Podman's that are damaged, or made by somebody who means harm: an error for each, and all else is told."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ovlctl.engines.values import State
from ovlctl.errors import OvlError, StoreDamaged, StoreForbidden, StoreMisleads
from tests.capabilities import needs_root
from tests.engines.podman_trees import TABLES, Tree, layer, libpod

if TYPE_CHECKING:
    from tests.conftest import OrdinaryUser

_ID = "c" * 64
_BAD_IDS = (
    "",
    ".",
    "..",
    "../../etc",
    "/etc",
    "a/b",
    "nul\0",
    "x" * 300,
    "\ud800",
    None,
    7,
    ["l"],
    {"a": 1},
    "l",
    "staging",
)


def _tree(scratch: str) -> Tree:
    image = {"id": "1" * 64, "names": ["localhost/one:1"], "layer": "base"}
    container = {"id": _ID, "names": ["one"], "layer": "up", "image": "1" * 64}
    return Tree(f"{scratch}/root", [layer("base"), layer("up", "base")], [image], [container]).write()


@pytest.mark.parametrize("name", ["layers", "images", "containers"])
@pytest.mark.parametrize("content", [b"", b"[{", b"\xff\xfe", b'{"id": 1}', b"[" * 100_000, b"7"])
def test_a_document_that_is_none(scratch: str, name: str, content: bytes) -> None:
    """One error that names it; the other documents are told."""
    tree = _tree(scratch)
    path = tree.put(f"overlay-{name}/{name}.json", content)
    store = tree.read()
    assert [(type(error), error.paths[0]) for error in store.troubles] == [(StoreDamaged, path)]
    assert bool(store.layers) == (name != "layers")
    assert bool(store.images) == (name != "images")
    assert bool(store.containers) == (name != "containers")


@pytest.mark.parametrize("kind", ["layers", "images", "containers"])
def test_entries_whose_id_is_no_name(scratch: str, kind: str) -> None:
    """An error for each, and nothing of them: an id becomes a part of a path."""
    tree = _tree(scratch)
    bad = _BAD_IDS if kind == "layers" else _BAD_IDS[:-2]
    getattr(tree, kind)[:0] = [{"id": id_} for id_ in bad]
    store = tree.write().read()
    assert len(store.troubles) == len(bad)
    assert (len(store.layers), len(store.images), len(store.containers)) == (2, 1, 1)


def test_entries_that_are_no_objects_or_come_twice(scratch: str) -> None:
    """The first of two is told."""
    tree = _tree(scratch)
    tree.layers += [7, "up", None, layer("up")]
    tree.images += [{"id": "1" * 64, "names": ["other"]}]
    tree.containers += [[], {"id": _ID, "names": ["other"]}]
    store = tree.write().read()
    assert len(store.troubles) == 5
    assert [one.id for one in store.chain("up")] == ["up", "base"]
    assert [one.names for one in store.images] == [("localhost/one:1",)]
    assert [one.name for one in store.containers] == ["one"]


def test_layers_that_lie_on_themselves(scratch: str) -> None:
    """A circle is one error; layers that are well are told."""
    tree = _tree(scratch)
    tree.layers += [layer("a", "b"), layer("b", "a"), layer("self", "self"), layer("lone", "gone")]
    store = tree.write().read()
    assert [one.id for one in store.layers] == ["base", "up", "lone"]
    assert len(store.troubles) == 2


@pytest.mark.parametrize("part", ["", "/diff", "/work", "/merged"])
def test_a_layer_that_leads_elsewhere_is_none(scratch: str, part: str) -> None:
    """A link to /etc in the place of a layer, or of a part: one error, and what lies on it ends there."""
    tree = _tree(scratch)
    os.rename(f"{tree.root}/overlay/base", f"{tree.root}/aside")
    if part:
        os.mkdir(f"{tree.root}/overlay/base")
    os.symlink("/etc", f"{tree.root}/overlay/base{part}")
    store = tree.read()
    assert [type(error) for error in store.troubles] == [StoreMisleads]
    assert [one.id for one in store.chain("up")] == ["up"]


@pytest.mark.parametrize("name", ["overlay", "overlay-layers", "overlay-layers/layers.json", "overlay-images"])
def test_a_part_of_the_store_that_leads_elsewhere(scratch: str, name: str) -> None:
    """Nothing behind the link is read."""
    tree = _tree(scratch)
    os.rename(f"{tree.root}/{name}", f"{scratch}/aside")
    os.symlink(f"{scratch}/aside", f"{tree.root}/{name}")
    store = tree.read()
    assert {type(error) for error in store.troubles} == {StoreMisleads}
    assert bool(store.images) == (name != "overlay-images")
    assert not store.layers or name == "overlay-images"


@pytest.mark.parametrize("link", ["../../../etc", "a/b", "", "x" * 300])
def test_a_short_link_that_is_no_name(scratch: str, link: str) -> None:
    """The layer is told without it."""
    tree = _tree(scratch)
    tree.put("overlay/up/link", link)
    store = tree.read()
    assert [type(error) for error in store.troubles] == [StoreDamaged]
    assert [one.link for one in store.chain("up")] == [None, "LINK0"]


@pytest.mark.parametrize("kind", ["pipe", "device", "directory"])
def test_what_is_no_regular_file_is_not_opened(scratch: str, kind: str) -> None:
    """Nothing waits, nothing is read from a device."""
    tree = _tree(scratch)
    path = f"{tree.root}/overlay-images/images.json"
    os.unlink(path)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        os.mkdir(path)
    else:
        os.symlink("/dev/zero", path)
    store = tree.read()
    assert len(store.troubles) == 1
    assert store.layers
    assert store.containers


@pytest.mark.parametrize("metadata", ["{", "7", "[]", '{"name": 7, "pod-id": []}', 8, None, "[" * 100_000])
def test_metadata_that_says_nothing(scratch: str, metadata: Any) -> None:
    """The container is told by what else is known."""
    tree = _tree(scratch)
    tree.containers[0]["metadata"] = metadata
    assert [one.name for one in tree.write().read().containers] == ["one"]


@pytest.mark.parametrize("name", ["libpod/bolt_state.db", "db.sql"])
@pytest.mark.parametrize("content", [b"", b"x", b"SQLite format 3\0" + b"\xff" * 5000, bytes(70_000)])
def test_a_database_that_is_none(scratch: str, name: str, content: bytes) -> None:
    """One error; names and layers are known without."""
    tree = _tree(scratch)
    path = tree.put(name, content)
    store = tree.read()
    assert [(type(error), error.paths[0]) for error in store.troubles] == [(StoreDamaged, path)]
    assert [(one.name, one.state) for one in store.containers] == [("one", State.UNKNOWN)]


@pytest.mark.parametrize("config", ["", "{", "[]", "null", '{"createdTime": 7, "name": [], "pod": {}}'])
def test_a_record_that_says_nothing(scratch: str, config: str) -> None:
    """A document in the database that is none: the others count."""
    tree = _tree(scratch)
    path = f"{tree.root}/db.sql"
    both = [{"id": _ID, "name": "one"}, {"id": "d" * 64, "name": "two", "rootfs": "/x"}]
    libpod(path, pods={}, containers=both, states=[{"state": 3, "pid": -4}, {"state": 99, "pid": 10**30}])
    with sqlite3.connect(path) as database:
        database.execute("UPDATE ContainerConfig SET JSON = ? WHERE ID = ?", (config, _ID))
    store = tree.read()
    assert [(one.name, one.pid) for one in store.containers] == [("one", None), ("two", None)]
    assert len(store.troubles) == (0 if "created" in config else 1)


_BOMB = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT n AS ID, n AS Name FROM t"


@pytest.mark.parametrize(
    "schema",
    [
        f"DROP TABLE PodConfig; CREATE VIEW PodConfig AS {_BOMB}",
        "DROP TABLE PodConfig; CREATE VIEW PodConfig AS SELECT ID, Name FROM ContainerConfig",
        "DROP TABLE PodConfig; CREATE VIEW PodConfig AS SELECT load_extension('x') AS ID, 1 AS Name",
        "DROP TABLE PodConfig; CREATE TABLE PodConfig(ID TEXT, Name TEXT AS (hex(zeroblob(100000000))))",
        "DROP TABLE PodConfig; CREATE TABLE PodConfig(ID TEXT)",
        "DROP TABLE PodConfig",
    ],
)
def test_nothing_of_a_schema_runs(scratch: str, schema: str) -> None:
    """Views, functions in columns, tables that are others: one error, at once."""
    tree = _tree(scratch)
    path = f"{tree.root}/db.sql"
    with sqlite3.connect(path) as database:
        database.executescript(TABLES)
        database.executescript(schema)
        if "hex(" in schema:
            database.execute("INSERT INTO PodConfig(ID) VALUES ('x')")
    store = tree.read()
    assert [(type(error), error.paths[0]) for error in store.troubles] == [(StoreDamaged, path)]
    assert store.containers


def test_a_journal_that_names_another_file_removes_nothing(scratch: str) -> None:
    """SQLite removes the file that a rollback journal names as its super-journal; here it is not even read."""
    tree = _tree(scratch)
    libpod(f"{tree.root}/db.sql", pods={}, containers=[], states=[])
    victim = Path(f"{scratch}/victim")
    victim.write_bytes(b"\0")
    name = os.fsencode(str(victim))
    header = bytes.fromhex("d9d505f920a163d7") + bytes(20) + bytes(484)
    end = len(name).to_bytes(4, "big") + (sum(name) & 0xFFFFFFFF).to_bytes(4, "big") + header[:8]
    tree.put("db.sql-journal", header + bytes(4) + name + end)
    store = tree.read()
    assert victim.exists()
    assert [error.paths for error in store.troubles] == [(f"{tree.root}/db.sql-journal",)]


@needs_root
def test_a_store_that_may_not_be_read(scratch: str, ordinary_user: OrdinaryUser) -> None:
    """Somebody else's: one error of permissions for each document, and no traceback."""
    tree = _tree(scratch)
    os.chmod(f"{tree.root}/overlay-images", 0o700)
    done = ordinary_user.run([sys.executable, "-c", _READ, tree.root])
    assert done.stdout.split() == [StoreForbidden.code, "1"], done.stderr


_READ = """
import sys
from ovlctl.engines.places import Place
from ovlctl.engines.podman.store import read
from ovlctl.engines.keepers import Engine
(store,) = read(Place(engine=Engine.PODMAN, root=sys.argv[1]))
print(*(error.code for error in store.troubles), len(store.containers))
"""

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["base", "up", "..", _ID]),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=3), inside, max_size=3),
    max_leaves=6,
)
_KEYS = [
    *("id", "names", "parent", "created", "diff-digest", "diff-size", "flags", "layer", "image", "metadata"),
    *("mapped-layers", "big-data-names"),
]
_ENTRIES = st.lists(st.dictionaries(st.sampled_from(_KEYS), _JSON, max_size=6) | _JSON, max_size=4)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(layers=_ENTRIES, images=_ENTRIES, containers=_ENTRIES)
def test_no_document_is_too_strange(scratch: str, layers: list[Any], images: list[Any], containers: list[Any]) -> None:
    """Whatever values stand where: a store comes of it, its values have the types they say, and no path leads out."""
    tree = Tree(f"{scratch}/root", layers, images, containers)
    for kind in ("layers", "images", "containers"):
        tree.put(f"overlay-{kind}/{kind}.json", json.dumps(getattr(tree, kind)))
    store = tree.read()
    assert all(isinstance(error, OvlError) for error in store.troubles)
    for one in store.layers:
        assert os.path.dirname(os.path.normpath(one.directory)) == store.places
        assert isinstance(one.parent, str | None)
        assert isinstance(one.size, int | None)
    for image in store.images:
        assert all(isinstance(name, str) for name in image.names)
    for container in store.containers:
        assert isinstance(container.name, str)
        store.chain(container.layer)
