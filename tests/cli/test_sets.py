"""up, down, plan and status as a user meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ovlctl.errors import ExitStatus
from ovlctl.kernel import mounts
from ovlctl.kernel.mount import MNT, umount2
from tests import capabilities, trees

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Cli, OrdinaryUser

pytestmark = capabilities.needs_overlay

_SCHEMAS = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "schema")

_SET = """
[stack.top]
lowers = [{stack = "base"}, "c"]
target = "t"

[stack.base]
lowers = ["a", "b"]
upper = {tmpfs = "1M"}

[stack.ro]
lowers = [{layers = "base"}, "c"]
upper = "none"
"""


def _valid(name: str, value: Any) -> Any:
    with open(os.path.join(_SCHEMAS, f"{name}.json"), encoding="ascii") as file:
        jsonschema.validate(value, json.load(file))
    return value["data"]


def _write(path: str, text: str) -> str:
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    return path


@pytest.fixture
def declared(scratch: str) -> Iterator[str]:
    """A stack file of three stacks, whose layers exist; what is mounted there goes after."""
    for name in "abc":
        trees.make(f"{scratch}/{name}", {"f": name, name: name})
    os.mkdir(f"{scratch}/t")
    yield _write(f"{scratch}/set.toml", _SET)
    for each in reversed(mounts.mounts()):
        if each.mount_point.startswith(scratch + "/"):
            umount2(each.mount_point, MNT.DETACH)


def test_from_up_to_down(declared: str, cli: Cli) -> None:
    """The four verbs in text, each in few and short lines; only findings have a status of their own."""
    base = os.path.dirname(declared)
    planned = cli("plan", declared)
    assert (planned.status, planned.stderr) == (0, "")
    assert [line.split()[:2] for line in planned.stdout.splitlines()] == [
        ["make", "base"],
        ["make", "top"],
        ["make", "ro"],
    ]
    told = cli("status", declared)
    assert told.status == ExitStatus.FINDING
    assert told.stdout.count("not mounted") == 3
    assert told.stderr == f"ovlctl: `ovlctl up {declared}` makes it as declared\n"
    done = cli("up", declared)
    assert (done.status, done.stderr) == (0, "")
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["mounted", "base"],
        ["mounted", "top"],
        ["mounted", "ro"],
    ]
    assert cli("up", declared).stdout == "nothing to do: 3 stacks are as declared\n"
    idle = cli("up", declared, "--dry-run")
    assert (idle.stdout, idle.stderr) == ("", "ovlctl: nothing to do: everything is as declared\n")
    told = cli("status", declared)
    assert (told.status, told.stderr) == (0, "")
    assert told.stdout.count("as declared") == 3
    time.sleep(0.02)
    trees.make(f"{base}/a", {"f": "new"})
    told = cli("status", declared, "ro")
    assert told.status == ExitStatus.FINDING
    assert told.stdout.splitlines()[1] == f"    1 path changed in the lower {base}/a since the mount: f"
    assert "lowers changed" in told.stdout
    assert "ovlctl refresh NAME" in told.stderr
    assert cli("status", declared, "--no-lowers").status == 0
    os.mkdir(f"{base}/d")
    _write(declared, _SET.replace('"c"]\nupper = "none"', '"d"]\nupper = "none"').replace('target = "t"', ""))
    assert cli("show", f"{declared}#ro").status == 0
    planned = cli("plan", declared)
    assert "change  top" in planned.stdout
    assert f"    its target is {base}/t, declared is " in planned.stdout
    assert f"    the lower {base}/c is not declared any more" in planned.stdout
    told = cli("down", declared)
    assert (told.status, told.stderr) == (0, "")
    assert [line.split()[:2] for line in told.stdout.splitlines()[:3]] == [
        ["ended", "ro"],
        ["ended", "top"],
        ["ended", "base"],
    ]
    assert told.stdout.count("is kept") == 2
    assert cli("down", declared).stdout == "nothing to do: nothing is mounted from this file\n"


def test_json(declared: str, cli: Cli) -> None:
    """Every verb answers in JSON that keeps to its published schema, with and without --dry-run."""
    planned = _valid("plan", cli("plan", declared, "--json").json)
    assert planned["changes"]
    assert [(each["name"], each["action"]) for each in planned["stacks"]] == [
        ("base", "make"),
        ("top", "make"),
        ("ro", "make"),
    ]
    would = _valid("up", cli("up", declared, "-n", "--json").json)
    assert would["dry_run"]
    assert any(step.startswith("mount -t overlay") and "ovlctl:top" in step for step in would["steps"])
    assert not mounts.mounts("overlay")
    done = _valid("up", cli("up", declared, "--json").json)
    assert (done["dry_run"], done["steps"], done["stacks"]) == (False, [], planned["stacks"])
    assert not _valid("up", cli("up", declared, "--json").json)["changes"]
    time.sleep(0.02)
    trees.make(f"{os.path.dirname(declared)}/a", {"\udcff": "new"})
    told = _valid("status", cli("status", declared, "--json").json)
    assert not told["as_declared"]
    (detail,) = next(each for each in told["stacks"] if each["name"] == "ro")["lowers"]["details"]
    assert detail["first"] == [".", "\\xff"]
    assert _valid("status", cli("status", declared, "--json", "--no-lowers").json)["as_declared"]
    _write(declared, _SET.partition("[stack.ro]")[0])
    told = _valid("status", cli("status", declared, "--json", "--no-lowers").json)
    assert told["stacks"][-1]["condition"] == "not declared"
    done = _valid("up", cli("up", declared, "--json").json)
    assert [each["action"] for each in done["stacks"]] == ["keep", "keep", "end"]
    would = _valid("down", cli("down", declared, "-n", "--discard", "--json").json)
    assert would["dry_run"]
    assert any(step.startswith("umount ") for step in would["steps"])
    assert len(mounts.mounts("overlay")) == 2
    done = _valid("down", cli("down", declared, "--discard", "--yes", "--json").json)
    assert [each["name"] for each in done["ended"]] == ["top", "base"]
    assert sorted(done["discarded"]) == ["base", "top"]
    assert cli("ls", "--json").data == []


@pytest.mark.parametrize("text", [None, "[stack.top", "[stack.x]\nuper = 1"], ids=["gone", "no TOML", "wrong"])
def test_down_without_the_file(declared: str, cli: Cli, text: str | None) -> None:
    """What was mounted from a file is ended whatever became of it, with a warning; without mounts it is an error."""
    assert cli("up", declared).status == 0
    if text is None:
        os.unlink(declared)
    else:
        _write(declared, text)
    assert _valid("down", cli("down", declared, "-n", "--json").json)["ended"]
    done = cli("down", declared)
    assert done.status == 0
    assert done.stdout.count("ended") == 3
    assert done.stderr.startswith("ovlctl: warning: ")
    assert "what was mounted from it counts" in done.stderr
    assert cli("down", declared).status in {ExitStatus.USAGE, ExitStatus.NOT_FOUND}


@capabilities.needs_root
def test_mounts_of_another_namespace(declared: str, cli: Cli) -> None:
    """What is mounted in another mount namespace is not passed over by any verb."""
    argv = ["unshare", "-m", "sh", "-c", f"{sys.executable} -m ovlctl up {declared} && echo ready && exec sleep 60"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert "ready\n" in process.stdout
            for verb in ("up", "plan", "down"):
                done = cli(verb, declared)
                assert done.status != 0
                assert f"nsenter -t {process.pid} -m ovlctl" in done.stderr
            assert "another mount namespace" in cli("status", declared).stdout
        finally:
            process.kill()


def test_discard_asks(declared: str, cli: Cli) -> None:
    """What holds something is removed only after a yes."""
    cli("up", declared)
    trees.make(f"{os.path.dirname(declared)}/t", {"mine": "precious"})
    refused = cli("down", declared, "--discard")
    assert refused.status == ExitStatus.USAGE
    assert "--yes" in refused.stderr
    assert len(mounts.mounts("overlay")) == 3
    assert cli("down", declared, "--discard", "--yes").status == 0
    assert cli("ls", "--json").data == []


@pytest.mark.parametrize(
    ("text", "status", "code", "words"),
    [
        ("[stack.a]\nlowers = [x]", 2, "E100", "line 2"),
        ("[stack.a]\nlowers = ['a']\nuper = 'none'", 2, "E101", "hint: did you mean `upper`?"),
        ("[stack.a]\nlowers = ['a']\n\"k\\u001b[31m\" = 1", 2, "E101", "\\x1b[31m"),
        ("[stack.a]\nlowers = ['${NO_SUCH_VARIABLE}']", 2, "E102", "NO_SUCH_VARIABLE"),
        ("[stack.a]\nlowers = [{stack = 'b'}]", 3, "E103", "declares no stack b"),
        ("[stack.a]\nlowers = [{stack = 'a'}]", 2, "E104", "a on a"),
        ("[stack.a]\nlowers = ['no\\nsuch']", 3, "E002", "no\\x0asuch"),
        ("[stack.a]\nlowers = ['a']\nupper = 'none'", 2, "E016", "this is about the stack a"),
    ],
    ids=["syntax", "key", "control characters", "variable", "name", "circle", "lower", "one lower"],
)
def test_wrong_files(declared: str, cli: Cli, *, text: str, status: int, code: str, words: str) -> None:
    """Each mistake has its code, one line that names the place, and what is in it is shown escaped."""
    if code == "E002":
        text = text.replace("'no\\nsuch'", '"no\\nsuch"')
    _write(declared, text)
    for verb in ("plan", "up"):
        done = cli(verb, declared)
        assert (done.status, done.stdout) == (status, "")
        assert done.stderr.startswith(f"ovlctl: error[OVL-{code} ")
        assert words in done.stderr
        assert all(line.isprintable() for line in done.stderr.splitlines())
        assert cli(verb, declared, "--json").error["code"] == f"OVL-{code}"
    assert not mounts.mounts("overlay")


def test_names_that_are_not_declared(declared: str, cli: Cli) -> None:
    """A name that the file does not have is not found, by any verb, and the nearest one is proposed."""
    for verb in ("up", "down", "plan", "status"):
        done = cli(verb, declared, "bsae")
        assert done.status == ExitStatus.NOT_FOUND
        assert done.stderr.splitlines()[-1] == "hint: did you mean `base`?"
        assert cli(verb, declared + ".gone").status == ExitStatus.NOT_FOUND


def test_failures_are_told_with_what_became_of_the_rest(declared: str, cli: Cli) -> None:
    """An error in a later stack keeps its code; notes tell where it happened and what was undone."""
    trees.make(os.path.dirname(declared), {"u/": None, "w/": None})
    text = _SET.replace('{tmpfs = "1M"}', '{dir = "u", work = "w"}').replace('"c"]\ntarget', '"u"]\ntarget')
    _write(declared, text)
    done = cli("up", declared)
    assert done.status == ExitStatus.UNSUPPORTED
    assert "note: this happened while mounting top\n" in done.stderr
    assert "note: what was mounted before it was unmounted: base\n" in done.stderr
    notes = cli("up", declared, "--json").error["notes"]
    assert notes[-1] == "what was mounted before it was unmounted: base"
    assert not mounts.mounts("overlay")


def test_odd_directories(scratch: str, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers and files with any name can be declared, the bytes that TOML cannot write through a variable."""
    odd = f"{scratch}/o:d,d \\ \udcff\n"
    trees.make(odd, {"a,b:c\\d/f": "one", "t/": None})
    trees.make(scratch, {"low/f": "two"})
    monkeypatch.setenv("ODD", odd)
    file = _write(f"{odd}/s.toml", '[stack.x]\nlowers = ["a,b:c\\\\d", "${ODD}/../low"]\ntarget = "${ODD}/t"\n')
    assert cli("up", file).status == 0
    with open(f"{odd}/t/f", encoding="ascii") as content:
        assert content.read() == "one"
    told = cli("status", file)
    assert told.status == 0, told.stdout
    assert told.stdout.isascii()
    assert "path_b64" not in cli("plan", file, "--json").stdout
    assert _valid("plan", cli("plan", file, "--json").json)["stacks"][0]["target_b64"]
    assert cli("down", file, "--discard").status == 0
    assert not mounts.mounts("overlay")


@capabilities.needs_root
def test_several_at_once(declared: str, cli: Cli) -> None:
    """Of several that come up at once one mounts everything, and the others find nothing left to do."""
    argv = [sys.executable, "-m", "ovlctl", "up", declared]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = sorted(process.communicate()[0].splitlines()[0].split()[0] for process in running)
    assert [process.returncode for process in running] == [0] * 4
    assert said == ["mounted", "nothing", "nothing", "nothing"]
    assert len(mounts.mounts("overlay")) == 3


@capabilities.needs_userns_overlay
def test_ordinary_user(declared: str, scratch: str, ordinary_user: OrdinaryUser) -> None:
    """Without root a set comes up, is written to, is looked at and ends; nobody else sees its mounts."""
    home = ordinary_user.home
    for name in "abc":
        os.mkdir(f"{home}/{name}")
        _write(f"{home}/{name}/f", name)
    os.mkdir(f"{home}/t")
    file = _write(f"{home}/set.toml", _SET)
    for name in ("a", "b", "c", "t", "a/f", "b/f", "c/f", "set.toml"):
        os.chown(f"{home}/{name}", ordinary_user.uid, ordinary_user.gid)
    env = {"OVLCTL_STATE_DIR": f"{home}/state"}
    try:
        planned = ordinary_user.ovlctl("plan", file, env=env)
        assert planned.status == 0, planned.stderr
        done = ordinary_user.ovlctl("up", file, env=env)
        assert done.status == 0, done.stderr
        assert not mounts.mounts("overlay")
        written = ordinary_user.ovlctl("exec", "base", "--", "sh", "-c", "echo new > g; cat f", env=env)
        assert (written.status, written.stdout) == (0, "a"), written.stderr
        assert ordinary_user.ovlctl("exec", "top", "--", "cat", "g", env=env).stdout == "new\n"
        told = ordinary_user.ovlctl("status", file, "--no-lowers", env=env)
        assert told.status == 0, told.stdout + told.stderr
        assert ordinary_user.ovlctl("up", file, env=env).stdout.startswith("nothing to do")
        assert ordinary_user.ovlctl("down", file, "base", env=env).status == ExitStatus.UNSUPPORTED
    finally:
        ended = ordinary_user.ovlctl("down", file, "--discard", "--yes", env=env)
    assert ended.status == 0, ended.stderr
    assert json.loads(ordinary_user.ovlctl("ls", "--json", env=env).stdout)["data"] == []
