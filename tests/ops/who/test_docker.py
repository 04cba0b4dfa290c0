"""Docker itself: whose is an image layer, and what is mounted on a container."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from ovlctl.engines.keepers import Engine
from ovlctl.ops.who import who
from ovlctl.ops.who.answer import Role
from ovlctl.ops.who.locations import Relation
from tests.capabilities import needs_overlay, needs_root
from tests.docker import Docker, daemon, image

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [needs_overlay, needs_root]


@pytest.fixture
def docker(scratch: str, state_dir: str) -> Iterator[Docker]:
    """A daemon of the test's own."""
    with daemon(scratch) as running:
        yield running


def test_docker(docker: Docker) -> None:
    """An image layer belongs to the container's overlay, and its merged view is held by the container's processes."""
    docker("import", "-", "ovlctl-test", stdin=image("sleep"))
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
