"""Docker itself: whose is an image layer, and what is mounted on a container."""

from __future__ import annotations

import glob
import io
import os
import re
import shutil
import signal
import subprocess
import tarfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from ovlctl.ops.who import who
from ovlctl.ops.who.answer import Role
from ovlctl.ops.who.containers import Engine
from ovlctl.ops.who.locations import Relation
from tests.capabilities import needs_overlay, needs_root

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [needs_overlay, needs_root]


@dataclass(frozen=True, slots=True)
class Docker:
    """A Docker daemon of the test's own."""

    host: str

    def __call__(self, *words: str, stdin: bytes = b"") -> str:
        """Run ``docker WORDS``."""
        done = subprocess.run(["docker", *words], input=stdin, env=self.environment, capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"docker {words[0]} fails here: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode().strip()

    @property
    def environment(self) -> dict[str, str]:
        """What the client needs to find it."""
        return {**os.environ, "DOCKER_HOST": self.host}


@pytest.fixture
def docker(scratch: str, state_dir: str) -> Iterator[Docker]:
    """A daemon that touches no network and keeps everything in scratch; skips where there is none."""
    if shutil.which("dockerd") is None or shutil.which("docker") is None:
        pytest.skip("needs dockerd and docker")
    host = f"unix://{scratch}/sock"
    places = {"--data-root": "data", "--exec-root": "exec", "--pidfile": "pid"}
    words = [f"{option}={scratch}/{name}" for option, name in places.items()]
    words += ["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none"]
    before = _cgroups()
    with (
        open(f"{scratch}/log", "wb") as log,
        subprocess.Popen(["dockerd", "-H", host, "--storage-driver=overlay2", *words], stderr=log) as daemon,
    ):
        try:
            _wait(daemon, f"{scratch}/log")
            yield Docker(host)
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(30)
            for path in _cgroups() - before:
                os.rmdir(path)


def _cgroups() -> set[str]:
    return {*glob.glob("/sys/fs/cgroup/docker"), *glob.glob("/sys/fs/cgroup/*/docker")}


def _wait(daemon: subprocess.Popen[bytes], log: str) -> None:
    text = ""
    for _ in range(100):
        with open(log, encoding="utf-8", errors="replace") as file:
            text = file.read()
        if "API listen on" in text:
            return
        if daemon.poll() is not None:
            break
        time.sleep(0.1)
    pytest.skip(f"dockerd does not start here: {text.strip().splitlines()[-1:]}")


def _image() -> bytes:
    """An archive of sleep(1) and the libraries it is linked to."""
    program = os.path.realpath(shutil.which("sleep") or "/bin/sleep")
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(program, "bin/sleep")
        for library in re.findall(r"/\S+", linked):
            tar.add(os.path.realpath(library), library)
    return archive.getvalue()


def test_docker(docker: Docker) -> None:
    """An image layer belongs to the container's overlay, and its merged view is held by the container's processes."""
    docker("import", "-", "ovlctl-test", stdin=_image())
    full = docker("run", "-d", "--network=none", "ovlctl-test", "/bin/sleep", "60")
    layer = docker("image", "inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", "ovlctl-test")
    merged = docker("inspect", "-f", "{{.GraphDriver.Data.MergedDir}}", full)
    pid = int(docker("inspect", "-f", "{{.State.Pid}}", full))

    (user,) = who(layer, layer=True).users
    assert [(use.role, use.relation) for use in user.uses] == [(Role.LOWER, Relation.SAME)]
    assert user.container is not None
    assert (user.container.engine, user.container.id) == (Engine.DOCKER, full)
    assert {point for _, point in user.points} == {merged, "/"}

    (group,) = [group for group in who(merged).groups if group.processes]
    assert group.container == user.container
    (process,) = group.processes
    assert (process.pid, process.container) == (pid, user.container)
    assert {"cwd", "root", "exe", "map"} == {str(hold.kind) for hold in process.holds}
    assert [copy.release for copy in group.copies] == [("docker", "stop", full[:12])]
    assert group.submounts == ()

    (command,) = user.release
    # A sleep that is pid 1 in its namespace does not hear SIGTERM, and Docker waits ten seconds.
    subprocess.run([*command, "-t", "0"], env=docker.environment, check=True, capture_output=True)
    assert who(layer, layer=True).users == ()
