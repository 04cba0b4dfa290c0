"""``ovlctl layers`` as a user meets it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from tests import capabilities, trees
from tests.schemas import valid

if TYPE_CHECKING:
    from tests.conftest import Cli, OrdinaryUser


def _stack(scratch: str) -> list[str]:
    trees.make(f"{scratch}/low", {"kept": "1", "old": "22" * 1000, "gone/a": "333", "a\x1b[31m": "x" * 5000})
    trees.make(f"{scratch}/mid", {"old": "4444", "a\x1b[31m": "y"})
    trees.make(f"{scratch}/up", {"new": "5"})
    return ["-l", f"{scratch}/mid", "-l", f"{scratch}/low", "--upper", f"{scratch}/up"]


def test_a_table_and_the_same_in_json(scratch: str, cli: Cli) -> None:
    """Figures as a person reads them, and as a program does; names are escaped."""
    words = _stack(scratch)
    done = cli("layers", *words, "--no-userxattr", "--wasted")
    assert "\x1b" not in done.stdout
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["LAYER", "SIZE", "FILES", "ADDS", "HIDES", "WASTED", "DIRECTORY"]
    assert lines[2] == ["upper", "1", "B", "1", "1", "0", "-", f"{scratch}/up"]
    assert lines[3] == ["lower:0", "5", "B", "2", "0", "2", "-", f"{scratch}/mid"]
    assert lines[4][:3] == ["lower:1", "6.84", "KiB"]
    assert "  a\\x1b[31m" in done.stdout
    found = valid("layers", cli("layers", *words, "--no-userxattr", "--json").json)["data"]
    assert found["merged"]["files"] == 5
    assert [layer["layer"] for layer in found["layers"]] == ["upper", "lower:0", "lower:1"]
    assert found["layers"][2]["wasted"] == 7000
    assert [each["size"] for each in found["layers"][2]["largest_wasted"]] == [5000, 2000]


def test_one_stack_at_a_time(scratch: str, cli: Cli) -> None:
    """A second word is a mistake."""
    assert cli("layers", *_stack(scratch), "--no-userxattr", "etc").status == 2
    assert cli("layers").status == 2


def test_what_cannot_be_read_makes_it_partial(scratch: str, ordinary_user: OrdinaryUser) -> None:
    """Somebody else's directory: figures without it, a warning, and 6."""
    if not capabilities.root():
        return
    words = _stack(scratch)
    os.chmod(f"{scratch}/low/gone", 0o700)
    done = ordinary_user.ovlctl("layers", *words, "--userxattr")
    assert done.status == 6
    assert "could not be read" in done.stderr


def test_figures_are_those_of_find(scratch: str, cli: Cli) -> None:
    """Files and sizes of a layer, as find(1) adds them up."""
    words = _stack(scratch)
    found = cli("layers", *words, "--no-userxattr", "--json").data["layers"][2]
    listed = subprocess.run(
        ["find", f"{scratch}/low", "!", "-type", "d", "-printf", "%s\n"], capture_output=True, text=True, check=True
    )
    sizes = [int(size) for size in listed.stdout.split()]
    assert (found["files"], found["size"]) == (len(sizes), sum(sizes))
