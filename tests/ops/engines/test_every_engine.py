"""What ovlctl says of an engine's things is what the engine says, and the same whether its daemon runs or not."""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from ovlctl.engines.keepers import Engine
from ovlctl.kernel import mounts
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from tests.capabilities import needs_overlay, needs_root
from tests.schemas import valid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.conftest import Cli
    from tests.ops.engines.cases import Case

pytestmark = [needs_root, needs_overlay]


@pytest.fixture(params=["up", "down"])
def daemon(request: pytest.FixtureRequest, case: Case) -> Iterator[str]:
    """With the daemon running, and without."""
    states: dict[str, Callable[[], AbstractContextManager[object]]] = {"up": nullcontext, "down": case.down}
    # What only the engine can tell is asked before.
    with states[request.param]():
        yield request.param


def _graph(case: Case, name: str) -> dict[str, str]:
    return dict(case.graph(name))


def test_driver(case: Case, cli: Cli) -> None:
    """The driver, its store and its file system are told without the daemon as with it; with it the version, too."""

    def told() -> tuple[dict[str, Any], dict[str, Any]]:
        done = cli("driver", str(case.engine), "--json")
        (engine,) = valid("driver", done.json)["data"]["engines"]
        own = {key: engine.pop(key) for key in ("endpoint", "endpoint_from", "reachable", "silence", "version")}
        return engine, own

    up, daemon = told()
    with case.down():
        down, silent = told()
    assert up == down
    assert (up["driver"], up["root"]) == (case.driver, case.root)
    assert up["backing_fs"] == mounts.mount_at(case.root).fs_type
    assert up["supports_d_type"] is True
    assert up["verdict"]["ok"] is True
    assert not up["rootless"]
    assert up["mounted"] >= 1
    assert up["containers"] >= 2
    assert up["images"] >= 1
    assert (daemon["reachable"], silent["reachable"]) == (case.answers, False)
    assert bool(daemon["version"]) == case.answers


@pytest.mark.parametrize("which", ["running", "stopped"])
def test_graph_driver(case: Case, cli: Cli, which: str) -> None:
    """--graphdriver is what the engine tells, or told, as GraphDriver, daemon or not."""
    name, identity = getattr(case, which)
    engine = _graph(case, identity)
    for state in (nullcontext, case.down):
        with state():
            done = cli("driver", "container", f"{case.engine}:{name}", "--graphdriver")
        (document,) = done.json
        told = document["GraphDriver"]["Data"]
        assert document["Id"] == identity
        assert {key: told[key] for key in ("LowerDir", "UpperDir", "WorkDir")} == {
            key: engine[key] for key in ("LowerDir", "UpperDir", "WorkDir")
        }
        if "MergedDir" in engine:
            assert told["MergedDir"] == engine["MergedDir"]


def test_container(case: Case, cli: Cli, daemon: str) -> None:
    """A container has its layers, topmost first, and is mounted while it runs."""
    name, identity = case.running
    data = valid("driver", cli("driver", "container", name, "--json").json)["data"]
    assert (data["id"], data["mounted"], data["kind"]) == (identity, True, "container")
    assert data["layers"][0]["dir"] == data["upper"]
    assert [layer["dir"] for layer in data["layers"][1:]] == data["lowers"]
    assert os.path.samestat(os.stat(data["reached"]), os.stat(f"/proc/{case.pid}/root"))
    assert not cli("driver", "container", case.stopped[0], "--json").data["mounted"]


def test_image(case: Case, cli: Cli, daemon: str) -> None:
    """Every layer of an image has a digest and a size."""
    data = valid("driver", cli("driver", "image", case.image, "--json").json)["data"]
    assert data["kind"] == "image"
    assert len(data["layers"]) == 3
    assert all(layer["digest"].startswith("sha256:") and layer["size"] > 0 for layer in data["layers"])
    done = cli("driver", "container", case.image)
    assert done.status == 3
    assert "is no container of" in done.stderr
    assert "it is an image: `ovlctl driver image " in done.stderr


def _starts(case: Case, data: dict[str, Any]) -> dict[str, str]:
    own = os.path.basename(os.path.dirname(data["upper"]))
    (mount_id,) = {mount.mount_id for mount in mounts.from_mountinfo(None, case.pid) if mount.mount_point == "/"}
    starts = {
        "path in the upper": os.path.join(data["upper"], "."),
        "path in the merged view": f"{data['reached']}/.",
        "path with a slash at its end": data["upper"] + "/",
        "root of the process": f"/proc/{case.pid}/root",
        "path of the process": f"/proc/{case.pid}/root/bin/busybox",
        "pid": f"pid:{case.pid}",
        "mount": f"mount:{mount_id}",
        "name": f"{case.engine}:{case.running[0]}",
        "id": case.running[1],
    }
    if own.isdecimal():
        starts["snapshot"] = f"snapshot:{own}"
    else:
        starts |= {"layer": own, "beginning of a layer": own[:12]}
        with open(os.path.join(os.path.dirname(data["upper"]), "link"), encoding="ascii") as file:
            starts["short link"] = file.read()
        starts["short link of the mount table"] = f"l/{starts['short link']}"
        starts["path of a short link"] = os.path.join(
            os.path.dirname(os.path.dirname(data["upper"])), "l", starts["short link"]
        )
    return starts


def test_owner(case: Case, cli: Cli, daemon: str) -> None:
    """Whatever leads to a container's own layer, it is that container's, and it runs."""
    data = cli("driver", "container", case.running[0], "--json").data
    for what, word in _starts(case, data).items():
        done = cli("owner", word, "--json")
        assert done.status == 0, (what, done.stderr)
        owner = valid("owner", done.json)["data"]
        assert (owner["kind"], owner["id"], owner["running"], owner["role"]) == (
            "container",
            case.running[1],
            True,
            "writable",
        ), what
        assert owner["dir"] == os.path.dirname(data["upper"])
        assert any(
            f"mount {mounts.mount_at(data['reached']).mount_id}" in each or str(case.pid) in each
            for each in owner["evidence"]
        )


def test_owner_of_others(case: Case, cli: Cli, daemon: str) -> None:
    """A stopped container's layer and an image's have owners, too; the latter knows the containers that stand on it."""
    upper = cli("driver", "container", case.stopped[0], "--json").data["upper"]
    owner = cli("owner", upper, "--json").data
    assert (owner["kind"], owner["id"], owner["running"]) == ("container", case.stopped[1], False)
    top = cli("driver", "image", case.image, "--json").data
    owner = valid("owner", cli("owner", top["layers"][0]["dir"], "--json").json)["data"]
    assert (owner["kind"], owner["id"], owner["role"]) == ("image", top["id"], "image")
    assert case.running[1] in {user["id"] for user in owner["users"]}


def test_nobody_s(case: Case, cli: Cli) -> None:
    """Of what no engine has it is said what was looked for, and which path of another namespace has no name here."""
    for word, why in {
        "pid:1": "process 1 is in no overlay",
        "pid:4194305": "no process 4194305",
        "mount:0": "has a mount 0",
        f"/proc/{case.pid}/root/proc/version": "has no name in this mount namespace",
        case.root + "/": None,
    }.items():
        done = cli("owner", word)
        assert (done.status, why is None or why in done.stderr) == (0 if why is None else 3, True), done.stderr


def test_what_is_not_mounted_cannot_be_entered(case: Case, cli: Cli) -> None:
    """A stopped container has no view to run a command in; its topmost layer is named."""
    upper = cli("driver", "container", case.stopped[0], "--json").data["upper"]
    done = cli("exec", f"{case.engine}:{case.stopped[0]}", "--", "true")
    assert (done.status, done.stderr.count(upper), "its engine mounts it" in done.stderr) == (3, 1, True), done.stderr


def test_stacks(case: Case, cli: Cli, daemon: str) -> None:
    """Verbs that read take containers, mounted or not, and images by name."""
    running, stopped = (f"{case.engine}:{name}" for name in (case.running[0], case.stopped[0]))
    image = f"{case.engine}:{case.image}"
    told = cli("explain", running, "bin/busybox", "--json")
    assert told.status == 0, told.stderr
    assert cli("explain", stopped, "bin/busybox", "--json").status == 0
    assert (
        cli("show", running, "--json").data["upper"]
        == cli("driver", "container", case.running[0], "--json").data["upper"]
    )
    for word in (running, stopped, image):
        listed = {entry["path"] for entry in cli("tree", word, "--json").data}
        assert "bin/busybox" in listed, word
        assert cli("du", word, "--json").status == 0
    size = os.stat("/bin/busybox").st_size
    assert cli("find", image, "busybox", "--json").data[0]["size"] == size
    held = cli("who", running, "--json")
    assert case.pid in {process["pid"] for group in held.data["namespaces"] for process in group["processes"]}


def test_diff(case: Case, cli: Cli) -> None:
    """What a container changed is what the engine says, daemon or not.

    Podman leaves out directories that only lead to what was changed in place; Docker, whose format this is, does not.
    """
    if case.changes is None:
        pytest.skip(f"{case.engine} has no diff of its own with this store")
    for name, _ in (case.running, case.stopped):
        engine = case.changes(name)
        for state in (nullcontext, case.down):
            with state():
                done = cli("diff", f"{case.engine}:{name}", "--format", case.format)
            assert engine
            assert sorted(done.stdout.splitlines()) == sorted(engine), name


def test_no_orphans(case: Case, cli: Cli, daemon: str) -> None:
    """In a store with nothing wrong there are none, but for a snapshot that was left on purpose."""
    done = cli("orphans", str(case.engine), "--json")
    found = valid("orphans", done.json)["data"]
    left = [each for each in found if each["id"] != "default/idle"]
    assert left == []
    # Whoever looks at a containerd alone does not see the Docker that keeps its images there.
    assert done.status == (6 if case.engine is Engine.CONTAINERD else 0)


@pytest.mark.parametrize("by", ["container", "image", "layer", "pod"])
def test_what_is_held_adds_up(case: Case, cli: Cli, by: str) -> None:
    """All that is told adds up to what the store takes, and that is what GNU du says."""
    done = cli("du", str(case.engine), "--by", by, "--json")
    (store,) = valid("du", done.json)["data"]["stores"]
    parts = ("exclusive", "shared", "unused", "build_cache", "unknown", "packed", "volumes", "rest")
    assert sum(store[part] for part in parts) == store["total"]
    (layers,) = cli("du", str(case.engine), "--by", "layer", "--json").data["stores"]
    known = {row["dir"] for row in layers["rows"]}
    places = os.path.dirname(next(iter(known)))
    # What others keep in the same containerd is theirs.
    others = [each.path for each in os.scandir(places) if each.name.isdecimal() and each.path not in known]
    assert store["total"] == _gnu_du(case.root) - sum(map(_gnu_du, others))


def _gnu_du(directory: str) -> int:
    # Of what lies under the mounts in there, as it takes room, too.
    with tempfile.TemporaryDirectory() as point:
        mount(directory, point, None, MS.BIND)
        try:
            done = subprocess.run(["du", "-sxB1", point], capture_output=True, text=True, check=True)
        finally:
            umount2(point, MNT.DETACH)
    return int(done.stdout.split()[0])
