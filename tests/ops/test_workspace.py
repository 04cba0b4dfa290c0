"""Scratch directories: private, locked while in use, gone afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ovlctl.errors import NotADirectory, OvlError, PathMissing
from ovlctl.ops import workspace
from ovlctl.ops.workspace import BENCH, TRYING, remove_tree, sweep

if TYPE_CHECKING:
    from tests.conftest import OrdinaryUser

_LEAVE_BEHIND = """
import os, signal, sys
from ovlctl.ops.workspace import BENCH, scratch
with scratch(sys.argv[1], BENCH) as place:
    os.makedirs(place.path + "/work/work", mode=0o700)
    os.chmod(place.path + "/work/work", 0)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_scratch_directory_is_private_and_gone_afterwards(scratch: str) -> None:
    """Mode 0700 while it is there; nothing is left, whatever was made in it."""
    with workspace.scratch(scratch, BENCH) as place:
        assert os.stat(place.path).st_mode & 0o777 == 0o700
        os.makedirs(os.path.join(place.path, "a/b"))
        os.symlink(scratch, os.path.join(place.path, "a/out"))
    assert os.listdir(scratch) == []


def test_a_living_run_is_not_swept(scratch: str) -> None:
    """A directory whose lock is held stays; what looks alike but is not ours stays too."""
    os.mkdir(os.path.join(scratch, f"{BENCH}open"), 0o755)
    os.mkdir(os.path.join(scratch, "other"), 0o700)
    with workspace.scratch(scratch, BENCH) as place:
        assert sweep(scratch, BENCH) == ()
        assert os.path.isdir(place.path)
    assert sorted(os.listdir(scratch)) == ["other", f"{BENCH}open"]


def test_each_purpose_sweeps_its_own(ordinary_user: OrdinaryUser) -> None:
    """What a killed run left is none of the business of one with another prefix."""
    ordinary_user.run([sys.executable, "-c", _LEAVE_BEHIND, ordinary_user.home])
    assert sweep(ordinary_user.home, TRYING) == ()
    assert len(os.listdir(ordinary_user.home)) == 1


def test_a_killed_run_is_swept_by_the_next(ordinary_user: OrdinaryUser) -> None:
    """What SIGKILL left goes with the next run of the same user, directories of mode 0 included."""
    ordinary_user.run([sys.executable, "-c", _LEAVE_BEHIND, ordinary_user.home])
    assert len(os.listdir(ordinary_user.home)) == 1
    code = "import sys; from ovlctl.ops.workspace import BENCH, sweep; print(len(sweep(sys.argv[1], BENCH)))"
    done = ordinary_user.run([sys.executable, "-c", code, ordinary_user.home])
    assert done.stdout == "1\n", done.stderr
    assert os.listdir(ordinary_user.home) == []


def test_two_runs_share_a_directory(scratch: str) -> None:
    """Runs at the same time get directories of their own and leave the other's alone."""
    code = (
        "import sys; from ovlctl.ops.workspace import BENCH, scratch\n"
        "for _ in range(20):\n with scratch(sys.argv[1], BENCH): pass"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, scratch]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert os.listdir(scratch) == []


def test_removing_never_follows_links(scratch: str) -> None:
    """Links go, what they name stays; a missing tree is no error."""
    os.makedirs(f"{scratch}/tree/sub")
    os.makedirs(f"{scratch}/outside")
    os.symlink("../../outside", f"{scratch}/tree/sub/link")
    os.chmod(f"{scratch}/tree/sub", 0)
    remove_tree(f"{scratch}/tree")
    remove_tree(f"{scratch}/tree")
    assert os.listdir(scratch) == ["outside"]


@pytest.mark.parametrize(("name", "error"), [("missing", PathMissing), ("file", NotADirectory)])
def test_bad_directories_have_their_own_error(scratch: str, name: str, error: type[OvlError]) -> None:
    """A directory that is not there, and one that is none."""
    with open(os.path.join(scratch, "file"), "wb"):
        pass
    with pytest.raises(error), workspace.scratch(os.path.join(scratch, name), BENCH):
        pass
