"""mount, umount, ls and show as a user meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ovlctl.errors import ExitStatus
from ovlctl.kernel import mounts
from ovlctl.kernel.mount import MS, mount, umount2
from tests import capabilities, trees

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Cli, OrdinaryUser

pytestmark = capabilities.needs_overlay

_SCHEMAS = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "schema")


def _valid(name: str, value: Any) -> Any:
    with open(os.path.join(_SCHEMAS, f"{name}.json"), encoding="ascii") as file:
        jsonschema.validate(value, json.load(file))
    return value


@pytest.fixture
def layers(scratch: str) -> Iterator[str]:
    """Lowers a and b, and a target t, below the directory returned; overlays left mounted there are ended."""
    for name in "ab":
        trees.make(os.path.join(scratch, name), {"f": name, name: name})
    trees.make(os.path.join(scratch, "t"), {})
    yield scratch
    for each in reversed(mounts.mounts("overlay")):
        if each.mount_point.startswith(scratch):
            umount2(each.mount_point)


def test_from_mount_to_umount(layers: str, cli: Cli) -> None:
    """The four verbs agree on one stack, in text and in JSON that keeps to the published schemas."""
    target = f"{layers}/t"
    # index=on needs root.
    words, key, asked = (
        (("--index", "on"), "index", "on") if capabilities.root() else (("--xino", "off"), "xino", "off")
    )
    made = cli("mount", target, "-l", f"{layers}/a", "-l", f"{layers}/b", *words, "--json")
    assert (made.status, made.stderr) == (0, "")
    data = _valid("mount", made.json)["data"]
    assert data["lowers"] == [f"{layers}/a", f"{layers}/b"]
    assert data["requested"] == {key: asked}
    assert data["options"][key] == asked
    assert data["options"]["redirect_dir"] in {"follow", "nofollow"}
    assert (data["api"]["rung"], data["managed"], data["read_only"]) == ("mount", True, False)
    name = data["name"]
    with open(f"{target}/f", "w") as file:
        file.write("changed")
    (listed,) = _valid("ls", cli("ls", "--json", "--size").json)["data"]
    assert {key: listed[key] for key in data} == data
    assert listed["stale"] is False
    assert listed["upper_bytes"] > 0
    for word in (name, target, f"{target}/f"):
        shown = _valid("show", cli("show", word, "--json").json)["data"]
        assert [layer["role"] for layer in shown["layers"]] == ["upper", "work", "lower", "lower"]
    text = cli("show", name)
    assert ("kept over copy-up (index=on)" in text.stdout) == bool(capabilities.root())
    assert (text.status, text.stderr) == (0, "")
    assert name in cli("ls").stdout
    ended = cli("umount", name, "--json")
    assert _valid("umount", ended.json)["data"]["kept_upper"] == data["upper"]
    (kept,) = cli("ls", "--json").data
    assert (kept["standing"], kept["target"]) == ("kept", None)
    again = cli("mount", target, "-l", f"{layers}/a", "-l", f"{layers}/b", "--name", name, "--json").data
    assert again["upper"] == data["upper"]
    with open(f"{target}/f") as file:
        assert file.read() == "changed"


@capabilities.needs_root
def test_what_is_said_follows_the_result(layers: str) -> None:
    """Also where both streams go into one file."""
    words = ["mount", f"{layers}/t", "-l", f"{layers}/a", "-l", f"{layers}/b", "--name", "x"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-m", "ovlctl", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0].startswith("mounted x")
    assert lines[-1].startswith("ovlctl: end it")


def test_discard_asks(layers: str, cli: Cli) -> None:
    """What holds something is removed only after a yes; what is empty needs none; what is not ours never goes."""
    cli("mount", "-l", f"{layers}/a", "--name", "x")
    (data,) = cli("ls", "--json").data
    trees.make(data["target"], {"mine": "precious"})
    refused = cli("umount", "x", "--discard")
    assert refused.status == ExitStatus.USAGE
    assert "--yes" in refused.stderr
    assert os.path.exists(f"{data['upper']}/mine")
    assert mounts.mounts("overlay")
    done = cli("umount", "x", "--discard", "--yes")
    assert done.status == 0
    assert os.path.dirname(data["upper"]) in done.stdout
    assert not os.path.exists(data["upper"])
    trees.make(layers, {"u/": None, "w/": None})
    cli("mount", f"{layers}/t", "-l", f"{layers}/a", "--upper", f"{layers}/u", "--work", f"{layers}/w")
    assert "OVL-E061" in cli("umount", f"{layers}/t", "--discard", "--yes").stderr
    assert cli("umount", f"{layers}/t").status == 0
    assert os.path.isdir(f"{layers}/u")


@pytest.mark.parametrize("size", [(), ("4M",)], ids=["default size", "4M"])
def test_upper_in_memory(layers: str, cli: Cli, size: tuple[str, ...]) -> None:
    """--tmpfs-upper [SIZE] puts upper and work on a tmpfs of that size, which ends with --discard."""
    made = cli("mount", f"{layers}/t", "-l", f"{layers}/a", "--tmpfs-upper", *size, "--json")
    assert made.status == 0, made.stderr
    upper = made.data["upper"]
    assert mounts.mount_at(upper).fs_type == "tmpfs"
    if size:
        assert os.statvfs(upper).f_blocks * os.statvfs(upper).f_frsize == 4 << 20
    trees.make(f"{layers}/t", {"mine": "x"})
    assert cli("umount", made.data["name"]).status == 0
    assert os.path.exists(f"{upper}/mine")
    assert cli("umount", made.data["name"], "--discard", "--yes").status == 0
    assert not [each for each in mounts.mounts("tmpfs") if each.mount_point.startswith(layers)]


def test_other_peoples_overlays(layers: str, cli: Cli) -> None:
    """An overlay mounted by somebody else is listed, shown and, when named, unmounted; nothing of it is removed."""
    mount("theirs", f"{layers}/t", "overlay", MS.RDONLY, f"lowerdir={layers}/a:{layers}/b".encode())
    (data,) = cli("ls", "--json").data
    assert (data["name"], data["managed"], data["source"], data["read_only"]) == (None, False, "theirs", True)
    assert "not mounted by ovlctl" in cli("show", f"{layers}/t").stdout
    assert "OVL-E061" in cli("umount", f"{layers}/t", "--discard").stderr
    assert cli("umount", f"{layers}/t").status == 0
    assert cli("ls", "--json").data == []


def test_busy(layers: str, cli: Cli) -> None:
    """A busy mount stays, and the error names who holds it and how."""
    cli("mount", f"{layers}/t", "-l", f"{layers}/a", "--name", "x")
    holder = subprocess.Popen(
        [sys.executable, "-c", "import sys; f = open('a'); print(flush=True); sys.stdin.read()"],
        cwd=f"{layers}/t",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        refused = cli("umount", "x", "--json")
        assert refused.status == ExitStatus.UNSUPPORTED
        error = _valid("error", json.loads(refused.stderr))["error"]
        assert (error["code"], error["errno"]) == ("OVL-E060", "EBUSY")
        assert f"pid {holder.pid}" in error["message"]
        assert f"{layers}/t/a" in error["message"]
        (data,) = cli("ls", "--json").data
        assert data["standing"] == "mounted"
    finally:
        holder.communicate()
    assert cli("umount", "x").status == 0


def test_stale_record(layers: str, cli: Cli) -> None:
    """A mount that was ended behind ovlctl's back leaves a record that is called stale and can be cleared away."""
    cli("mount", f"{layers}/t", "-l", f"{layers}/a", "-l", f"{layers}/b", "--read-only", "--name", "x")
    umount2(f"{layers}/t")
    (data,) = cli("ls", "--json").data
    assert (data["stale"], data["standing"]) == (True, "stale")
    assert "stale" in cli("ls").stdout
    assert cli("umount", "x").status == 0
    assert cli("ls", "--json").data == []


def test_dry_run_changes_nothing(layers: str, cli: Cli) -> None:
    """-n prints the exact steps and leaves no trace, not even a state directory."""
    before = trees.everything(layers), mounts.mounts()
    planned = cli("mount", f"{layers}/t", "-l", f"{layers}/a", "-n")
    assert planned.status == 0
    assert f"lowerdir={layers}/a,upperdir=" in planned.stdout
    _valid("mount", cli("mount", f"{layers}/t", "-l", f"{layers}/a", "-n", "--json").json)
    assert (trees.everything(layers), mounts.mounts()) == before
    cli("mount", f"{layers}/t", "-l", f"{layers}/a", "--name", "x")
    before = trees.everything(layers), mounts.mounts()
    assert f"umount {layers}/t" in cli("umount", "x", "-n").stdout
    assert (trees.everything(layers), mounts.mounts()) == before


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        pytest.param(("mount",), 2, "OVL-E015", id="no lower"),
        pytest.param(("mount", "-l", "nowhere"), 3, "OVL-E002", id="missing lower"),
        pytest.param(("mount", "-l", "a", "--name", "../x"), 2, "OVL-E001", id="bad name"),
        pytest.param(("mount", "-l", "a", "--index", "maybe"), 2, "OVL-E001", id="bad value"),
        pytest.param(("mount", "-l", "a", "--bogus"), 2, "OVL-E001", id="bad option"),
        pytest.param(("mount", "-l", "a", "--read-only", "--tmpfs-upper"), 2, "OVL-E001", id="two uppers"),
        pytest.param(("mount", "-l", ""), 2, "OVL-E001", id="empty path"),
        pytest.param(("umount", "nothing"), 3, "OVL-E007", id="unknown name"),
        pytest.param(("umount", "/"), 3, "OVL-E006", id="no overlay"),
        pytest.param(("show", "/proc"), 3, "OVL-E006", id="show no overlay"),
    ],
)
def test_bad_input(
    layers: str, cli: Cli, monkeypatch: pytest.MonkeyPatch, *, words: tuple[str, ...], status: int, code: str
) -> None:
    """Bad input gets its code and status, one line and a hint, nothing on stdout, and leaves nothing behind."""
    monkeypatch.chdir(layers)
    before = trees.everything(layers)
    text = cli(*words)
    assert (text.status, text.stdout) == (status, "")
    first, *rest = text.stderr.splitlines()
    assert first.startswith(f"ovlctl: error[{code} ")
    assert all(line.startswith(("hint: ", "kernel: ")) for line in rest)
    coded = cli(*words, "--json")
    assert (coded.status, coded.stdout) == (status, "")
    assert _valid("error", json.loads(coded.stderr))["error"]["code"] == code
    assert trees.everything(layers) == before


def test_untrusted_state_directory(layers: str, cli: Cli, state_dir: str) -> None:
    """A state directory that others may write is refused."""
    os.makedirs(f"{state_dir}/run", mode=0o700)
    os.chmod(f"{state_dir}/run", 0o777)
    refused = cli("mount", f"{layers}/t", "-l", f"{layers}/a")
    assert (refused.status, "OVL-E070" in refused.stderr) == (ExitStatus.PERMISSION, True)


@capabilities.needs_userns_overlay
def test_in_a_user_namespace(layers: str, ordinary_user: OrdinaryUser) -> None:
    """In a user namespace of one's own mounting works, with userxattr, and rmdir + mkdir of a lower directory too."""
    trees.make(ordinary_user.home, {"low/dir/old": "x", "other/": None})
    for directory, names, files in os.walk(ordinary_user.home):
        for name in (*names, *files):
            os.chown(os.path.join(directory, name), ordinary_user.uid, ordinary_user.gid)
    script = """
        "$0" -m ovlctl mount -l low -l other --name x --json >made
        cd .local/state/ovlctl/stacks/x/merged
        rm dir/old; rmdir dir; mkdir dir; ls dir
        cd ~
        "$0" -m ovlctl umount x --discard --yes
    """
    done = ordinary_user.run(["unshare", "-Urm", "sh", "-ec", script, sys.executable])
    assert done.returncode == 0, done.stderr
    with open(os.path.join(ordinary_user.home, "made")) as file:
        data = json.load(file)["data"]
    assert (data["rootless"], data["options"]["userxattr"]) == (True, True)
    assert "old" not in done.stdout
