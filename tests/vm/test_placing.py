"""Where each test runs: here, in the guest, or nowhere."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from tests.vm.guest import SHELL
from tests.vm.plugin import REQUIRE

if TYPE_CHECKING:
    from tests.vm.conftest import Project

_BOTH = """
def test_plain():
    assert not IN_GUEST

@elsewhere
def test_elsewhere():
    assert IN_GUEST

@anywhere
def test_anywhere():
    print("guest" if IN_GUEST else "here", file=open("where", "w"))
"""


def test_what_is_met_here_runs_here(project: Project) -> None:
    """Only what this machine lacks goes to the guest."""
    project.write(test_a=_BOTH)
    done = project.pytest()
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 passed" in done.stdout
    assert "\n1 of them in sh -c\n" in done.stdout
    assert project.read("where") == "here\n"


def test_all_that_is_privileged(project: Project) -> None:
    """--vm: whatever is marked goes there."""
    project.write(test_a=_BOTH)
    done = project.pytest("--vm")
    assert "3 passed" in done.stdout, done.stdout
    assert "\n2 of them in sh -c\n" in done.stdout
    assert project.read("where") == "guest\n"


@pytest.mark.parametrize(
    ("options", "required", "status", "says"),
    [
        ((), "", 0, "needs another place: this is here; "),
        ((), "1", 1, "needs another place: this is here; "),
        (("--vm",), "", 4, "ERROR: --vm: "),
    ],
    ids=["skipped", "required", "forced"],
)
def test_no_machine(project: Project, options: tuple[str, ...], required: str, status: int, says: str) -> None:
    """Skipped with what helps; failed where a machine is required; a wrong usage where it was asked for."""
    project.write(test_a=_BOTH)
    del project.env[SHELL]
    done = project.pytest("-ra", *options, **{REQUIRE: required})
    assert done.returncode == status
    assert f"{says}no virtual machine is there: `cd vagrant && vagrant up`\n" in done.stdout + done.stderr
    assert ("2 passed, 1 " in done.stdout) == (status != 4)


def test_side_by_side(project: Project) -> None:
    """Processes side by side run each test once, whether it is forwarded, skipped or neither, here and in the guest."""
    once = """
@elsewhere
@pytest.mark.parametrize("number", range(3))
def test_there(number):
    os.mkdir(f"ran-{__file__.rpartition('/')[2]}-{number}")

def test_here():
    os.mkdir(f"ran-{__file__.rpartition('/')[2]}-here")
"""
    names = [f"test_{letter}" for letter in "abc"]
    project.write(**dict.fromkeys(names, once))
    words = [sys.executable, "-m", "tests.side_by_side", "-v"]
    done = project.user.run(words, env=project.env, cwd=project.directory)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("::test_there") == 9


def test_what_is_not_in_the_guest(project: Project) -> None:
    """A test that the guest has not, and one whose file cannot be read there, are errors that say so."""
    other = """
@elsewhere
@pytest.mark.parametrize("where", ["guest" if IN_GUEST else "here"])
def test_other(where):
    pass

@elsewhere
def test_fine():
    pass
"""
    broken = """
@elsewhere
def test_broken():
    pass

if IN_GUEST:
    raise RuntimeError("not with me")
"""
    project.write(test_a=other, test_b=broken)
    done = project.pytest()
    assert done.returncode == 1
    assert "1 passed, 2 errors in" in done.stdout
    assert "the guest has no such test" in done.stdout
    assert "RuntimeError: not with me" in done.stdout


def test_what_stays_untouched(project: Project) -> None:
    """Nothing is forwarded when tests are only listed, or cannot be collected."""
    project.write(test_a=_BOTH)
    project.env[SHELL] = "sh -c 'touch forwarded'"
    listed = project.pytest("--collect-only", "-q")
    project.write(test_b="import nonsense")
    stopped = project.pytest("-q")
    assert (listed.returncode, stopped.returncode) == (0, 2)
    assert not os.path.exists(project.path("forwarded"))
