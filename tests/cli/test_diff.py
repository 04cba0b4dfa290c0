"""``ovlctl diff`` as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from ovlctl.errors import ExitStatus
from tests import trees
from tests.capabilities import needs_overlay, needs_root
from tests.schemas import schema, valid

if TYPE_CHECKING:
    from tests.conftest import Cli, OrdinaryUser

pytestmark = [needs_overlay, needs_root]


@pytest.fixture
def stack(scratch: str, state_dir: str, cli: Cli) -> str:
    """The name of a mounted stack that was written to."""
    trees.make(f"{scratch}/top", {"etc/app.conf": "1"})
    trees.make(
        f"{scratch}/base",
        {"etc/app.conf": "0", "etc/passwd": "root", "var/cache/a": "x", "var/cache/b": "y", "bin/tool": "t", "old": ""},
    )
    os.utime(f"{scratch}/base/etc/app.conf", (0, 0))  # times of files made within one tick are the same before 6.13
    os.mkdir(f"{scratch}/m")
    made = cli("mount", f"{scratch}/m", "-l", f"{scratch}/top", "-l", f"{scratch}/base", "--name", "web")
    assert made.status == 0, made.stderr
    merged = f"{scratch}/m"
    with open(f"{merged}/etc/app.conf", "a", encoding="utf-8") as changed:
        changed.write("2")
    os.chmod(f"{merged}/etc/passwd", 0o600)
    subprocess.run(["rm", "-r", f"{merged}/var/cache"], check=True)
    trees.make(merged, {"var/cache/a": "z", "new/file": "n"})
    os.unlink(f"{merged}/old")
    os.utime(f"{merged}/bin/tool", ns=(0, os.stat(f"{merged}/bin/tool").st_mtime_ns))
    return "web"


LINES = [
    "= unchanged - bin/tool  (presumed; 1 B)",
    "~ modified  - etc/app.conf  (content, size, times; 2 B)",
    "~ metadata  - etc/passwd  (mode; 4 B)",
    "+ added     d new",
    "+ added     - new/file  (1 B)",
    "- deleted   - old  (0 B)",
    "! replaced  d var/cache  (opaque)",
    "~ modified  - var/cache/a  (content presumed, times; 1 B)",
    "- deleted   - var/cache/b  (1 B)",
]


def test_text(stack: str, scratch: str, cli: Cli) -> None:
    """A line for each path, in order; by name, by mount point and, below a path in it, for that part alone."""
    done = cli("diff", stack)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.splitlines() == LINES
    assert cli("diff", f"{scratch}/m").stdout == done.stdout
    assert cli("diff", f"{scratch}/m/var").stdout.splitlines() == LINES[6:]
    assert cli("diff", stack, "--path", "/etc/", "-p", "old").stdout.splitlines() == [*LINES[1:3], LINES[5]]
    assert cli("diff", stack, "--only", "deleted", "--only", "added").stdout.splitlines() == [*LINES[3:6], LINES[8]]


def test_content_is_proved(stack: str, cli: Cli) -> None:
    """--content says what was only presumed."""
    lines = cli("diff", stack, "--content").stdout.splitlines()
    assert "= unchanged - bin/tool  (1 B)" in lines
    assert "~ modified  - var/cache/a  (content, times; 1 B)" in lines


def test_json(stack: str, cli: Cli) -> None:
    """The object and its lines keep to the schema and say the same."""
    whole = valid("diff", cli("diff", stack, "--json").json)
    lines = [json.loads(line) for line in cli("diff", stack, "--format", "jsonl").stdout.splitlines()]
    assert whole["data"] == lines
    assert [each["path"] for each in lines][:2] == ["bin/tool", "etc/app.conf"]
    counts = valid("diff-stat", cli("diff", stack, "--stat", "--json").json)["data"]
    assert {each["change"]: each["paths"] for each in counts} == {
        "added": 2,
        "modified": 2,
        "metadata": 1,
        "deleted": 2,
        "replaced": 1,
        "copied-up-unchanged": 1,
    }
    assert cli("diff", stack, "--stat").stdout.splitlines()[0].split() == ["added", "2", "1", "B"]


def test_every_change_and_field_is_in_the_schema() -> None:
    """What the program can say and what the schema allows are the same words."""
    from ovlctl.overlay.change import ChangeKind, Field
    from ovlctl.overlay.tree import Kind

    item = schema("diff")["properties"]["data"]["items"]["properties"]
    assert item["change"]["enum"] == [*ChangeKind]
    assert item["fields"]["items"]["enum"] == [*Field]
    assert item["kind"]["enum"] == [*Kind]


def test_exit_status(stack: str, scratch: str, cli: Cli) -> None:
    """1 with --exit-code when something differs; what was copied up and is equal does not."""
    assert cli("diff", stack, "--exit-code").status == ExitStatus.FINDING
    assert cli("diff", stack, "--exit-code", "--path", "bin").status == ExitStatus.FINE
    assert cli("diff", stack, "--exit-code", "--stat").status == ExitStatus.FINDING


def test_two_layers_two_stacks_and_one_layer_of_a_stack(stack: str, scratch: str, cli: Cli) -> None:
    """B against A; a plain directory is a layer; --layer tells what a lower changes; an unmounted stack will do."""
    lines = cli("diff", f"{scratch}/top", f"{scratch}/base").stdout.splitlines()
    assert "+ added     - etc/passwd  (4 B)" in lines
    assert any(line.startswith("~ modified  - etc/app.conf") for line in lines)
    assert cli("diff", stack, "--layer", "0").stdout.splitlines() == [
        "~ modified  - etc/app.conf  (content presumed, times; 1 B)"
    ]
    trees.make(
        scratch, {"stacks.toml": f'[stack.a]\nlowers = ["{scratch}/top"]\n[stack.b]\nlowers = ["{scratch}/base"]\n'}
    )
    assert cli("diff", f"{scratch}/stacks.toml#a", f"{scratch}/stacks.toml#b").stdout.splitlines() == lines
    assert cli("diff", stack, stack).stdout == ""
    (upper,) = [each["path"] for each in cli("show", stack, "--json").data["layers"] if each["role"] == "upper"]
    given = ("-l", f"{scratch}/top", "-l", f"{scratch}/base", "--upper", upper)
    assert cli("diff", *given).stdout.splitlines() == LINES


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        ((), "OVL-E001", "no STACK was named"),
        (("nowhere",), "OVL-E007", "no stack is named nowhere"),
        (("web", "a", "b"), "OVL-E001", "one or two stacks can be named here, not 3"),
        (("web", "--path", "../x"), "OVL-E001", "`..`"),
        (("web", "--layer", "1"), "OVL-E153", "nothing below it"),
        (("web", "--layer", "9"), "OVL-E153", "`lower:9`"),
        (("web", "--layer", "x"), "OVL-E153", "names no layer"),
        (("web", "--stat", "--format", "docker"), "OVL-E001", "--stat"),
        (("web", "web", "--layer", "0"), "OVL-E001", "one stack"),
        (("-l", "/", "web"), "OVL-E001", "can be named here"),
        (("pid:x",), "OVL-E001", "number of a process"),
        (("pid:0",), "OVL-E007", "no process 0"),
    ],
)
def test_wrong_input(stack: str, cli: Cli, args: tuple[str, ...], code: str, said: str) -> None:
    """One line says what is wrong, and nothing is printed."""
    done = cli("diff", *args)
    assert done.stdout == ""
    assert f"error[{code} " in done.stderr
    assert said in done.stderr.splitlines()[0]


def test_one_format_at_a_time(stack: str, cli: Cli) -> None:
    """--json is no second opinion on --format: where they contradict each other, nothing is printed."""
    done = cli("diff", stack, "--json", "--format", "docker")
    assert (done.status, done.stdout) == (ExitStatus.USAGE, "")
    assert "do not go together" in done.stderr
    assert cli("diff", stack, "--json", "--format", "json").json == cli("diff", stack, "--json").json


def test_names_are_escaped(scratch: str, cli: Cli) -> None:
    """No name reaches a terminal as it is; JSON has its bytes."""
    name = os.fsdecode(b"\x1b[31m\n\xff")
    trees.make(scratch, {f"upper/{name}": "x", "lower/": None})
    given = ("-l", f"{scratch}/lower", "--upper", f"{scratch}/upper")
    assert cli("diff", *given).stdout == "+ added     - \\x1b[31m\\x0a\\xff  (1 B)\n"
    (item,) = valid("diff", cli("diff", *given, "--json").json)["data"]
    assert item["path_b64"] == "G1szMW0K/w=="
    assert cli("diff", *given, "--format", "docker").stdout == "A /\\x1b[31m\\x0a\\xff\n"


def test_an_ordinary_user(scratch: str, ordinary_user: OrdinaryUser) -> None:
    """What can be read is told, what cannot is listed, and marks that only root sees are said to be missing."""
    trees.make(scratch, {"upper/open/f": "x", "upper/closed/g": "y", "lower/open/f": "z"})
    os.chmod(f"{scratch}/upper/closed", 0o700)
    given = ("-l", f"{scratch}/lower", "--upper", f"{scratch}/upper", "--no-userxattr")
    done = ordinary_user.ovlctl("diff", *given, "--json")
    assert done.status == ExitStatus.PARTIAL
    answer: dict[str, Any] = valid("diff", done.json)
    assert [each["path"] for each in answer["data"]] == ["closed", "open/f"]
    assert any(f"{scratch}/upper/closed in upper could not be read" in warning for warning in answer["warnings"])
    assert any("trusted.overlay" in warning for warning in answer["warnings"])
