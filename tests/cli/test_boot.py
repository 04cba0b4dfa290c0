"""unit, fstab and export-mstack as a user meets them."""

from __future__ import annotations

import json
import os
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

_SCHEMAS = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "schema")
_STACKS = """
[stack.one]
lowers = ["a", "b"]
target = "t"
[stack.two]
lowers = ["b"]
upper = "tmpfs"
target = "t2"
"""


def _valid(name: str, value: Any) -> Any:
    with open(os.path.join(_SCHEMAS, f"{name}.json"), encoding="ascii") as file:
        jsonschema.validate(value, json.load(file))
    return value["data"]


@pytest.fixture
def here(scratch: str) -> Iterator[str]:
    """A directory with a stack file and its layers; overlays left mounted there are ended."""
    trees.make(scratch, {"a/f": "a", "b/f": "b", "t": None, "t2": None, "stacks.toml": _STACKS})
    yield scratch
    for each in reversed(mounts.mounts()):
        if each.mount_point.startswith(f"{scratch}/"):
            umount2(each.mount_point)


def test_units_are_printed_or_written(here: str, cli: Cli) -> None:
    """Without --dir the units are printed, as systemctl cat would; with it they are written, and again."""
    file, place = f"{here}/stacks.toml", f"{here}/units"
    single = cli("unit", file, "one")
    assert single.status == 0
    assert single.stdout.startswith("# Made by `ovlctl unit` from ")
    both = cli("unit", file)
    assert both.stdout.count("\n[Mount]\n") == 2
    assert both.stdout.count("# /etc/systemd/system/") == 2
    os.mkdir(place)
    dry = cli("unit", file, "--dir", place, "--dry-run")
    assert (dry.stdout.count("would write"), os.listdir(place)) == (2, [])
    wrote = cli("unit", file, "--dir", place)
    assert wrote.stdout.count("wrote ") == 2
    assert "systemctl daemon-reload && systemctl enable --now" in wrote.stderr
    data = _valid("unit", cli("unit", file, "--dir", place, "--json").json)
    assert data["written"] is True
    assert sorted(os.path.basename(unit["path"]) for unit in data["units"]) == sorted(os.listdir(place))
    assert [unit["stacks"] for unit in data["units"]] == [["one"], ["two"]]
    user = cli("unit", file, "--user", "--json")
    assert _valid("unit", user.json)["units"][0]["name"] == "ovlctl-stacks.service"


def test_what_unit_refuses(here: str, cli: Cli) -> None:
    """Each refusal is one line with a code, and nothing on stdout."""
    file = f"{here}/stacks.toml"
    trees.make(here, {"foreign/x": None})
    (unit,) = cli("unit", file, "one", "--json").data["units"]
    trees.make(f"{here}/foreign", {unit["name"]: "[Mount]\n"})
    for args, code, status in (
        (("unit", file, "--plain"), "OVL-E118", ExitStatus.USAGE),
        (("unit", file, "three"), "OVL-E103", ExitStatus.NOT_FOUND),
        (("unit", file, "one", "--dir", f"{here}/foreign"), "OVL-E117", ExitStatus.USAGE),
        (("unit", file, "--dir", f"{here}/none"), "OVL-E002", ExitStatus.NOT_FOUND),
        (("unit", file, "--user", "--plain"), "OVL-E001", ExitStatus.USAGE),
        (("fstab", f"{here}/none.toml"), "OVL-E002", ExitStatus.NOT_FOUND),
    ):
        done = cli(*args)
        assert (done.status, done.stdout) == (status, ""), done.stderr
        assert done.stderr.startswith(f"ovlctl: error[{code} ")


def test_names_that_a_line_cannot_hold(here: str, cli: Cli) -> None:
    """A newline or a byte that is not UTF-8 is refused, and shown escaped."""
    for name in ("a\nb", "a\udcffb"):
        os.mkdir(f"{here}/{name}")
        os.rename(f"{here}/stacks.toml", f"{here}/{name}/s.toml")
        done = cli("unit", f"{here}/{name}/s.toml")
        assert (done.status, done.stdout) == (ExitStatus.UNSUPPORTED, "")
        assert done.stderr.startswith("ovlctl: error[OVL-E116 ")
        os.rename(f"{here}/{name}/s.toml", f"{here}/stacks.toml")


def test_lines_of_fstab(here: str, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line per stack, and on stderr what mount(8) lacks and what fstab cannot carry."""
    done = cli("fstab", f"{here}/stacks.toml")
    assert done.status == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        f"{here}/stacks.toml#{name}" for name in ("one", "two")
    ]
    assert "OVLCTL_STATE_DIR" in done.stderr
    assert ("/sbin/mount.ovlctl" in done.stderr) is not os.path.exists("/sbin/mount.ovlctl")
    assert len(_valid("fstab", cli("fstab", f"{here}/stacks.toml", "two", "--json").json)["lines"]) == 1


@capabilities.needs_userxattr
def test_export_of_mounted_kept_and_declared_stacks(here: str, cli: Cli) -> None:
    """Any stack can be written; what a stack directory cannot say is refused or said; --dry-run writes nothing."""
    trees.make(here, {"state/data": None, "state/work": None})
    mounted = cli(
        *("mount", f"{here}/t", "-l", f"{here}/a", "-l", f"{here}/b", "--name", "app", "--userxattr"),
        *("--upper", f"{here}/state/data", "--work", f"{here}/state/work"),
    )
    assert mounted.status == 0, mounted.stderr
    dry = _valid("export-mstack", cli("export-mstack", "app", f"{here}/x.mstack", "--dry-run", "--json").json)
    assert (dry["dry_run"], os.path.exists(f"{here}/x.mstack")) == (True, False)
    done = _valid("export-mstack", cli("export-mstack", "app", f"{here}/x.mstack", "--json").json)
    assert {each["name"]: each["layer"] for each in done["entries"]} == {
        "layer@0": f"{here}/b",
        "layer@1": f"{here}/a",
        "rw": f"{here}/state",
    }
    again = cli("export-mstack", "app", f"{here}/x.mstack")
    assert (again.status, again.stderr[:22]) == (ExitStatus.USAGE, "ovlctl: error[OVL-E114")
    cli("umount", "app")
    # Its upper would have to be called data.
    declared = cli("export-mstack", f"{here}/stacks.toml#one", f"{here}/y.mstack")
    assert (declared.status, declared.stderr[:22]) == (ExitStatus.USAGE, "ovlctl: error[OVL-E113")
    lowers = cli("export-mstack", f"{here}/stacks.toml#one", f"{here}/y.mstack", "--no-upper")
    assert (lowers.status, sorted(os.listdir(f"{here}/y.mstack"))) == (0, ["layer@0", "layer@1"])
    assert "is left out" in lowers.stderr


@capabilities.needs_userxattr
def test_a_stack_directory_comes_up(here: str, cli: Cli) -> None:
    """up, status and down take a stack directory; its upper is made on first use."""
    trees.make(here, {"app.mstack/layer@9/f": "nine", "app.mstack/layer@10/f": "ten", "app.mstack/rw": None})
    up = cli("up", f"{here}/app.mstack")
    assert up.status == 0, up.stderr
    assert cli("status", f"{here}/app.mstack").status == 0
    shown = cli("show", "app", "--json").data
    assert [os.path.basename(path) for path in shown["lowers"]] == ["layer@10", "layer@9"]
    assert cli("down", f"{here}/app.mstack").status == 0


def test_as_an_ordinary_user(here: str, ordinary_user: OrdinaryUser) -> None:
    """Units and lines can be printed by anybody."""
    for verb in ("unit", "fstab"):
        done = ordinary_user.ovlctl(verb, f"{here}/stacks.toml", "two")
        assert done.status == 0, done.stderr
        assert "stacks.toml#two" in done.stdout
