"""remount and refresh as a user meets them."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ovlctl.errors import ExitStatus
from ovlctl.kernel import mounts
from ovlctl.kernel.mount import umount2
from tests import capabilities, trees

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Cli, OrdinaryUser

pytestmark = [capabilities.needs_overlay, capabilities.needs_mount_beneath]

_SCHEMA = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "schema", "remount.json")
_ODD = "c\n\x1b[31m\udcff"


def _valid(value: Any) -> Any:
    with open(_SCHEMA, encoding="ascii") as file:
        jsonschema.validate(value, json.load(file))
    return value


@pytest.fixture
def mounted(scratch: str, cli: Cli) -> Iterator[str]:
    """A stack called s of the lowers a and b at t, below the directory returned; a lower with an odd name beside."""
    for name in ("a", "b", _ODD):
        trees.make(os.path.join(scratch, name), {"f": os.fsencode(name)})
    trees.make(scratch, {"t/": None})
    assert cli("mount", f"{scratch}/t", "-l", f"{scratch}/a", "-l", f"{scratch}/b", "--name", "s").status == 0
    yield scratch
    for each in reversed(mounts.mounts("overlay")):
        if each.mount_point.startswith(scratch):
            umount2(each.mount_point)


def test_remount_and_refresh(mounted: str, cli: Cli) -> None:
    """What is said, in text and in JSON that keeps to the published schema; names are shown escaped."""
    done = cli("remount", "s", "--add-lower", f"{mounted}/{_ODD}")
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == f"remounted s at {mounted}/t"
    assert "\x1b" not in done.stdout
    assert "\\x1b[31m" in done.stdout
    answer = _valid(cli("remount", f"{mounted}/t", "--drop-lower", f"{mounted}/{_ODD}", "--json").json)["data"]
    assert answer["lowers"] == [f"{mounted}/a", f"{mounted}/b"]
    assert len(answer["before"]["lowers"]) == 3
    assert answer["before"]["lowers_b64"][0] is not None
    again = _valid(cli("refresh", "s", "--json").json)["data"]
    assert again["lowers"] == again["before"]["lowers"] == answer["lowers"]
    assert "the same as before" in cli("refresh", "s").stdout
    swapped = cli("remount", "s", "-l", f"{mounted}/b", "-l", f"{mounted}/a", "--xino", "off").stdout
    assert "in another order" in swapped
    assert "xino=off" in swapped


def test_dry_run(mounted: str, cli: Cli) -> None:
    """The exact steps are printed and nothing is changed."""
    before = mounts.mounts()
    text = cli("remount", "s", "--add-lower", f"{mounted}/{_ODD}", "-n")
    assert (text.status, text.stderr) == (0, "")
    steps = text.stdout.splitlines()
    assert any("read-only, while the upper changes hands" in step for step in steps)
    assert steps[-1].startswith("move the new mount beneath")
    answer = _valid(cli("refresh", "s", "-n", "--json").json)["data"]
    assert answer["dry_run"] is True
    assert len(answer["steps"]) == len(steps)
    assert cli("refresh", "s", "-n", "--with-gap").stdout.splitlines()[2].startswith("umount ")
    assert mounts.mounts() == before


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (("refresh", "nobody"), ExitStatus.NOT_FOUND, "no stack is named nobody"),
        (("remount", "s", "-l", "x", "--add-lower", "y"), ExitStatus.USAGE, "keep one of them"),
        (("remount", "s", "--drop-lower", "/nowhere"), ExitStatus.USAGE, "/nowhere is no lower of this stack"),
        (("remount", "s", "--add-lower", "/nowhere"), ExitStatus.NOT_FOUND, "/nowhere"),
        (("remount", "s", "--xino", "often"), ExitStatus.USAGE, "'often' is not one of"),
        (("refresh", "s", "--detach"), ExitStatus.USAGE, "two writers"),
    ],
)
def test_wrong_input(mounted: str, cli: Cli, words: tuple[str, ...], status: int, text: str) -> None:
    """One line saying what is wrong, and a hint; nothing on standard output; nothing changed."""
    before = mounts.mounts()
    done = cli(*words)
    assert (done.status, done.stdout) == (status, "")
    assert text in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert mounts.mounts() == before
    assert cli(*words, "--json").error["code"].startswith("OVL-E")


@capabilities.needs_userns_overlay
def test_ordinary_user(ordinary_user: OrdinaryUser) -> None:
    """Without root the same: remount and refresh in the user's own namespaces, and what was written stays."""
    home = ordinary_user.home
    for name in "abc":
        trees.make(os.path.join(home, name), {"f": name})
    os.mkdir(f"{home}/t")
    for name in ("a", "b", "c", "t", "a/f", "b/f", "c/f"):
        os.chown(f"{home}/{name}", ordinary_user.uid, ordinary_user.gid)
    script = (
        f'set -e; o() {{ {sys.executable} -m ovlctl "$@"; }}\n'
        "o mount t -l a -l b --name s; o exec s -- sh -c \"echo mine > '$PWD/t/g'; rm '$PWD/t/f'\"\n"
        "o remount s --add-lower c; o refresh s --json\n"
        "o exec s -- sh -c \"cat '$PWD/t/g'; test ! -e '$PWD/t/f'\"\n"
        "o umount s --discard --yes; o ls\n"
    )
    done = ordinary_user.run(["sh", "-c", script], env={"OVLCTL_STATE_DIR": f"{home}/state"}, cwd=home)
    assert (done.returncode, "error" in done.stderr) == (0, False), done.stderr
    lines = done.stdout.splitlines()
    assert "remounted s at " in done.stdout
    assert "mine" in lines
    _valid(json.loads(next(line for line in lines if line.startswith("{"))))
