"""Docker's own answer: ``diff --format docker`` of a container's stack is ``docker diff`` of the container."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.capabilities import needs_overlay, needs_root
from tests.docker import Docker, daemon, image
from tests.patience import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Cli

pytestmark = [needs_overlay, needs_root]

_BEFORE = """
mkdir -p /d/sub/deep /gone/a /type/x /opaque/old /times /owner /keep
for f in /d/a /d/b /d/sub/c /d/sub/deep/e /gone/a/1 /gone/2 /type/x/y /opaque/old/1 /opaque/2 /owner/f /keep/f
do echo content of $f > $f; done
ln -s a /d/link; echo file > /becomes; ln /d/a /d/hard
"""
_AFTER = """
echo more >> /d/a; chmod 600 /d/b; rm /d/sub/c; rm -r /gone; rm -r /type; echo f > /type
rm -r /opaque; mkdir /opaque; echo new > /opaque/new; echo again > /opaque/2
rm /becomes; mkdir /becomes; echo in > /becomes/it; touch -d @1000000000 /times; chown 7:8 /owner/f
mkdir -p /new/dir; echo 1 > /new/dir/1; ln -s nowhere /new/link; mkfifo /new/fifo; rm /d/link; ln -s b /d/link
mv /d/sub/deep/e /d/sub/e; touch -r /keep/f /keep/f; : >> /keep/f; ln /new/dir/1 /new/dir/2; chmod 700 /d/sub/deep
mkdir /new/empty; rmdir /new/empty; echo x > '/new/name with  spaces'
"""


@pytest.fixture
def docker(scratch: str, state_dir: str) -> Iterator[Docker]:
    """A daemon of the test's own."""
    with daemon(scratch) as running:
        yield running


def test_the_same_as_docker_diff(docker: Docker, cli: Cli) -> None:
    """Writes, modes, owners, deletions, replaced types and directories, links and times of a real container."""
    if shutil.which("busybox") is None:
        pytest.skip("needs busybox")
    programs = ["sh", "mkdir", "echo", "ln", "rm", "chmod", "chown", "touch", "mv", "mkfifo", "rmdir", "sleep"]
    links = [(f"bin/{name}", "bin/busybox") for name in programs]
    docker("import", "-", "before", stdin=image("busybox", links=links))
    docker("run", "--network=none", "--name=one", "before", "/bin/sh", "-c", _BEFORE)
    docker("commit", "one", "lower")
    full = docker("run", "-d", "--network=none", "lower", "/bin/sh", "-c", f"{_AFTER}\necho finished; exec sleep 600")
    merged = docker("inspect", "-f", "{{.GraphDriver.Data.MergedDir}}", full)
    assert eventually(lambda: "finished" in docker("logs", full))
    theirs = docker("diff", full).splitlines()
    ours = cli("diff", merged, "--format", "docker")
    assert ours.status == 0, ours.stderr
    assert {*ours.stdout.splitlines()} ^ {*theirs} == set()
    assert len(theirs) == len(ours.stdout.splitlines())
    assert {"A /new/dir/1", "C /d/b", "D /gone", "D /opaque/old", "C /type"} <= {*theirs}
    docker("rm", "-f", "-v", full)
