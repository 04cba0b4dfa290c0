"""The ground the other tests stand on."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests import sandbox
from tests.capabilities import FILE_SYSTEMS, each_fs, needs_mounting, needs_root, session

if TYPE_CHECKING:
    from tests.conftest import MakeFs, OrdinaryUser


@needs_mounting
def test_mounts_of_tests_are_private(scratch: str, make_fs: MakeFs) -> None:
    """Nothing that a test mounts is seen in the namespace that the test run was started from."""
    point = make_fs("tmpfs")
    assert os.path.ismount(point)
    assert os.readlink("/proc/self/ns/mnt") != _namespace_of_parent()
    assert scratch.startswith(session().directory)


def test_directories_of_dead_sessions_go(scratch: str) -> None:
    """The sweep removes what belongs to a dead process, even with mode 000 inside, and nothing else."""
    dead = os.path.join(scratch, f"ovlctl-test-{sandbox.pid_namespace()}-4194305-1")  # no pid is as large
    living = os.path.join(scratch, os.path.basename(session().directory))
    other = os.path.join(scratch, "ovlctl-test-notes")
    for path in (dead, living, other):
        os.mkdir(path)
    os.makedirs(os.path.join(dead, "work/work"))
    os.chmod(os.path.join(dead, "work/work"), 0)
    assert sandbox.sweep(scratch) == [dead]
    assert sorted(os.listdir(scratch)) == sorted([os.path.basename(living), os.path.basename(other)])


def test_a_recycled_pid_is_not_the_owner(scratch: str) -> None:
    """A living process with the same pid that started at another time does not protect a directory."""
    stale = os.path.join(scratch, f"ovlctl-test-{sandbox.pid_namespace()}-{os.getpid()}-1")
    os.mkdir(stale)
    assert sandbox.sweep(scratch) == [stale]


def test_sessions_of_other_pid_namespaces_are_left_alone(scratch: str) -> None:
    """Whether a session of another pid namespace lives cannot be told here, so its directory stays."""
    os.mkdir(os.path.join(scratch, "ovlctl-test-1-4194305-1"))
    assert sandbox.sweep(scratch) == []


def test_an_ordinary_user_reaches_python_and_the_project(ordinary_user: OrdinaryUser) -> None:
    """The ordinary user has no capability, no other group, a home of their own, and imports ovlctl."""
    code = (
        "import os, ovlctl.errors\n"
        "open(os.path.join(os.environ['HOME'], 'mine'), 'x').close()\n"
        "status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
        "print(os.getuid(), os.geteuid(), int(status['CapEff'], 16))"
    )
    done = ordinary_user.run([sys.executable, "-c", code])
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.split() == [str(ordinary_user.uid), str(ordinary_user.uid), "0"]
    assert ordinary_user.uid != 0


@needs_root
def test_an_ordinary_user_does_not_reach_what_is_closed(scratch: str, ordinary_user: OrdinaryUser) -> None:
    """Only the trees that are needed become reachable; a closed directory of root's stays closed."""
    secret = os.path.join(scratch, "secret")
    os.mkdir(secret, 0o700)
    done = ordinary_user.run(["ls", secret])
    assert done.returncode != 0
    assert "Permission denied" in done.stderr


@pytest.mark.parametrize("kind", each_fs(*FILE_SYSTEMS))
def test_file_systems_can_be_made(kind: str, make_fs: MakeFs) -> None:
    """make_fs gives a mounted, writable file system of the kind asked for."""
    point = make_fs(kind)
    done = subprocess.run(["stat", "-f", "-c", "%T", point], capture_output=True, text=True, check=True)
    assert done.stdout.strip().startswith(kind[:3])
    with open(os.path.join(point, "file"), "x", encoding="ascii") as file:
        file.write("x")


def _namespace_of_parent() -> str | None:
    try:
        return os.readlink(f"/proc/{os.getppid()}/ns/mnt")
    except PermissionError:
        return None
