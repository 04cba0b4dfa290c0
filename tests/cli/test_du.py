"""``ovlctl du`` as a user meets it."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ovlctl.errors import ExitStatus
from tests import trees
from tests.capabilities import needs_overlay, needs_root, needs_userns_overlay

if TYPE_CHECKING:
    from tests.conftest import Cli, OrdinaryUser

_SCHEMAS = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "schema")
MIB = 1 << 20


def _valid(name: str, value: Any) -> Any:
    with open(os.path.join(_SCHEMAS, f"{name}.json"), encoding="ascii") as file:
        jsonschema.validate(value, json.load(file))
    return value


def _copied(base: str, source: str, target: str) -> None:
    # As the kernel copies up: content, mode and times.
    os.makedirs(os.path.dirname(f"{base}/{target}"), exist_ok=True)
    with open(f"{base}/{source}", "rb") as old, open(f"{base}/{target}", "wb") as new:
        new.write(old.read())
    status = os.stat(f"{base}/{source}")
    os.utime(f"{base}/{target}", ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def words(scratch: str) -> list[str]:
    """A stack as words: two MiB copied up for nothing, one of its own, one shadowed."""
    trees.make(scratch, {"low/waste": b"w" * 2 * MIB, "low/sub/old": b"o" * MIB, "low/seen": b"s" * MIB})
    trees.make(scratch, {"up/sub/old": "new", "up/own": b"m" * MIB})
    _copied(scratch, "low/waste", "up/waste")
    return ["du", "-l", f"{scratch}/low", "--upper", f"{scratch}/up", "--no-userxattr"]


def _status(done_certain: ExitStatus) -> set[ExitStatus]:
    # Without root, trusted marks cannot be seen.
    return {done_certain} if os.geteuid() == 0 else {ExitStatus.PARTIAL}


def test_text(words: list[str], scratch: str, cli: Cli) -> None:
    """Layers, a table, what it comes to, the largest, and what frees each; nothing wider than a terminal."""
    done = cli(*words, "--top", "2")
    assert done.status in _status(ExitStatus.FINE)
    text = done.stdout.replace(scratch, "S")
    assert all(len(line) <= 80 for line in text.splitlines())
    rows = {line[:7]: re.split(r"  +", line[7:].strip()) for line in text.splitlines() if line[:7].strip()}
    assert text.startswith("stack S/up\n  upper    S/up\n  lower 0  S/low\n\n")
    assert rows["upper  "][2] == "2 MiB"
    assert rows["lower 0"][3] == "1 MiB"
    assert "  reclaimable  2 MiB in 1 file copied up and unchanged, by size and time\n" in text
    assert "largest\n  2 MiB  reclaimable  upper  waste\n  1 MiB  own          upper  own\nfreed by\n" in text
    assert "by content" in cli(*words, "--content").stdout
    assert cli(*words, "--top", "0").stdout.find("largest") == -1


def test_json(words: list[str], cli: Cli) -> None:
    """Every part keeps to the published schema, and the layers add up to the totals."""
    data = _valid("du", cli(*words, "--json", "--by", "path").json)["data"]
    totals = data["totals"]
    every = [*data["layers"], *data["work"]]
    for key in ("bytes", "inodes", "apparent"):
        assert sum(each[key] for each in every) == totals[key]
        kinds = ("visible", "reclaimable", "shadowed", "hidden", "whiteouts", "overlayfs", "unknown")
        assert sum(totals[kind][key] for kind in kinds) == totals[key]
    assert (totals["reclaimable"]["bytes"], totals["shadowed"]["bytes"]) == (2 * MIB, MIB)
    assert [(each["role"], each["index"]) for each in data["layers"]] == [("upper", 0), ("lower", 0)]
    assert [each["path"] for each in data["paths"]] == ["", "sub"]
    first = data["top"][0]
    assert (first["path"], first["class"], first["layer"]["role"], first["bytes"]) == (
        "waste",
        "reclaimable",
        "upper",
        2 * MIB,
    )
    assert data["growth"] is None
    assert data["rules"] == []


def test_paths(words: list[str], cli: Cli) -> None:
    """By path, each row has all below it; the first has everything."""
    done = cli(*words, "--by", "path", "--depth", "1", "--top", "0", "--apparent")
    rows = [line for line in done.stdout.splitlines() if line.endswith(("  .", "  sub"))]
    assert [re.split(r"  +", row.strip())[0] for row in rows] == ["7.00 MiB", "1.00 MiB"]
    data = cli(*words, "--by", "path", "--depth", "0", "--json").data
    assert [each["bytes"] for each in data["paths"]] == [data["totals"]["bytes"]]


def test_growth(words: list[str], scratch: str, cli: Cli) -> None:
    """The first look is said to be one when growth is asked for; the next has what was written in between."""
    assert "growth: this is the first look at" in cli(*words, "--growth", "--no-remember").stdout
    assert "growth:" not in cli(*words).stdout
    trees.make(scratch, {"up/more": b"x" * MIB})
    told = cli(*words, "--no-remember")
    assert re.search(r"^growth: \+1 MiB and \+1 file in \d+ s, since 20\d\d-", told.stdout, re.MULTILINE)
    growth = _valid("du", cli(*words, "--json").json)["data"]["growth"]
    assert (growth["bytes"], growth["files"], len(growth["uppers"])) == (MIB, 1, 1)
    assert growth["uppers"][0]["elapsed_ns"] > 0


def test_gates(words: list[str], scratch: str, cli: Cli) -> None:
    """Exit with 1 when a rule fails, with a line for each; not for what passes, and not for errors."""
    failed = cli(*words, "--fail-over", "1M")
    assert failed.status == ExitStatus.FINDING
    assert failed.stdout.endswith("\nFAIL fail-over: 2 MiB reclaimable, at most 1 MiB\n")
    assert cli(*words, "--fail-over", "2M").status in _status(ExitStatus.FINE)
    rules = f"{scratch}/rules.toml"
    trees.make(scratch, {"rules.toml": 'max_hidden = "1M"\nmax_reclaimable_percent = 12.5\nmax_upper = "1G"\n'})
    done = cli(*words, "--rules", rules, "--json")
    assert done.status == ExitStatus.FINDING
    outcomes = {each["rule"]: each["outcome"] for each in _valid("du", done.json)["data"]["rules"]}
    assert outcomes["max_reclaimable_percent"] == "fail"
    assert set(outcomes.values()) == {"fail", "pass" if os.geteuid() == 0 else "undecided"}
    trees.make(scratch, {"rules.toml": 'max_reclaimible = "1M"\n'})
    wrong = cli(*words, "--rules", rules)
    assert wrong.status == ExitStatus.USAGE
    assert wrong.stderr.splitlines()[1] == "hint: did you mean `max_reclaimable`?"


def test_hostile_names(scratch: str, cli: Cli) -> None:
    """Any bytes in names are shown on one line; pipes, sockets and devices are not opened; links lead nowhere."""
    name = "a\nb\x1b[31m\udcff\u202e"
    trees.make(scratch, {f"low/{name}/{name}": b"x" * MIB, f"up/{name}/{name}": b"y" * MIB, "up/f": ""})
    os.mkfifo(f"{scratch}/up/pipe")
    os.symlink("/etc", f"{scratch}/up/etc")
    os.symlink("/etc", f"{scratch}/low/f")
    words = ("du", "-l", f"{scratch}/low", "--upper", f"{scratch}/up", "--no-userxattr", "--by", "path")
    done = cli(*words)
    assert done.status in _status(ExitStatus.FINE)
    assert not {char for char in done.stdout if not char.isprintable()} - {"\n"}
    assert r"a\x0ab\x1b[31m\xff\xe2\x80\xae" in done.stdout
    data = _valid("du", cli(*words, "--json").json)["data"]
    assert {each["class"] for each in data["top"]} == {"own", "shadowed"}
    assert all("path_b64" in each for each in data["top"])
    assert data["totals"]["files"] == 6


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        pytest.param((), 2, "OVL-E001", id="nothing"),
        pytest.param(("",), 2, "OVL-E001", id="empty"),
        pytest.param(("no-such",), 3, "OVL-E007", id="unknown name"),
        pytest.param(("/no/such",), 3, "OVL-E007", id="unknown path"),
        pytest.param(("/proc",), 3, "OVL-E006", id="no overlay"),
        pytest.param(("-l", "/no/such"), 3, "OVL-E002", id="missing layer"),
        pytest.param(("-l", "/etc/passwd"), 2, "OVL-E003", id="layer is a file"),
        pytest.param(("--upper", "/"), 2, "OVL-E001", id="no lower"),
        pytest.param(("-l", "/usr", "app"), 2, "OVL-E001", id="both"),
        pytest.param(("-l", "/usr", "--depth", "1"), 2, "OVL-E001", id="depth without path"),
        pytest.param(("-l", "/usr", "--growth"), 2, "OVL-E152", id="growth without upper"),
        pytest.param(("-l", "/usr", "--fail-over", "50MB"), 2, "OVL-E001", id="no size"),
        pytest.param(("-l", "/usr", "--rules", "/no/such.toml"), 3, "OVL-E002", id="missing rules"),
        pytest.param(("-l", "/usr", "--rules", "/dev/zero"), 2, "OVL-E001", id="endless rules"),
        pytest.param(("-l", "/usr", "--top", "-1"), 2, "OVL-E001", id="negative"),
        pytest.param(("-l", "/usr", "--by", "size"), 2, "OVL-E001", id="by what"),
        pytest.param(("-l", "/usr", "--bogus"), 2, "OVL-E001", id="bad option"),
    ],
)
def test_bad_input(cli: Cli, words: tuple[str, ...], status: int, code: str) -> None:
    """Bad input gets its code and status, one line and a hint, before anything is read."""
    done = cli("du", *words)
    assert (done.status, done.stdout) == (status, "")
    lines = [line for line in done.stderr.splitlines() if not line.startswith("ovlctl: marks are read")]
    assert lines[0].startswith(f"ovlctl: error[{code} ")
    assert all(line.startswith("hint: ") for line in lines[1:])


@needs_root
@needs_overlay
def test_stacks_by_name(scratch: str, cli: Cli) -> None:
    """Several mounted stacks at once: the lower that they share counts once and is listed in each."""
    low = trees.make(f"{scratch}/low", {"f": b"f" * MIB, "g": b"g" * MIB})
    trees.make(scratch, {"one/": None, "two/": None})
    for name in ("one", "two"):
        assert cli("mount", f"{scratch}/{name}", "-l", low, "--name", name).status == 0
        trees.make(f"{scratch}/{name}", {"own": b"o" * MIB})
    trees.make(f"{scratch}/two", {"f": "changed"})
    try:
        done = cli("du", "one", f"{scratch}/two/own", "--by", "stack")
        assert done.status == ExitStatus.FINE
        assert "lies in the stack of two, all of which is looked at" in done.stderr
        assert f"  1:lower 0  {low}\n" in done.stdout.partition("stack 2: two\n")[2]
        data = _valid("du", cli("du", "one", "two", "--json").json)["data"]
        assert [each["stacks"] for each in data["layers"]] == [[0], [0, 1], [1]]
        assert 4 * MIB <= data["totals"]["bytes"] < 5 * MIB
        # What two has changed, one still shows.
        assert data["totals"]["shadowed"]["bytes"] == 0
    finally:
        for name in ("one", "two"):
            assert cli("umount", name, "--discard", "--yes").status == 0


@needs_root
def test_ordinary_user_and_roots_layers(scratch: str, ordinary_user: OrdinaryUser) -> None:
    """What may not be read is listed, what it hides is unknown, a rule is not passed by it, and the status says so."""
    trees.make(scratch, {"low/f": b"f" * MIB, "low/d/g": b"g" * MIB, "up/d/x": "x", "up/secret/s": "s"})
    os.chmod(f"{scratch}/up/d", 0o700)
    os.chmod(f"{scratch}/up/secret", 0o700)
    words = ("du", "-l", f"{scratch}/low", "--upper", f"{scratch}/up", "--state-dir", f"{scratch}/home/state")
    done = ordinary_user.ovlctl(*words, "--json", "--fail-over", "1G")
    assert done.status == ExitStatus.PARTIAL, done.stderr
    answer = _valid("du", done.json)
    totals = answer["data"]["totals"]
    assert totals["unreadable"] == 2
    assert totals["unknown"] == {"inodes": 1, "bytes": MIB, "apparent": MIB, "shared_elsewhere": 0}
    assert [each["outcome"] for each in answer["data"]["rules"]] == ["undecided"]
    assert answer["warnings"] == [
        f"{scratch}/up/{name} could not be read: Permission denied (EACCES)" for name in ("d", "secret")
    ]
    text = ordinary_user.ovlctl(*words)
    assert text.status == ExitStatus.PARTIAL
    assert ", each counted once: in part unknown\n" in text.stdout
    blind = ordinary_user.ovlctl("du", "-l", f"{scratch}/low", "--no-userxattr", "--json")
    assert (blind.status, blind.data["totals"]["certain"]) == (ExitStatus.PARTIAL, False)
    assert "trusted.overlay.*" in blind.json["warnings"][0]


@pytest.mark.parametrize("option", [("--fail-over", "0"), ("--lower", "/"), ("--growth",), ("--content",)])
def test_holders_are_told_without_rules(cli: Cli, option: tuple[str, ...]) -> None:
    """What only stacks are asked is refused where engines' stores are told: a limit that nobody looks at is none."""
    done = cli("du", "docker", "--by", "image", *option)
    assert done.status == ExitStatus.USAGE
    assert f"leave out `{option[0]}`" in done.stderr
    done = cli("du", "docker")
    assert done.status == ExitStatus.NOT_FOUND
    assert "ovlctl du docker --by container" in done.stderr


@needs_userns_overlay
def test_own_stack_without_root(ordinary_user: OrdinaryUser) -> None:
    """Somebody's own stack is told in full, work directory and all, and its growth is remembered."""
    script = """
        mkdir -p low; head -c 1M /dev/urandom > low/f; head -c 1M /dev/urandom > low/g
        ovlctl() { "$0" -m ovlctl "$@"; }
        ovlctl mount -l low --name app >&2
        ovlctl exec app -- sh -c 'rm g; : >> f' >&2
        ovlctl du app > first
        ovlctl exec app -- sh -c 'head -c 1M /dev/urandom > new' >&2
        ovlctl du app --json; echo $? >&2
        ovlctl umount app --discard --yes >&2
    """
    import sys

    done = ordinary_user.run(["sh", "-c", script, sys.executable])
    assert done.returncode == 0, done.stderr
    data = _valid("du", json.loads(done.stdout))["data"]
    totals = data["totals"]
    assert (totals["certain"], totals["unreadable"]) == (True, 0)
    assert totals["reclaimable"]["apparent"] == totals["hidden"]["apparent"] == MIB
    assert totals["marks"]["whiteouts"] == 1
    assert data["growth"]["files"] == 1
    assert [each["part"] for each in data["work"]] == ["work"]
