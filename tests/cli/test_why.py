"""``ovlctl why`` as a user meets it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ovlctl.errors import ExitStatus, all_errors
from ovlctl.kernel import mounts
from tests import capabilities, trees

if TYPE_CHECKING:
    from tests.conftest import Cli, OrdinaryUser

_SCHEMAS = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "schema")
_LOG = "[   74.352740] overlayfs: workdir and upperdir must reside under the same mount\n"


def _valid(value: Any) -> Any:
    with open(os.path.join(_SCHEMAS, "why.json"), encoding="ascii") as file:
        jsonschema.validate(value, json.load(file))
    return value["data"]


@pytest.fixture
def layers(scratch: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Directories a, b, u, w and t in the present directory."""
    for name in "abuwt":
        trees.make(os.path.join(scratch, name), {})
    monkeypatch.chdir(scratch)
    return scratch


def _paste(monkeypatch: pytest.MonkeyPatch, text: str | bytes) -> None:
    raw = text.encode() if isinstance(text, str) else text
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))


@capabilities.needs_overlay
def test_a_sound_command(layers: str, cli: Cli) -> None:
    """0, one sentence, and nothing is mounted or made."""
    before = trees.everything(layers), mounts.mounts()
    line = ["mount", "-t", "overlay", "overlay", "-o", "lowerdir=a:b,upperdir=u,workdir=w", "t"]
    if not capabilities.root():
        line[5] += ",userxattr"
    done = cli("why", "--", *line)
    assert (done.status, done.stdout) == (0, "no problem found: this would mount\n")
    data = _valid(cli("why", "--json", "--", *line).json)
    assert (data["kind"], data["would_mount"], data["findings"]) == ("command", True, [])
    assert data["mount"]["lowers"] == ["a", "b"]
    assert (trees.everything(layers), mounts.mounts()) == before


def test_a_command_needs_no_dashes(layers: str, cli: Cli) -> None:
    """`ovlctl why mount -t ...` is what one types; the command's options stay its own."""
    line = ["mount", "-t", "overlay", "overlay", "-o", "lowerdir=/nowhere/a,upperdir=/nowhere/u", "t"]
    assert cli("why", *line).stdout == cli("why", "--", *line).stdout
    assert cli("why", "sudo", *line).status == ExitStatus.FINDING


@capabilities.needs_overlay
def test_a_broken_command(layers: str, cli: Cli) -> None:
    """1, the code, both paths, the fix as a command, and what the kernel does."""
    line = ["mount", "-t", "overlay", "overlay", "-o", "lowerdir=a:b,upperdir=u,workdir=u", "t"]
    done = cli("why", "--", *line)
    assert done.status == ExitStatus.FINDING
    assert done.stdout.startswith("OVL-E021 work-overlaps-upper: ")
    assert f"`mkdir {layers}/u.work`" in done.stdout
    assert "refuses with EINVAL" in done.stdout
    data = _valid(cli("why", "--json", "--", *line).json)
    (finding,) = data["findings"]
    assert (finding["code"], finding["certainty"], finding["verdict"]) == ("OVL-E021", "certain", "refuses")
    assert finding["paths"] == [f"{layers}/u", f"{layers}/u"]
    assert (finding["errno"], data["would_mount"]) == ("EINVAL", False)


@pytest.mark.parametrize("how", ["stdin", "file", "argument"])
def test_a_pasted_message(layers: str, cli: Cli, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """From standard input, a file or one quoted argument: the same explanation, status 0."""
    _paste(monkeypatch, _LOG)
    trees.make(layers, {"log": _LOG})
    word = {"stdin": "-", "file": "log", "argument": _LOG}[how]
    done = cli("why", word)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.startswith("OVL-E020 work-on-other-mount: ")
    assert "findmnt -T" in done.stdout


def test_a_guess(layers: str, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare errno is likely, with candidates in order and what would tell them apart; 80 columns suffice."""
    text = "docker: Error response from daemon: error creating overlay mount to /x/merged: invalid argument."
    _paste(monkeypatch, text)
    done = cli("why", "-")
    assert done.status == 0
    assert "(likeliest of " in done.stdout
    assert "could be, the likeliest first:" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    _paste(monkeypatch, text)
    data = _valid(cli("why", "--json", "-").json)
    (finding,) = data["findings"]
    assert finding["certainty"] == "likely"
    assert finding["candidates"][0]["code"] == finding["code"]
    assert data["would_mount"] is None


@pytest.mark.parametrize(
    "word", ["OVL-E012", "ovl-e012", "E012", "e12", "12", "upper-on-overlay", "Upper-On-Overlay", "UpperOnOverlay"]
)
def test_a_page(cli: Cli, word: str) -> None:
    """Every way to write a code or a name leads to its page."""
    done = cli("why", word)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.startswith("OVL-E012 upper-on-overlay\n")
    (page,) = _valid(cli("why", word, "--json").json)["pages"]
    assert page["code"] == "OVL-E012"


def test_all_pages(cli: Cli) -> None:
    """--list has every error, and each has its page."""
    listed = cli("why", "--list").stdout.splitlines()
    assert [line.split()[0] for line in listed] == sorted(error.code for error in all_errors())
    assert len(_valid(cli("why", "--list", "--json").json)["pages"]) == len(listed)


@pytest.mark.parametrize(
    ("words", "status", "code", "says"),
    [
        pytest.param((), 2, "OVL-E001", "ovlctl why CODE", id="nothing"),
        pytest.param(("OVL-E999",), 2, "OVL-E001", "OVL-E", id="unknown code"),
        pytest.param(("upper-on-overly",), 2, "OVL-E001", "upper-on-overlay", id="nearly a name"),
        pytest.param(("./nowhere",), 3, "OVL-E002", "ovlctl why -", id="no file"),
        pytest.param(("/proc",), 3, "OVL-E006", "ovlctl ls", id="no overlay"),
        pytest.param(("--", "mount", "--bind", "a", "b"), 3, "OVL-E006", "leave it out", id="a bind mount"),
        pytest.param(("--", "fuse-overlayfs", "-o", "x", "/m"), 3, "OVL-E006", "FUSE", id="fuse"),
        pytest.param(("the weather is fine",), 3, "OVL-E149", "dmesg", id="nothing recognised"),
    ],
)
def test_bad_input(layers: str, cli: Cli, *, words: tuple[str, ...], status: int, code: str, says: str) -> None:
    """What cannot be explained is one line with a hint, its status, nothing on stdout."""
    done = cli("why", *words)
    assert (done.status, done.stdout) == (status, "")
    first, hint = done.stderr.splitlines()
    assert first.startswith(f"ovlctl: error[{code} ")
    assert hint.startswith("hint: ")
    assert says in done.stderr
    assert cli("why", "--json", *words).error["code"] == code


@pytest.mark.parametrize(
    "raw",
    [
        b"overlayfs: failed to resolve '/\x1b[31m\xff\x07/x': -2",
        b"mount -t overlay overlay -o 'lowerdir=/\xff\x1b]0;x\x07:/b,upperdir=/\xe2\x80\xae' /m",
        b"\x00\x01\x02 overlay: Unknown parameter '\x1b[2J'",
        "overlayfs: filesystem on '/\u202e\u2066x' not supported as upperdir".encode(),
    ],
)
def test_hostile_bytes_are_shown_escaped(cli: Cli, monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    """Nothing of a pasted text reaches the terminal raw."""
    _paste(monkeypatch, raw)
    done = cli("why", "-")
    assert done.stdout
    for line in (done.stdout + done.stderr).splitlines():
        assert line.isprintable()
    _paste(monkeypatch, raw)
    text = cli("why", "-", "--json").stdout
    assert text.isascii()
    _valid(json.loads(text))


@capabilities.needs_overlay
def test_a_mount_point(layers: str, cli: Cli) -> None:
    """The mount point of an overlay is explained like its line."""
    target = f"{layers}/t"
    assert cli("mount", target, "-l", "a", "-l", "b", "--read-only", "--name", "why").status == 0
    try:
        done = cli("why", target)
        assert (done.status, done.stdout[:7]) == (0, "nothing")
        assert "it has no upper" in done.stderr
        assert _valid(cli("why", target, "--json").json)["kind"] == "mounted"
    finally:
        assert cli("umount", "why").status == 0


def test_an_ordinary_user(layers: str, ordinary_user: OrdinaryUser) -> None:
    """Without root the command is explained all the same; with sudo in front the missing capability is no cause."""
    words = ["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={layers}/a:{layers}/b", f"{layers}/t"]
    plain = ordinary_user.ovlctl("why", "--json", "--", *words)
    assert plain.status == ExitStatus.FINDING
    assert [each["code"] for each in plain.data["findings"]] == ["OVL-E004"]
    assert ordinary_user.ovlctl("why", "--json", "--", "sudo", *words).data["findings"] == []
    assert ordinary_user.ovlctl("why", _LOG).status == 0


@capabilities.needs_userns
def test_options_that_need_root(layers: str, ordinary_user: OrdinaryUser) -> None:
    """In a user namespace the option that the kernel would refuse with EPERM is named."""
    words = f"lowerdir={layers}/a:{layers}/b,metacopy=on"
    line = ["mount", "-t", "overlay", "overlay", "-o", words, f"{layers}/t"]
    done = ordinary_user.run(["unshare", "-Urm", sys.executable, "-m", "ovlctl", "why", "--json", "--", *line])
    found = _valid(json.loads(done.stdout))["findings"]
    assert {each["code"] for each in found} == {"OVL-E037"}
    assert {each["errno"] for each in found} == {"EPERM"}


@capabilities.needs_userns_overlay
def test_a_mount_without_root(ordinary_user: OrdinaryUser) -> None:
    """A mount in the user's own namespace is found there."""
    for name in ("low", "base"):
        trees.make(os.path.join(ordinary_user.home, name), {})
        os.chown(os.path.join(ordinary_user.home, name), ordinary_user.uid, ordinary_user.gid)
    own = {"XDG_RUNTIME_DIR": ordinary_user.home}
    made = ordinary_user.ovlctl("mount", "-l", "low", "-l", "base", "--read-only", "--name", "x", "--json", env=own)
    assert made.status == 0, made.stderr
    try:
        done = ordinary_user.ovlctl("why", made.data["target"], env=own)
        assert (done.status, "it has no upper" in done.stderr) == (0, True)
    finally:
        assert ordinary_user.ovlctl("umount", "x", env=own).status == 0


def test_a_closed_input(layers: str) -> None:
    """Without a standard input it is a usage error, no bug."""
    line = f"{sys.executable} -m ovlctl why - <&-"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "standard input is closed" in done.stderr


def test_a_pipe(layers: str) -> None:
    """`dmesg | ovlctl why -`, as a process."""
    done = subprocess.run(
        [sys.executable, "-m", "ovlctl", "why", "-"], input=_LOG, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("OVL-E020")
