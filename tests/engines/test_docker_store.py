"""Docker's store, damaged and hostile: one trouble for each, and all the rest."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ovlctl.engines import gathering
from ovlctl.engines.docker.containers import containers
from ovlctl.engines.docker.store import drivers, read
from ovlctl.engines.files import Files
from ovlctl.engines.keepers import Engine
from ovlctl.engines.places import Place
from ovlctl.engines.values import Role, State
from ovlctl.errors import OvlError, StoreDamaged, StoreMisleads
from tests.capabilities import needs_mounting, needs_root
from tests.engines.docker_root import DockerRoot, cache_id
from tests.patience import PATIENCE, no_hang

if TYPE_CHECKING:
    from collections.abc import Callable

    from ovlctl.engines.values import Store
    from tests.conftest import MakeFs, OrdinaryUser


@pytest.fixture
def root(scratch: str) -> DockerRoot:
    """Two images, one of two layers, and a container on that one."""
    made = DockerRoot(f"{scratch}/docker")
    made.image("whole", "w")
    made.image("two", "a", "b")
    made.container("web", _chain(made, "b"))
    return made


def _chain(root: DockerRoot, seed: str) -> str:
    for name in os.listdir(f"{root.db}/sha256"):
        with open(f"{root.db}/sha256/{name}/cache-id", encoding="utf-8") as file:
            if file.read() == cache_id(seed):
                return f"sha256:{name}"
    raise AssertionError(seed)


def _read(root: DockerRoot) -> Store:
    (store,) = read(Place(engine=Engine.DOCKER, root=root.root))
    return store


def _of(root: DockerRoot, seed: str, file: str) -> str:
    return f"image/overlay2/layerdb/sha256/{_chain(root, seed)[7:]}/{file}"


def test_a_whole_one(root: DockerRoot) -> None:
    """Without damage there is no trouble, and everything is there."""
    store = _read(root)
    assert store.troubles == ()
    assert [len(store.chain(image.layer)) for image in sorted(store.images, key=lambda image: image.names)] == [2, 1]
    (container,) = store.containers
    chain = store.chain(container.layer)
    assert [layer.role for layer in chain] == [Role.WRITABLE, Role.INIT, Role.IMAGE, Role.IMAGE]


def _other(path: str, make: Callable[[str], None]) -> None:
    """Something of another kind in the place of a file or an empty directory."""
    (os.rmdir if os.path.isdir(path) else os.remove)(path)
    make(path)


def _linked_snapshots(root: DockerRoot) -> None:
    os.mkdir(f"{root.root}/buildkit")
    os.symlink("/etc/hostname", f"{root.root}/buildkit/snapshots.db")


def _replaced(path: str, target: str) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path)
    else:
        os.remove(path)
    os.symlink(target, path)


_DAMAGES: dict[str, tuple[Callable[[DockerRoot], Any], type[OvlError], set[str]]] = {
    # What is done, the error, and the directories of layers that are not told any more.
    "cache-id leads out": (lambda root: root.write(_of(root, "w", "cache-id"), "../../etc"), StoreDamaged, {"w"}),
    "cache-id is nothing": (lambda root: root.write(_of(root, "w", "cache-id"), ""), StoreDamaged, {"w"}),
    "cache-id has a null byte": (lambda root: root.write(_of(root, "w", "cache-id"), "a\0b"), StoreDamaged, {"w"}),
    "cache-id of another layer": (
        lambda root: root.write(_of(root, "w", "cache-id"), cache_id("web")),
        StoreDamaged,
        {"w"},
    ),
    "no cache-id": (lambda root: os.remove(f"{root.root}/{_of(root, 'w', 'cache-id')}"), StoreDamaged, {"w"}),
    "diff cut short": (lambda root: root.write(_of(root, "w", "diff"), "sha256:00"), StoreDamaged, {"w"}),
    "diff of another": (lambda root: root.write(_of(root, "w", "diff"), f"sha256:{'0' * 64}"), StoreDamaged, {"w"}),
    "parent is itself": (lambda root: root.write(_of(root, "w", "parent"), _chain(root, "w")), StoreDamaged, {"w"}),
    "parents in a circle": (
        lambda root: root.write(_of(root, "a", "parent"), _chain(root, "b")),
        StoreDamaged,
        {"a"},
    ),
    "parent is gone": (
        lambda root: shutil.rmtree(os.path.dirname(f"{root.root}/{_of(root, 'a', 'diff')}")),
        StoreDamaged,
        {"a"},
    ),
    "cache-id is a link": (
        lambda root: _replaced(f"{root.root}/{_of(root, 'w', 'cache-id')}", "/etc/hostname"),
        StoreMisleads,
        {"w"},
    ),
    "cache-id is a directory": (
        lambda root: _other(f"{root.root}/{_of(root, 'w', 'cache-id')}", os.mkdir),
        StoreDamaged,
        {"w"},
    ),
    "cache-id is a pipe": (
        lambda root: _other(f"{root.root}/{_of(root, 'w', 'cache-id')}", os.mkfifo),
        StoreDamaged,
        {"w"},
    ),
    "a layer is a link": (
        lambda root: _replaced(f"{root.root}/overlay2/{cache_id('w')}", "/etc"),
        StoreMisleads,
        {"w"},
    ),
    "a diff is a link": (
        lambda root: _replaced(f"{root.root}/overlay2/{cache_id('w')}/diff", "/etc"),
        StoreMisleads,
        {"w"},
    ),
    "a diff is a pipe": (
        lambda root: _other(f"{root.root}/overlay2/{cache_id('w')}/diff", os.mkfifo),
        StoreDamaged,
        {"w"},
    ),
    "a link leads out": (
        lambda root: root.write(f"overlay2/{cache_id('w')}/link", "../../../etc"),
        StoreDamaged,
        {"w"},
    ),
    "an entry is a link": (
        lambda root: _replaced(os.path.dirname(f"{root.root}/{_of(root, 'w', 'diff')}"), "/etc"),
        StoreMisleads,
        {"w"},
    ),
    "mount-id leads out": (
        lambda root: root.write(f"image/overlay2/layerdb/mounts/{_id(root)}/mount-id", "../../etc"),
        StoreDamaged,
        {"web", "web-init"},
    ),
    "mount without mount-id": (
        lambda root: os.remove(f"{root.db}/mounts/{_id(root)}/mount-id"),
        StoreDamaged,
        {"web", "web-init"},
    ),
    "all layers are a link": (
        lambda root: _replaced(f"{root.root}/overlay2", "/etc"),
        StoreMisleads,
        {"w", "a", "b", "web", "web-init"},
    ),
    "layerdb is a link": (
        lambda root: _replaced(f"{root.db}/sha256", "/etc"),
        StoreMisleads,
        {"w", "a", "b"},
    ),
    "repositories cut short": (
        lambda root: root.write("image/overlay2/repositories.json", '{"Repositories": {"two'),
        StoreDamaged,
        set(),
    ),
    "repositories of another kind": (
        lambda root: root.write("image/overlay2/repositories.json", '{"Repositories": [1]}'),
        StoreDamaged,
        set(),
    ),
    "an image changed": (
        lambda root: root.write(f"image/overlay2/imagedb/content/sha256/{'0' * 64}", "{}"),
        StoreDamaged,
        set(),
    ),
    "an image of no layers": (
        lambda root: root.configuration("odd", {"rootfs": {"diff_ids": ["../../etc"]}}),
        StoreDamaged,
        set(),
    ),
    "an image that is a list": (lambda root: root.configuration("odd", [[]]), StoreDamaged, set()),
    "containers is a link": (lambda root: _replaced(f"{root.root}/containers", "/etc"), StoreMisleads, set()),
    "a container is a link": (
        lambda root: _replaced(f"{root.root}/containers/{_id(root)}", "/etc"),
        StoreMisleads,
        set(),
    ),
    "a container cut short": (
        lambda root: root.write(f"containers/{_id(root)}/config.v2.json", '{"ID": "'),
        StoreDamaged,
        set(),
    ),
    "a container of another name": (
        lambda root: root.write(f"containers/{_id(root)}/config.v2.json", '{"ID": "x"}'),
        StoreDamaged,
        set(),
    ),
    "a container nested too deeply": (
        lambda root: root.write(f"containers/{_id(root)}/config.v2.json", "[" * 100_000),
        StoreDamaged,
        set(),
    ),
    "a container without configuration": (
        lambda root: os.remove(f"{root.root}/containers/{_id(root)}/config.v2.json"),
        StoreDamaged,
        set(),
    ),
    "snapshots of BuildKit are no database": (
        lambda root: root.write("buildkit/snapshots.db", b"\0" * 65536),
        StoreDamaged,
        set(),
    ),
    "snapshots of BuildKit are a link": (
        _linked_snapshots,
        StoreMisleads,
        set(),
    ),
}


def _id(root: DockerRoot) -> str:
    (name,) = os.listdir(f"{root.root}/containers")
    return name


@pytest.mark.parametrize("case", _DAMAGES)
def test_damage(root: DockerRoot, case: str) -> None:
    """One damage is one trouble, on one line, and what it does not touch is told as before."""
    damage, kind, lost = _DAMAGES[case]
    whole = {layer.name for layer in _read(root).layers}
    damage(root)
    store = _read(root)
    (trouble,) = store.troubles
    assert type(trouble) is kind
    assert "\n" not in trouble.message()
    names = {name.removesuffix("-init"): cache_id(name.removesuffix("-init")) for name in lost}
    gone = {names[name.removesuffix("-init")] + ("-init" if name.endswith("-init") else "") for name in lost}
    assert {layer.name for layer in store.layers} == whole - gone
    assert all(layer.diff.startswith(f"{os.path.realpath(root.root)}/overlay2/") for layer in store.layers)


def test_many_damages(root: DockerRoot) -> None:
    """Each of many damaged entries is a trouble, and none takes others with it."""
    root.write(_of(root, "w", "cache-id"), "../../etc")
    root.write(f"containers/{_id(root)}/config.v2.json", "no")
    root.write("image/overlay2/repositories.json", "no")
    store = _read(root)
    assert len(store.troubles) == 3
    assert len(store.images) == 2
    assert {layer.name for layer in store.layers} >= {cache_id("a"), cache_id("b"), cache_id("web")}


def test_a_removal_that_was_cut_short(root: DockerRoot) -> None:
    """A layer that Docker began to remove is known, and is for nothing."""
    at = os.path.dirname(f"{root.root}/{_of(root, 'w', 'diff')}")
    os.rename(at, f"{at}-1234567-removing")
    store = _read(root)
    assert store.troubles == ()
    found = store.by_name[cache_id("w")]
    assert (found.role, found.id) == (Role.OTHER, f"{os.path.basename(at)}-1234567-removing")


def test_what_no_image_and_no_container_has(root: DockerRoot) -> None:
    """A layer in the metadata that no image has is for nothing, unless a container stands on it."""
    lone = root.layer("lone")
    below = root.layer("below")
    root.container("orphaned", below)
    store = _read(root)
    assert (store.by_id[lone].role, store.by_id[below].role) == (Role.OTHER, Role.IMAGE)


def test_patience(root: DockerRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that is made while it is read is waited for, not for ever, and an old one not at all."""
    monkeypatch.setattr(gathering, "PATIENCE_S", PATIENCE)
    monkeypatch.setattr(gathering, "_FRESH_S", PATIENCE)
    path = f"{root.root}/containers/{_id(root)}/config.v2.json"
    os.rename(path, f"{root.root}/aside")
    timer = threading.Timer(0.2, os.rename, (f"{root.root}/aside", path))
    timer.start()
    store = _read(root)
    timer.join()
    assert ([container.name for container in store.containers], store.troubles) == (["web"], ())

    for number in range(20):
        os.mkdir(f"{root.root}/containers/{number}")
    for patience, fresh in ((0.2, PATIENCE), (10 * PATIENCE, 0.0)):
        monkeypatch.setattr(gathering, "PATIENCE_S", patience)
        monkeypatch.setattr(gathering, "_FRESH_S", fresh)
        with no_hang():
            assert len(_read(root).troubles) == 20


def test_stray_files(root: DockerRoot) -> None:
    """What engines take for no entry is none."""
    root.write("image/overlay2/layerdb/sha256/notes", "x")
    root.write("image/overlay2/layerdb/sha256/short/cache-id", "x")
    root.write("image/overlay2/layerdb/tmp/write-set-1/cache-id", "x")
    root.write("containers/notes", "x")
    assert _read(root).troubles == ()


def test_containers_of_another_driver(root: DockerRoot) -> None:
    """With containerd's store containers are recorded in the same place; they are told apart."""
    parent = _chain(root, "b")
    state = {"Running": True, "Paused": False, "Pid": 42, "StartedAt": "2026-11-23T09:16:30.974887565Z"}
    key = root.container("new", parent, Driver="overlayfs", State=state, Created="2026-11-23T09:16:30.5+01:00")
    assert [container.name for container in _read(root).containers] == ["web"]
    with Files(root.root) as files:
        found = containers(files)
    (container,) = found.of("overlayfs")
    assert (container.id, container.layer, container.state, container.pid) == (key, None, State.RUNNING, 42)
    assert container.created_ns == 1795421790_500_000_000
    assert found.troubles == ()


def test_other_drivers(scratch: str) -> None:
    """Data of other drivers is no store of overlay2, and is named; a place that is not there has nothing."""
    place = Place(engine=Engine.DOCKER, root=f"{scratch}/docker")
    assert (read(place), drivers(place)) == ((), ())
    os.makedirs(f"{scratch}/docker/image/vfs/layerdb")
    os.makedirs(f"{scratch}/docker/image/fuse-overlayfs")
    os.makedirs(f"{scratch}/docker/containers")
    assert (read(place), drivers(place)) == ((), ("fuse-overlayfs", "vfs"))


@needs_root
def test_nobody_else_may_read(root: DockerRoot, ordinary_user: OrdinaryUser) -> None:
    """A data root that is closed to whoever asks is one error."""
    os.chmod(root.root, 0o710)
    script = (
        "import sys; from ovlctl.engines.docker.store import read; from ovlctl.engines.places import Place;"
        "from ovlctl.engines.keepers import Engine; from ovlctl.errors import StoreForbidden\n"
        "try: read(Place(engine=Engine.DOCKER, root=sys.argv[1]))\n"
        "except StoreForbidden as error: print(error)"
    )
    done = ordinary_user.run([sys.executable, "-c", script, root.root])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("OVL-E173")


@needs_mounting
def test_ten_thousand_entries(make_fs: MakeFs) -> None:
    """A store of 10,000 layers is read; a chain of a thousand is no deep recursion."""
    root = DockerRoot(f"{make_fs('tmpfs', 512 << 20)}/docker")
    parent: str | None = None
    for number in range(10_000):
        parent = root.layer(str(number), parent if number % 1000 else None, directory=False)
    with no_hang():
        store = _read(root)
    assert len(store.layers) == 10_000
    assert len(store.chain(parent)) == 1000
    assert store.troubles == ()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["ID", "Name", "State", "Config", "Driver", "Labels", "Running", "Pid", "Repositories", "Created"]
            )
            | st.text(max_size=3),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=_JSON, about=st.sampled_from(["container", "image", "repositories"]))
def test_any_document(root: DockerRoot, document: Any, about: str) -> None:
    """Whatever JSON stands in a file, there is an answer and no exception."""
    if about == "container":
        said = document | {"ID": _id(root)} if isinstance(document, dict) else document
        root.write(f"containers/{_id(root)}/config.v2.json", json.dumps(said))
    elif about == "image":
        root.configuration("odd", {"rootfs": document, "history": document, "created": document})
    else:
        root.write("image/overlay2/repositories.json", json.dumps(document))
    store = _read(root)
    assert {layer.name for layer in store.layers} >= {cache_id("a"), cache_id("b"), cache_id("web")}
