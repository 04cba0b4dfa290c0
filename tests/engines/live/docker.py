"""A Docker for all tests: images of several layers, a container that runs, one that does not, a build's cache."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ovlctl.engines.daemons import Endpoint
from ovlctl.engines.keepers import Engine
from ovlctl.engines.places import Origin, Place
from tests import capabilities, sandbox
from tests.docker import Daemon, client, image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_APPLETS = ("sh", "mkdir", "rm", "sleep", "cat")
_ADD = "mkdir -p /etc /d /gone; echo one > /etc/one; echo same > /etc/same; echo old > /d/old; echo y > /gone/y"
_CHANGE = "echo changed > /etc/one; rm -r /gone; rm -r /d; mkdir /d; echo new > /d/new"
_WRITE = "echo written > /written; rm /etc/one; exec sleep 3600"
_BUILD = """\
FROM ovl-base AS first
RUN ["/bin/sh", "-c", "echo a > /a"]
RUN ["/bin/sh", "-c", "echo b > /b"]
FROM ovl-base
COPY --from=first /b /b
"""


class DockerEngine:
    """A daemon with content that tests only read; what a test makes besides has other names and is removed again.

    Containers outlive the daemon (``--live-restore``).

    Attributes:
        IMAGE: Three layers, the name of the second tag is :attr:`TAG`.
        BUILT: Of BuildKit; some of its cache is in no image.
        RUNNING, STOPPED: Containers of :attr:`IMAGE`.
    """

    BASE = "ovl-base:latest"
    IMAGE = "ovl/web:1"
    TAG = "ovl/web:2"
    BUILT = "ovl-built:latest"
    RUNNING = "ovl-web"
    STOPPED = "ovl-done"

    def __init__(self, scratch: str) -> None:
        self.daemon = Daemon(scratch, "--live-restore")
        self.scratch = scratch

    @property
    def place(self) -> Place:
        """Its store."""
        return Place(engine=Engine.DOCKER, root=self.daemon.data, run=f"{self.scratch}/exec", origin=Origin.GIVEN)

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens."""
        return Endpoint(engine=Engine.DOCKER, address=self.daemon.client.host, found="DOCKER_HOST")

    @property
    def environment(self) -> dict[str, str]:
        """What its command line needs to find it."""
        return self.daemon.client.environment

    def docker(self, *words: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> str:
        """Run ``docker WORDS``, which has to work."""
        command = [client() or "docker", *words]
        done = subprocess.run(
            command, input=stdin, env={**self.environment, **(env or {})}, capture_output=True, check=False
        )
        assert done.returncode == 0, f"docker {words}: {done.stderr.decode(errors='replace')}"
        return done.stdout.decode().strip()

    def inspect(self, ref: str, *, kind: str = "container") -> Any:
        """The document of ``docker inspect``."""
        return json.loads(self.docker(kind, "inspect", ref))[0]

    def process(self, ref: str) -> int:
        """The first process of a container."""
        pid: int = self.inspect(ref)["State"]["Pid"]
        return pid

    @contextmanager
    def down(self) -> Iterator[None]:
        """While the daemon is stopped; containers go on."""
        self.daemon.stop()
        try:
            yield
        finally:
            self.daemon.start()

    def fill(self) -> None:
        """Make the content."""
        links = [(f"bin/{name}", "bin/busybox") for name in _APPLETS]
        self.docker("import", "-", self.BASE, stdin=image("busybox", links=links))
        self._commit(self.BASE, _ADD, "ovl/web:0")
        self._commit("ovl/web:0", _CHANGE, self.IMAGE)
        self.docker("tag", self.IMAGE, self.TAG)
        self.run(self.RUNNING, self.IMAGE, "/bin/sh", "-c", _WRITE, words=("-d",))
        self.run(self.STOPPED, self.IMAGE, "/bin/sh", "-c", "echo out > /out")
        self.build(self.BUILT, _BUILD)

    def run(self, name: str, *command: str, words: tuple[str, ...] = ()) -> str:
        """``docker run`` without a network; its id when it is left running."""
        return self.docker("run", "--network=none", "--name", name, *words, *command)

    def build(self, ref: str, file: str) -> None:
        """``docker build`` by BuildKit."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as directory:
            with open(os.path.join(directory, "Dockerfile"), "w", encoding="utf-8") as dockerfile:
                dockerfile.write(file)
            self.docker("build", "--network=none", "-t", ref, directory, env={"DOCKER_BUILDKIT": "1"})

    def end(self) -> None:
        """Leave nothing."""
        try:
            if not self.daemon.runs:
                self.daemon.start()
            for container in self.docker("ps", "-aq").split():
                self.docker("rm", "-f", container)
        finally:
            self.daemon.end()

    def _commit(self, base: str, script: str, ref: str) -> None:
        self.run("ovl-step", base, "/bin/sh", "-c", script)
        self.docker("commit", "ovl-step", ref)
        self.docker("rm", "ovl-step")


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[DockerEngine]:
    """A Docker with content, made once; see :class:`DockerEngine`. Skips where there is none."""
    scratch = tempfile.mkdtemp(prefix="docker-", dir=capabilities.session().directory)
    engine = DockerEngine(scratch)
    try:
        engine.daemon.start()
        try:
            engine.fill()
            yield engine
        finally:
            engine.end()
    finally:
        sandbox.remove(scratch)
