"""What is said of a driver rests on what is there: other drivers, stores that are not in use, options of mounts."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from ovlctl.kernel.mount import MNT, mount, umount2
from tests.capabilities import needs_fs, needs_overlay, needs_root
from tests.docker import Daemon
from tests.schemas import valid

if TYPE_CHECKING:
    from tests.conftest import Cli, MakeFs
    from tests.containerd import Containerd
    from tests.engines.live.docker import DockerEngine

pytestmark = [needs_root, needs_overlay]


def _driver(cli: Cli, engine: str = "docker") -> dict[str, Any]:
    (found,) = valid("driver", cli("driver", engine, "--json").json)["data"]["engines"]
    told: dict[str, Any] = found
    return told


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, scratch: str) -> str:
    """No daemon is in sight; the root to look at goes into the environment."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{scratch}/nobody.sock")
    monkeypatch.setenv("OVLCTL_ENGINE_ROOT", f"{scratch}/data")
    return f"{scratch}/data"


def test_another_driver(cli: Cli, scratch: str, alone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker with vfs is told not to be fit, with what changes it and what that costs, whether it runs or not."""
    daemon = Daemon(scratch, driver="vfs")
    daemon.start()
    try:
        monkeypatch.setenv("DOCKER_HOST", daemon.client.host)
        up = _driver(cli)
        daemon.stop()
        down = _driver(cli)
    finally:
        daemon.end()
    for told in (up, down):
        assert (told["driver"], told["verdict"]["ok"]) == ("vfs", False)
        assert "copies every layer whole" in told["verdict"]["text"]
        assert "daemon.json" in told["verdict"]["hints"][0]
    assert (up["reachable"], down["reachable"]) == (True, False)


def test_data_left_behind(cli: Cli, docker_engine: DockerEngine, containerd_engine: Containerd, alone: str) -> None:
    """Of two stores in one root the one that was written to last is in use; the other's data are left behind."""
    with docker_engine.down(), containerd_engine.stopped():
        subprocess.run(["cp", "-ax", containerd_engine.docker, alone], check=True)
        for name in ("overlay2", "image"):
            subprocess.run(["cp", "-a", f"{docker_engine.daemon.data}/{name}", alone], check=True)
    told = _driver(cli)
    (left,) = told["left_behind"]
    assert {told["store"], left["store"]} == {"graph-driver", "snapshotter"}
    assert left["layers"] >= 3
    assert left["bytes"] > 1 << 20
    assert any("store that is not in use" in hint and left["directory"] in hint for hint in told["verdict"]["hints"])
    # Both are read, by name and by path.
    assert cli("tree", "docker:ovl/web:1").status == 0
    assert cli("tree", "docker:busy").status == 0


def test_options_in_force(cli: Cli, docker_engine: DockerEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options are those that a mount really has; a volatile one is no place for data."""
    monkeypatch.setenv("DOCKER_HOST", docker_engine.daemon.client.host)
    monkeypatch.setenv("OVLCTL_ENGINE_ROOT", docker_engine.daemon.data)
    docker_engine.docker("create", "--network=none", "--name", "ovl-volatile", docker_engine.IMAGE, "/bin/sh")
    try:
        data = docker_engine.inspect("ovl-volatile")["GraphDriver"]["Data"]
        words = f"lowerdir={data['LowerDir']},upperdir={data['UpperDir']},workdir={data['WorkDir']},volatile"
        os.makedirs(data["MergedDir"], exist_ok=True)
        mount("overlay", data["MergedDir"], "overlay", data=words.encode())
        try:
            told = _driver(cli)
        finally:
            umount2(data["MergedDir"], MNT(0))
            shutil.rmtree(f"{data['WorkDir']}/work/incompat", ignore_errors=True)
        shown = {each["option"] for each in told["mount_options"]}
        assert shown & {"volatile", "fsync=volatile"}
        assert told["verdict"]["ok"] is False
        assert "volatile" in told["verdict"]["text"]
    finally:
        docker_engine.docker("rm", "-f", "ovl-volatile")
    assert _driver(cli)["verdict"]["ok"] is True


@needs_fs("xfs")
def test_where_files_share_extents(cli: Cli, docker_engine: DockerEngine, make_fs: MakeFs, alone: str) -> None:
    """The advice about large files is given where a change really copies them: the directory itself is tried."""
    place = make_fs("xfs", 400 << 20)
    os.symlink(f"{place}/data", alone)
    with docker_engine.down():
        subprocess.run(["cp", "-a", docker_engine.daemon.data, f"{place}/data"], check=True)
    before = {*os.listdir(f"{place}/data")}
    upper = cli("driver", "container", docker_engine.STOPPED, "--json").data
    words = f"lowerdir={':'.join(upper['lowers'])},upperdir={upper['upper']},workdir={upper['work']}"
    os.makedirs(upper["merged"], exist_ok=True)
    # What is mounted here is this machine's, and may be tried.
    mount("overlay", upper["merged"], "overlay", data=words.encode())
    try:
        told = _driver(cli)
    finally:
        umount2(upper["merged"], MNT(0))
    assert told["backing_fs"] == "xfs"
    assert not any("no reflinks" in hint for hint in told["verdict"]["hints"])
    assert {*os.listdir(f"{place}/data")} == before
