"""What an ordinary user is told of a stack whose index only root can read, as every index is (index=on)."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from ovlctl.errors import ExitStatus
from ovlctl.overlay.options import Options, Switch
from ovlctl.overlay.stack import Stack
from tests import trees
from tests.capabilities import needs_overlay, needs_root
from tests.overlay.made import mounted

if TYPE_CHECKING:
    from tests.conftest import OrdinaryUser

pytestmark = [needs_overlay, needs_root]


@pytest.fixture
def words(scratch: str) -> tuple[str, ...]:
    """Options for a stack that root wrote to, with files of one name and of two in its lower."""
    trees.make(scratch, {"lower/one": "1", "lower/two": "2", "lower/x/a": "a", "upper/": None, "work/": None})
    os.link(f"{scratch}/lower/two", f"{scratch}/lower/other")
    os.link(f"{scratch}/lower/x/a", f"{scratch}/lower/x/b")
    stack = Stack(
        [f"{scratch}/lower"], upper=f"{scratch}/upper", work=f"{scratch}/work", options=Options(index=Switch.ON)
    )
    with mounted(stack, f"{scratch}/merged") as point:
        trees.make(point, {"new": "n"})
        os.chmod(f"{point}/two", 0o640)
    directories = ("-l", f"{scratch}/lower", "--upper", f"{scratch}/upper", "--work", f"{scratch}/work")
    return (*directories, "--index", "on", "--no-userxattr")


@pytest.mark.parametrize("verb", ["diff", "du"])
def test_what_needs_the_whole_index(words: tuple[str, ...], ordinary_user: OrdinaryUser, verb: str) -> None:
    """What can be read is told, the index is named once as what could not, and the exit status is 6."""
    done = ordinary_user.ovlctl(verb, *words)
    assert done.status == ExitStatus.PARTIAL, done.stderr
    assert "new" in done.stdout
    lost = [line for line in done.stderr.splitlines() if "could not be read: Permission denied (EACCES)" in line]
    assert sum("work/index" in line for line in lost) == 1
    assert verb == "diff" or done.stdout.count("work/index") == 1


def test_a_name_that_may_be_another_file_s(words: tuple[str, ...], ordinary_user: OrdinaryUser) -> None:
    """Of a lower file with several names nobody can say what it is, of every other one it is certain; in any order."""
    for paths in (["one", "other", "x/a", "x/b"], ["x/b", "x/a", "other", "one"]):
        done = ordinary_user.ovlctl("explain", *words, *paths, "--json")
        assert done.status == ExitStatus.PARTIAL, done.stderr
        outcomes = {each["path"]: each["outcome"] for each in json.loads(done.stdout)["data"]}
        assert outcomes == {"one": "present", "other": "unknown", "x/a": "unknown", "x/b": "unknown"}
