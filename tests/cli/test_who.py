"""``ovlctl who`` as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ovlctl.errors import ExitStatus
from ovlctl.kernel.mount import MS, mount, umount2
from tests import trees
from tests.as_user import account_name
from tests.capabilities import needs_overlay, needs_root, needs_userns_overlay, root
from tests.kernel import overlays
from tests.kernel.children import child

if TYPE_CHECKING:
    from tests.conftest import Cli, OrdinaryUser

pytestmark = needs_overlay

_SCHEMAS = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "schema")
_CHDIR = "import os, sys\nos.chdir(sys.argv[1])"
#: Some process of this machine may be closed to the test, root or not.
_FINE = {ExitStatus.FINE, ExitStatus.PARTIAL}


def _valid(name: str, value: Any) -> Any:
    with open(os.path.join(_SCHEMAS, f"{name}.json"), encoding="ascii") as file:
        jsonschema.validate(value, json.load(file))
    return value


@pytest.fixture
def merged(scratch: str) -> str:
    """Mount point of an overlay."""
    return overlays.simple(scratch, userxattr=not root())


def test_text(merged: str, scratch: str, cli: Cli) -> None:
    """By namespace, then process: pid, name, user, kind and path, and the command that ends it."""
    (bind,) = overlays.directories(scratch, "bi nd")
    mount(f"{merged}/sub", bind, None, MS.BIND)
    with child(_CHDIR, merged) as pid:
        done = cli("who", merged)
    assert done.status in _FINE
    lines = done.stdout.splitlines()
    assert lines[:4] == [
        f"mount {merged}",
        "",
        "in this mount namespace",
        f"  bind of /sub at {bind}",
    ]
    assert lines[4] == f"    end it: umount '{bind}'"
    assert lines[5].startswith(f"  pid {pid} python")
    assert lines[6:] == [f"    cwd     {merged}", f"    end it: kill {pid}"]


def test_json(merged: str, scratch: str, cli: Cli) -> None:
    """Every part of the answer keeps to the published schema, for a mount and for each of its layers."""
    second, low = overlays.directories(scratch, "second", "low")
    extra = "" if root() else ",userxattr"
    mount("o", second, "overlay", MS.RDONLY, f"lowerdir={merged}:{low}{extra}".encode())
    mount("t", f"{merged}/sub", "tmpfs")
    with child(_CHDIR, merged) as pid:
        data = _valid("who", cli("who", merged, "--json").json)["data"]
        (group,) = data["namespaces"]
        assert [each["role"] for each in group["mounts"]] == ["itself", "submount"]
        (process,) = group["processes"]
        assert (process["pid"], process["release"]) == (pid, f"kill {pid}")
        assert (process["container"], process["holds"][0]["path"]) == (None, merged)
        (overlay,) = data["overlays"]
        assert overlay["mounted_at"][0]["mount_point"] == second
        for name in ("lower", "upper", "work"):
            data = _valid("who", cli("who", f"{scratch}/{name}", "--layer", "--json").json)["data"]
            assert [use["role"] for each in data["overlays"] for use in each["uses"]] == [name]
    umount2(f"{merged}/sub")
    umount2(second)


def test_exit_status(merged: str, cli: Cli) -> None:
    """An answer is no failure, whatever it is; with --exit-code somebody found is 1."""
    assert cli("who", merged).status in _FINE
    assert cli("who", merged, "--exit-code").status in _FINE
    with child(_CHDIR, merged):
        assert cli("who", merged).status in _FINE
        assert cli("who", merged, "--exit-code").status == ExitStatus.FINDING


def test_odd_names(scratch: str, cli: Cli) -> None:
    """Names with control characters, newlines and bytes that are no text are shown on one line, and quoted."""
    place = os.path.join(scratch, "a\nb\x1b[31m\udcff")
    os.mkdir(place)
    merged = overlays.simple(place, userxattr=not root())
    path = os.path.join(merged, "sub")
    mount("t", path, "tmpfs")
    with child(_CHDIR, merged):
        done = cli("who", merged)
        assert not set(done.stdout) & {"\x1b", "\udcff"}
        assert r"a\x0ab\x1b[31m\xff" in done.stdout
        (command,) = [line for line in done.stdout.splitlines() if "umount" in line]
        data = _valid("who", cli("who", merged, "--json").json)["data"]
        assert data["path_b64"]
    if root():  # else it has no right to unmount: capabilities in a user namespace do not survive execve(2) there
        subprocess.run(["bash", "-c", command.partition(": ")[2]], check=True)
    else:
        umount2(path)
    assert not os.path.ismount(path)
    umount2(merged)


def test_process_names(merged: str, cli: Cli) -> None:
    """A process chooses its name; it cannot forge a line with it."""
    code = "import os, sys\nopen('/proc/self/comm', 'wb').write(b'x\\n\\x1b[2Jy')\nos.chdir(sys.argv[1])"
    with child(code, merged) as pid:
        done = cli("who", merged)
    (line,) = [line for line in done.stdout.splitlines() if f"pid {pid}" in line]
    assert r"x\x0a\x1b[2Jy" in line


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        pytest.param(("who",), 2, "OVL-E001", id="nothing"),
        pytest.param(("who", ""), 2, "OVL-E001", id="empty"),
        pytest.param(("who", "no-such"), 3, "OVL-E007", id="unknown name"),
        pytest.param(("who", "/no/such"), 3, "OVL-E007", id="unknown path"),
        pytest.param(("who", "--layer", "/no/such"), 3, "OVL-E002", id="unknown layer"),
        pytest.param(("who", "/", "--bogus"), 2, "OVL-E001", id="bad option"),
    ],
)
def test_bad_input(cli: Cli, words: tuple[str, ...], status: int, code: str) -> None:
    """Bad input gets its code and status, one line and a hint."""
    done = cli(*words)
    assert (done.status, done.stdout) == (status, "")
    first, *rest = done.stderr.splitlines()
    assert first.startswith(f"ovlctl: error[{code} ")
    assert all(line.startswith("hint: ") for line in rest)
    refused = cli(*words, "--json")
    assert _valid("error", json.loads(refused.stderr))["error"]["code"] == code


@needs_root
def test_ordinary_user(merged: str, scratch: str, ordinary_user: OrdinaryUser) -> None:
    """Without root the own processes are found, and it is said how many others could not be looked at."""
    script = 'cd "$1"; "$0" -m ovlctl who "$1" --json'
    with child(_CHDIR, merged) as pid:
        done = ordinary_user.run(["sh", "-c", script, sys.executable, merged])
    assert done.returncode == ExitStatus.PARTIAL, done.stderr
    answer = _valid("who", json.loads(done.stdout))
    assert answer["data"]["unreadable_processes"] > 0
    assert any("lack of permission" in warning for warning in answer["warnings"])
    found = [each for group in answer["data"]["namespaces"] for each in group["processes"]]
    assert {each["user"] for each in found} == {str(ordinary_user.uid)}
    assert pid not in {each["pid"] for each in found}
    # The shell it was asked from is told to leave, not killed.
    assert {each["release"] for each in found} == {"cd /"}


@needs_userns_overlay
def test_mounts_without_root(scratch: str, ordinary_user: OrdinaryUser) -> None:
    """Mounts that live in a user's own namespace: the commands work where the user is, which is outside."""
    script = """
        mkdir -p low/sub
        ovlctl() { "$0" -m ovlctl "$@"; }
        ovlctl mount -l low --name app >&2
        mkfifo ready
        ovlctl exec app -- sh -c 'mount -t tmpfs t sub; echo >"$0"; exec sleep 60' "$PWD/ready" &
        read line <ready
        ovlctl who app --json
        ovlctl who app --json | "$0" -c 'import json, sys
for group in json.load(sys.stdin)["data"]["namespaces"]:
    print(*(each["release"] for key in ("processes", "mounts") for each in group[key] if each["release"]), sep="\\n")
' | grep -v /merged$ | while read command; do echo "$command" >&2; eval "$command" || exit 9; done
        wait
        ovlctl umount app --discard --yes >&2
    """
    done = ordinary_user.run(["sh", "-c", script, sys.executable])
    assert done.returncode == 0, done.stderr
    data = _valid("who", json.loads(done.stdout))["data"]
    (group,) = data["namespaces"]
    assert not group["own"]
    (process,) = group["processes"]
    assert process["user"] == account_name(ordinary_user.uid)
    (top,) = [each for each in group["mounts"] if each["role"] == "submount"]
    assert top["release"].startswith("nsenter --user=/proc/")


def test_layer_of_nothing(scratch: str, cli: Cli) -> None:
    """A directory that nobody uses, on no overlay."""
    place = trees.make(os.path.join(scratch, "alone"), {"f": "x"})
    done = cli("who", "--layer", place)
    assert done.status in _FINE
    assert done.stdout.startswith(f"layer {place}\n  nobody")
