"""Podman's service, asked by the SDK over the side that is compatible with Docker's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from ovlctl.engines.daemons import Endpoint
from ovlctl.engines.keepers import Engine
from ovlctl.engines.podman import daemon as podman_daemon
from ovlctl.engines.values import State, StoreKind
from ovlctl.errors import ContainerMissing
from tests import sandbox
from tests.capabilities import needs_overlay, needs_root
from tests.docker import image
from tests.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [needs_root, needs_overlay, pytest.mark.skipif(shutil.which("podman") is None, reason="needs podman")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Service:
    command: tuple[str, ...]
    endpoint: Endpoint
    root: str
    environment: dict[str, str]

    def __call__(self, *words: str, stdin: bytes = b"") -> str:
        command = [*self.command, *words]
        done = subprocess.run(command, input=stdin, env=self.environment, capture_output=True, check=True)
        return done.stdout.decode().strip()


@pytest.fixture
def service(scratch: str) -> Iterator[_Service]:
    """A service with a store of its own."""
    path = f"{scratch}/sock"
    with open(f"{scratch}/containers.conf", "w", encoding="utf-8") as file:
        file.write('[engine]\nlock_type = "file"\n')  # else in /dev/shm, with those of all other Podmans
    environment = {**os.environ, "CONTAINERS_CONF": f"{scratch}/containers.conf"}
    # Podman takes 50 characters at most.
    run = tempfile.mkdtemp(prefix="ovl-", dir="/tmp")
    command = (
        *("podman", "--root", f"{scratch}/root", "--runroot", run, "--tmpdir", f"{scratch}/tmp"),
        *("--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--events-backend", "none"),
    )
    endpoint = Endpoint(engine=Engine.PODMAN, address=f"unix://{path}", found="CONTAINER_HOST")
    made = _Service(command=command, endpoint=endpoint, root=f"{scratch}/root", environment=environment)
    words = [*command, "system", "service", "--time=0", endpoint.address]
    with (
        open(f"{scratch}/log", "wb") as log,
        subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment) as running,
    ):
        try:
            eventually(lambda: os.path.exists(path) or running.poll() is not None)
            if not os.path.exists(path):
                with open(f"{scratch}/log", encoding="utf-8", errors="replace") as text:
                    pytest.skip(f"podman does not serve here: {text.read().strip()}")
            yield made
        finally:
            running.terminate()
            running.wait(PATIENCE)
            sandbox.remove(run)


def test_podman(service: _Service) -> None:
    """What it says of itself, a container and an image is what ``podman`` prints."""
    service("import", "-", "ovl-base", stdin=image("busybox"))
    container = service("create", "--name", "ovl-web", "--network=none", "ovl-base", "/bin/busybox")
    said = podman_daemon.ask(service.endpoint)
    info: Any = json.loads(service("info", "--format", "json"))
    assert (said.version, said.driver, said.root) == (info["version"]["Version"], "overlay", service.root)
    assert (said.kind, said.rootless) == (StoreKind.GRAPH_DRIVER, False)
    assert said.backing_fs == info["store"]["graphStatus"]["Backing Filesystem"]

    found = podman_daemon.inspect_container(service.endpoint, "ovl-web")
    document: Any = json.loads(service("container", "inspect", "ovl-web"))[0]
    assert (found.id, found.name, found.state) == (container, "ovl-web", State.CREATED)
    assert found.graph is not None
    assert found.graph.upper == document["GraphDriver"]["Data"]["UpperDir"]
    assert ":".join(found.graph.lowers) == document["GraphDriver"]["Data"]["LowerDir"]

    made = podman_daemon.inspect_image(service.endpoint, "ovl-base")
    document = json.loads(service("image", "inspect", "ovl-base"))[0]
    assert (made.id, list(made.digests)) == (f"sha256:{document['Id']}", document["RootFS"]["Layers"])
    with pytest.raises(ContainerMissing, match="podman at"):
        podman_daemon.inspect_container(service.endpoint, "nobody")
