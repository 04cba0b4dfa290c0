"""What is wrong in a store is found, each thing once and nothing else; and the command that is told mends it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from ovlctl.kernel.mount import MNT, mount, umount2
from tests.capabilities import needs_overlay, needs_root
from tests.patience import eventually
from tests.schemas import valid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Cli
    from tests.containerd import Containerd
    from tests.engines.live.docker import DockerEngine
    from tests.podman import Podman

pytestmark = [needs_root, needs_overlay]


@pytest.fixture
def docker(docker_engine: DockerEngine, monkeypatch: pytest.MonkeyPatch) -> DockerEngine:
    """Docker, and nothing else in sight."""
    monkeypatch.setenv("OVLCTL_ENGINE_ROOT", docker_engine.daemon.data)
    monkeypatch.setenv("DOCKER_HOST", docker_engine.daemon.client.host)
    return docker_engine


@pytest.fixture
def podman(podman_engine: Podman, monkeypatch: pytest.MonkeyPatch) -> Podman:
    """Podman, and nothing else in sight."""
    monkeypatch.setenv("OVLCTL_ENGINE_ROOT", podman_engine.root)
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", podman_engine.environment["CONTAINERS_STORAGE_CONF"])
    return podman_engine


@pytest.fixture
def containerd(containerd_engine: Containerd, monkeypatch: pytest.MonkeyPatch) -> Containerd:
    """containerd, with the Docker that has its images there, and nothing else in sight."""
    monkeypatch.setenv("OVLCTL_ENGINE_ROOT", containerd_engine.docker)
    return containerd_engine


def _found(cli: Cli, *engines: str) -> list[dict[str, Any]]:
    done = cli("orphans", *engines, "--json")
    assert done.status == 0, done.stderr
    found: list[dict[str, Any]] = valid("orphans", done.json)["data"]
    # What the fixture leaves on purpose.
    return [each for each in found if each["id"] != "default/idle"]


def _one(cli: Cli, *engines: str) -> dict[str, Any]:
    (found,) = _found(cli, *engines)
    assert found["evidence"]
    return found


def _run(command: str, **environment: str) -> None:
    subprocess.run(["sh", "-c", command], check=True, env={**os.environ, **environment}, capture_output=True)


def _upper(cli: Cli, name: str) -> str:
    upper: str = cli("driver", "container", name, "--json").data["upper"]
    return upper


def _layer(upper: str) -> str:
    return os.path.dirname(upper)


@contextmanager
def _created(docker: DockerEngine, name: str) -> Iterator[str]:
    # A container that a test may do anything to.
    identity = docker.docker("create", "--network=none", "--name", name, docker.IMAGE, "/bin/sh")
    try:
        yield identity
    finally:
        with suppress(AssertionError):
            docker.docker("rm", "-f", name)


def test_a_directory_put_back(docker: DockerEngine, cli: Cli, scratch: str) -> None:
    """The directory of a container that was removed is known to nobody; what is told removes it."""
    with _created(docker, "ovl-gone"):
        layer = _layer(_upper(cli, "ovl-gone"))
        shutil.copytree(layer, f"{scratch}/kept", symlinks=True)
    shutil.move(f"{scratch}/kept", layer)
    try:
        with open(f"{layer}/diff/large", "wb") as file:
            file.write(b"x" * 100_000)
        found = _one(cli)
        assert (found["what"], found["id"], found["dir"]) == ("unknown-directory", os.path.basename(layer), layer)
        assert found["bytes"] >= 100_000
        assert 0 <= found["age_s"] < 600
        assert found["stop_engine_first"]
        owner = cli("owner", f"{layer}/diff/large", "--json")
        assert (owner.status, owner.error["code"]) == (3, "OVL-E177")
        assert "orphans" in owner.error["hint"]
        _run(found["remove"])
    finally:
        shutil.rmtree(layer, ignore_errors=True)
    assert _found(cli) == []


def test_a_directory_that_is_gone(docker: DockerEngine, cli: Cli, scratch: str) -> None:
    """A layer that metadata know and that is not there is told with its container, whose removal is the remedy."""
    with _created(docker, "ovl-empty") as identity:
        layer = _layer(_upper(cli, "ovl-empty"))
        shutil.move(layer, f"{scratch}/away")
        try:
            found = _one(cli)
            assert (found["what"], found["dir"], found["bytes"]) == ("missing-directory", layer, None)
            assert found["remove"] == f"docker rm -f {identity}"
            tree = cli("tree", "docker:ovl-empty")
            assert tree.status == 3
            assert "is not there" in tree.stderr
        finally:
            shutil.move(f"{scratch}/away", layer)
    assert _found(cli) == []


def test_a_link_to_nothing(docker: DockerEngine, cli: Cli) -> None:
    """A short link to no layer is told, and where it leads; it is not followed."""
    link = f"{docker.daemon.data}/overlay2/l/AAAAAAAAAAAAAAAAAAAAAAAAAA"
    os.symlink("../../../../../../../../etc/diff", link)
    try:
        found = _one(cli)
        assert (found["what"], found["dir"], found["bytes"]) == ("dangling-link", link, 0)
        assert "etc/diff" in found["evidence"][0]
        _run(found["remove"])
    finally:
        with suppress(FileNotFoundError):
            os.unlink(link)
    assert _found(cli) == []


def test_a_leaked_mount(docker: DockerEngine, cli: Cli) -> None:
    """What is mounted for a container that does not run is leaked, in whatever mount namespace it is."""
    with _created(docker, "ovl-leak") as identity:
        data = docker.inspect("ovl-leak")["GraphDriver"]["Data"]
        words = f"lowerdir={data['LowerDir']},upperdir={data['UpperDir']},workdir={data['WorkDir']}"
        merged = data["MergedDir"]
        os.makedirs(merged, exist_ok=True)
        mount("overlay", merged, "overlay", data=words.encode())
        keeper = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sleep", "1000"])
        try:
            assert eventually(lambda: os.readlink(f"/proc/{keeper.pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt"))
            found = _one(cli)
            assert (found["what"], found["dir"]) == ("leaked-mount", merged)
            assert identity in found["evidence"][0]
            _run(found["remove"])
            # It lives on in the other namespace.
            found = _one(cli)
            assert found["what"] == "leaked-mount"
            assert found["remove"].startswith("nsenter")
            _run(found["remove"])
            assert _found(cli) == []
        finally:
            keeper.kill()
            keeper.wait()
            with suppress(OSError):
                umount2(merged, MNT.DETACH)


def test_a_mount_of_nobody(docker: DockerEngine, cli: Cli, scratch: str) -> None:
    """The mount of a container that was removed is told, beside its directory."""
    with _created(docker, "ovl-lost"):
        data = docker.inspect("ovl-lost")["GraphDriver"]["Data"]
        layer = os.path.dirname(data["UpperDir"])
        shutil.copytree(layer, f"{scratch}/kept", symlinks=True)
    shutil.move(f"{scratch}/kept", layer)
    lowers = data["LowerDir"].partition(":")[2]  # the init layer went, too
    words = f"lowerdir={lowers},upperdir={data['UpperDir']},workdir={data['WorkDir']}"
    os.makedirs(f"{scratch}/merged")
    mount("overlay", f"{scratch}/merged", "overlay", data=words.encode())
    try:
        directory, leaked = _found(cli)
        assert (directory["what"], leaked["what"]) == ("unknown-directory", "leaked-mount")
        assert leaked["dir"] == f"{scratch}/merged"
        _run(leaked["remove"])
        _run(directory["remove"])
        assert _found(cli) == []
    finally:
        with suppress(OSError):
            umount2(f"{scratch}/merged", MNT.DETACH)
        shutil.rmtree(layer, ignore_errors=True)


def test_a_container_whose_process_is_gone(docker: DockerEngine, cli: Cli) -> None:
    """A container that died while its daemon was down is recorded as running, and does not."""
    docker.run("ovl-dead", docker.IMAGE, "/bin/sleep", "3600", words=("-d",))
    try:
        identity, pid = docker.inspect("ovl-dead")["Id"], docker.process("ovl-dead")
        with docker.down():
            os.kill(pid, signal.SIGKILL)
            assert eventually(lambda: not os.path.exists(f"/proc/{pid}/root/."))
            found = _one(cli)
            assert (found["what"], found["id"]) == ("dead-container", identity)
            assert str(pid) in found["evidence"][0]
            assert not cli("owner", "docker:ovl-dead", "--json").data["running"]
    finally:
        docker.docker("rm", "-f", "ovl-dead")
    assert _found(cli) == []


def test_a_container_of_buildah(podman: Podman, cli: Cli) -> None:
    """A container of buildah's is nobody's orphan, though no process is in it."""
    assert _found(cli) == []
    podman.buildah("from", "--pull-never", "--name", "killed", "localhost/app:2")
    try:
        assert _found(cli) == []
        owner = cli("owner", "podman:killed", "--json").data
        assert (owner["engine"], owner["kind"], owner["role"]) == ("buildah", "container", "writable")
        hint = cli("cat", "podman:killed", "nothing").stderr
        assert "`ovlctl explain buildah:killed nothing`" in hint
        assert cli("explain", "buildah:killed", "bin/busybox").status == 0
    finally:
        podman.buildah("rm", "killed")


def test_a_directory_and_a_link_of_podman(podman: Podman, cli: Cli) -> None:
    """The same is found in Podman's store."""
    places = f"{podman.root}/overlay"
    os.makedirs(f"{places}/{'0' * 64}/diff")
    os.symlink(f"../{'0' * 64}/diff", f"{places}/l/BBBBBBBBBBBBBBBBBBBBBBBBBB")
    try:
        found = _found(cli)
        assert [each["what"] for each in found] == ["unknown-directory", "dangling-link"]
        for each in found:
            _run(each["remove"])
        assert _found(cli) == []
    finally:
        shutil.rmtree(f"{places}/{'0' * 64}", ignore_errors=True)
        with suppress(FileNotFoundError):
            os.unlink(f"{places}/l/BBBBBBBBBBBBBBBBBBBBBBBBBB")


def test_a_snapshot_left_by_a_killed_build(containerd: Containerd, cli: Cli) -> None:
    """A snapshot that is prepared and used by nothing is told with what keeps it, and ctr removes it."""
    containerd("snapshots", "prepare", "killed-build", "chain/2")
    try:
        found = _one(cli)
        assert (found["engine"], found["what"], found["id"]) == ("containerd", "unused-layer", "default/killed-build")
        assert any("gc.root" in note for note in found["evidence"])
        _run(found["remove"], CONTAINERD_ADDRESS=containerd.socket)
        assert _found(cli) == []
    finally:
        containerd.ctr("snapshots", "rm", "killed-build")


def test_a_directory_of_no_snapshot(containerd: Containerd, cli: Cli) -> None:
    """A directory that an interrupted `prepare` left among the snapshots is known to nobody."""
    left = f"{containerd.snapshots}/new-123456"
    os.makedirs(f"{left}/fs")
    try:
        found = _one(cli)
        assert (found["engine"], found["what"], found["dir"]) == ("containerd", "unknown-directory", left)
        _run(found["remove"])
        assert _found(cli) == []
    finally:
        shutil.rmtree(left, ignore_errors=True)


def test_the_store_at_work(docker: DockerEngine, cli: Cli) -> None:
    """What an engine makes and removes meanwhile is no orphan."""
    script = """
    for i in 1 2 3 4 5 6; do
        docker create --network=none --name ovl-busy-$i $IMAGE /bin/sh
        docker rm ovl-busy-$i
    done
    """
    with subprocess.Popen(
        ["sh", "-c", script], env={**docker.environment, "IMAGE": docker.IMAGE}, stdout=subprocess.DEVNULL
    ) as busy:
        while busy.poll() is None:
            assert _found(cli) == []


def test_exit_code_and_text(docker: DockerEngine, cli: Cli) -> None:
    """With --exit-code a finding is status 1; the text has the command."""
    assert cli("orphans", "docker", "--exit-code").stdout == "no orphans\n"
    link = f"{docker.daemon.data}/overlay2/l/CCCCCCCCCCCCCCCCCCCCCCCCCC"
    os.symlink("\x1b[31m../nothing\n", link)
    try:
        done = cli("orphans", "docker", "--exit-code")
        assert done.status == 1
        assert f"rm -- {link}" in done.stdout
        assert "\x1b" not in done.stdout
    finally:
        os.unlink(link)
    assert cli("orphans", "nonsense").status == 2
