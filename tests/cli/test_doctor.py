"""``ovlctl doctor`` as a user meets it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ovlctl.errors import ExitStatus
from ovlctl.kernel import mounts
from ovlctl.kernel.mount import MS, mount
from ovlctl.ops.doctor.values import Ability
from tests import capabilities, trees

if TYPE_CHECKING:
    from tests.conftest import Cli, Finished, MakeFs, OrdinaryUser

_SCHEMA = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "schema", "doctor.json")


def _data(done: Finished) -> Any:
    assert done.stderr == ""
    value = done.json
    with open(_SCHEMA, encoding="ascii") as file:
        jsonschema.validate(value, json.load(file))
    return value["data"]


def _answers(data: Any) -> dict[str, str]:
    """Every answer by name, of one directory."""
    (directory,) = data["directories"]
    found = [*data["host"]["findings"], *data["user"]["findings"], *directory["findings"]]
    return {finding["name"]: finding["answer"] for finding in found}


def test_json_is_complete(scratch: str, cli: Cli) -> None:
    """Every ability has its answer, its cost and how it was found; the text names each, too."""
    done = cli("doctor", "--dir", scratch, "--json")
    assert done.status == 0
    data = _data(done)
    assert set(_answers(data)) == {ability.value for ability in Ability}
    (directory,) = data["directories"]
    status = os.statvfs(scratch)
    assert directory["path"] == scratch
    assert directory["fs"] == mounts.mount_at(scratch).fs_type
    assert abs(directory["free_bytes"] - status.f_bavail * status.f_frsize) < 1 << 30
    text = cli("doctor", "--dir", scratch)
    assert (text.status, text.stderr) == (0, "")
    words = text.stdout.split()
    assert [ability for ability in Ability if ability not in words] == []
    everything = cli("doctor", "--dir", scratch, "--all").stdout
    assert everything.count("without: ") == list(_answers(data).values()).count("yes")


def test_nothing_is_made(scratch: str, state_dir: str, cli: Cli) -> None:
    """Without --dir the place of the state directory is looked at, which is not made."""
    (directory,) = _data(cli("doctor", "--json"))["directories"]
    assert directory["path"] == scratch
    assert os.listdir(scratch) == []


@pytest.mark.parametrize("everything", [(), ("--all",)], ids=["plain", "all"])
def test_fits_a_terminal(scratch: str, cli: Cli, everything: tuple[str, ...]) -> None:
    """No line is wider than 80 columns but for a path that cannot be broken."""
    directories = ("--dir", scratch, "--dir", "/proc", "--dir", "/sys")
    for words in (everything, ("--need", "upper,reflink,metacopy"), ("--need", "help")):
        lines = cli("doctor", *directories, *words).stdout.splitlines()
        assert [line for line in lines if len(line) > 80 and scratch not in line] == []


@capabilities.needs_mounting
def test_only_what_is_missing_is_explained(scratch: str, cli: Cli) -> None:
    """A cost and a fix for each that is missing; what is alike unknown is told once."""
    point = trees.make(os.path.join(scratch, "ro"), {})
    mount("t", point, "tmpfs", MS.RDONLY)
    text = cli("doctor", "--dir", point).stdout.partition("\ndirectory")[2]
    assert "cost: nothing new can be made here" in text
    assert f"sudo mount -o remount,rw {point}" in text
    assert text.count("EROFS") == 2  # why it is not writable, and why all others are unknown
    assert "read-only" in text


@capabilities.needs_fs("tmpfs")
def test_needs(scratch: str, make_fs: MakeFs, cli: Cli) -> None:
    """What is there is fine, what is not makes the status 1 and is named, for each directory."""
    fine = cli("doctor", "--dir", scratch, "--need", "overlay,d_type", "--need", "whiteout")
    assert (fine.status, fine.stderr) == (0, "")
    assert [line[:6] for line in fine.stdout.splitlines() if line[2:4].strip()] == ["  ok  "] * 3
    point = make_fs("tmpfs")
    words = ("--dir", scratch, "--dir", point, "--need", "reflink,overlay")
    missing = cli("doctor", *words)
    assert missing.status == ExitStatus.FINDING
    assert f"ovlctl: needed, but missing: reflink in {point}" in missing.stderr
    assert "cost: the first write to a file copies all its data" in missing.stdout
    done = cli("doctor", *words, "--json")
    assert done.status == ExitStatus.FINDING
    needs = _data(done)["needs"]
    assert [(need["name"], need["directory"]) for need in needs] == [
        ("reflink", scratch),
        ("reflink", point),
        ("overlay", None),
    ]
    assert [need["met"] for need in needs[1:]] == [False, True]
    in_full = cli("doctor", *words, "--all")
    assert in_full.status == ExitStatus.FINDING
    assert in_full.stdout.startswith("host")
    assert "no  reflink in" in in_full.stdout


def test_unknown_is_not_met(ordinary_user: OrdinaryUser) -> None:
    """What cannot be found out is as good as missing, and is called unknown."""
    done = ordinary_user.ovlctl("doctor", "--dir", ordinary_user.home, "--need", "trusted-xattr,user-xattr")
    assert done.status == ExitStatus.FINDING
    assert done.stderr == f"ovlctl: needed, but unknown: trusted-xattr in {ordinary_user.home}\n"


def test_need_help(cli: Cli) -> None:
    """``--need help`` lists every name and looks at nothing."""
    done = cli("doctor", "--need", "help", "--dir", "/no/such")
    assert (done.status, done.stderr) == (0, "")
    words = done.stdout.split()
    assert [ability for ability in Ability if ability not in words] == []
    assert "redirect_dir=nofollow" in words


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("--need", "reflinc"), ExitStatus.USAGE, "did you mean `reflink`?"),
        (("--need", "evil\x1b[31m\n"), ExitStatus.USAGE, "--need help"),
        (("--dir", "/no/such"), ExitStatus.NOT_FOUND, "/no/such does not exist"),
        (("--dir", "/etc/passwd"), ExitStatus.USAGE, "not a directory"),
        (("--dir", ""), ExitStatus.USAGE, "empty"),
        (("extra",), ExitStatus.USAGE, "extra"),
    ],
    ids=["name", "control characters", "missing", "file", "empty", "argument"],
)
def test_wrong_input(cli: Cli, words: tuple[str, ...], status: ExitStatus, says: str) -> None:
    """One line, one hint, the right status, nothing on stdout."""
    done = cli("doctor", *words)
    assert (done.status, done.stdout) == (status, "")
    assert says in done.stderr
    assert "\x1b" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2


@pytest.mark.parametrize("name", ["a\nb", "c\x1b[31md", "not-utf8-\udce9", "space  x,y:z\\", "{}", "\u202eabc"])
def test_hostile_names(scratch: str, cli: Cli, name: str) -> None:
    """Any name is looked at and shown on one line, escaped."""
    path = trees.make(os.path.join(scratch, name), {})
    text = cli("doctor", "--dir", path, "--need", "d_type,overlay, upper")
    assert text.status == 0, text.stderr
    assert all(line.isprintable() for line in text.stdout.splitlines())
    full = cli("doctor", "--dir", path, "--all")
    assert all(line.isprintable() for line in full.stdout.splitlines())
    (directory,) = _data(cli("doctor", "--dir", path, "--json"))["directories"]
    assert ("path_b64" in directory) == ("\udce9" in name)
    answers = {finding["name"]: finding["answer"] for finding in directory["findings"]}
    assert (answers["upper"], answers["lower"]) == ("yes", "yes")
    assert os.listdir(path) == []


def test_ordinary_user(ordinary_user: OrdinaryUser, scratch: str) -> None:
    """Their own directory, and one of somebody else that they may or may not read, each for what it is to them."""
    mine = ordinary_user.ovlctl("doctor", "--dir", ordinary_user.home, "--json")
    answers = _answers(_data(mine))
    assert (answers["root"], answers["mount"]) == ("no", "no")
    able = capabilities.user_namespaces()
    if able:
        assert (answers["rootless"], answers["upper"], answers["lower"]) == ("yes", "yes", "yes")
        assert (answers["metacopy"], answers["userxattr"]) == ("no", "yes")
    if not capabilities.root():
        return
    foreign = trees.make(os.path.join(scratch, "foreign"), {})
    text = ordinary_user.ovlctl("doctor", "--dir", foreign)
    assert (text.status, text.stderr) == (0, "")
    assert "EACCES" in text.stdout
    assert text.stdout.count("fix:  use a directory of your own") == 2
    answers = _answers(_data(ordinary_user.ovlctl("doctor", "--dir", foreign, "--json")))
    assert (answers["upper"], answers["lower"], answers["writable"]) == ("no", "yes", "no")
    assert (answers["d_type"], answers["file-handles"]) == ("unknown", "yes")
    os.chmod(foreign, 0o700)
    answers = _answers(_data(ordinary_user.ovlctl("doctor", "--dir", foreign, "--json")))
    assert (answers["upper"], answers["lower"]) == ("no", "no")
    hidden = trees.make(os.path.join(foreign, "inside"), {})
    assert ordinary_user.ovlctl("doctor", "--dir", hidden).status == ExitStatus.PERMISSION


def test_killed(scratch: str, cli: Cli) -> None:
    """Whenever it is killed, the next run leaves the directory as it was."""
    trees.make(scratch, {"mine": "x"})
    for _ in range(6):
        process = subprocess.Popen([sys.executable, "-m", "ovlctl", "doctor", "--dir", scratch], stdout=subprocess.PIPE)
        time.sleep(random.uniform(0.1, 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert {name for name in os.listdir(scratch) if not name.startswith(".ovlctl-probe-")} == {"mine"}
    assert cli("doctor", "--dir", scratch).status == 0
    assert os.listdir(scratch) == ["mine"]


def test_light(scratch: str) -> None:
    """No heavy module is loaded (benchmarks/startup.py has the times)."""
    code = (
        "import sys; from ovlctl.cli.main import main\n"
        "main(sys.argv[1:])\n"
        "print(*{'rich', 'psutil', 'pyroute2', 'asyncio', 'tempfile'} & set(sys.modules), file=sys.stderr)"
    )
    argv = [sys.executable, "-c", code, "doctor", "--dir", scratch]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stderr.split() == []
