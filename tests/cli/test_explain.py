"""``ovlctl explain`` as a user meets it."""

from __future__ import annotations

import json
import os
from functools import cache
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ovlctl.errors import ExitStatus
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from ovlctl.overlay.options import Flag, Options, Switch
from ovlctl.overlay.stack import Stack
from tests import trees
from tests.capabilities import needs_overlay, needs_root, needs_userns_overlay, overlay_handles, root
from tests.kernel.children import child
from tests.overlay.made import mounted

if TYPE_CHECKING:
    from tests.conftest import Cli, Finished, OrdinaryUser

pytestmark = needs_overlay

_SCHEMAS = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "schema")
MINE = Options() if root() else Options(userxattr=Flag.YES)


@cache
def _validator() -> jsonschema.Draft202012Validator:
    with open(os.path.join(_SCHEMAS, "explain.json"), encoding="ascii") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def _valid(done: Finished) -> list[dict[str, Any]]:
    _validator().validate(done.json)
    data: list[dict[str, Any]] = done.data
    return data


@pytest.fixture
def stack(scratch: str) -> Stack:
    """Two lowers and an upper, on disk."""
    trees.make(f"{scratch}/app", {"etc/app.conf": "newer", "etc/ssl/": None})
    trees.make(f"{scratch}/base", {"etc/app.conf": "old", "etc/ssl/key": "k" * 5000, "usr/lib/x": "lib"})
    os.symlink("usr/lib", f"{scratch}/base/lib")
    os.symlink("/usr/lib/../lib", f"{scratch}/base/usr/lib64")
    trees.make(scratch, {"upper/": None, "work/": None})
    return Stack([f"{scratch}/app", f"{scratch}/base"], upper=f"{scratch}/upper", work=f"{scratch}/work", options=MINE)


#: What the kernel says to a right answer: it confirms it where it tells which object of which layer it shows.
_CHECKED = True if root() and overlay_handles() else None


def _given(stack: Stack) -> list[str]:
    lowers = [word for lower in stack.lowers for word in ("--lower", lower)]
    upper = [] if stack.upper is None else ["--upper", stack.upper]
    return [*lowers, *upper, *(["--userxattr"] if stack.options.userxattr is Flag.YES else [])]


def test_text(stack: Stack, scratch: str, cli: Cli) -> None:
    """The answer first, then every layer, the numbers and the costs, in 80 columns but for paths."""
    with mounted(stack, f"{scratch}/merged") as point:
        done = cli("explain", point, "/etc/ssl/key")
        ino = os.lstat(f"{point}/etc/ssl/key").st_ino
    assert done.status == ExitStatus.FINE
    lines = done.stdout.splitlines()
    assert lines[:4] == [
        "/etc/ssl/key",
        f"  a regular file, from lower 1: {scratch}/base",
        "  why     the topmost layer that has the name provides it",
        "  kernel  agrees: it names the same object, by its file handle"
        if _CHECKED
        else "  kernel  not checkable: the kernel does not tell which layer's object it is;",
    ]
    assert f"  upper    {scratch}/upper: nothing" in lines
    assert f"> lower 1  {scratch}/base" in lines
    assert f"  st_ino  {ino} (measured): the number of the lower's object" in lines
    assert "  first   2 directories, /etc down to /etc/ssl, come into the upper, without" in lines
    assert any(line.startswith("  write   copies 4.88 KiB") for line in lines) or "clones" in done.stdout
    assert all(len(line) <= 80 for line in lines if scratch not in line)


def test_json(stack: Stack, scratch: str, cli: Cli) -> None:
    """The members that the issue names, and the whole in the shape of the schema; mounted, and from directories."""
    with mounted(stack, f"{scratch}/merged") as point:
        found = _valid(cli("explain", point, "etc/app.conf", "etc", "lib", "", "no/where", "--json"))
    conf = found[0]
    assert [each["path"] for each in found] == ["etc/app.conf", "etc", "lib", "", "no/where"]
    assert (conf["exists"], conf["kind"], conf["rule"]) == (True, "file", "topmost")
    assert conf["provider"] == {"role": "lower", "index": 0, "dir": f"{scratch}/app"}
    assert [(each["role"], each["index"], each["verdict"]) for each in conf["candidates"]] == [
        ("upper", 0, "absent"),
        ("lower", 0, "provides"),
        ("lower", 1, "shadowed"),
    ]
    assert conf["data_layer"] == {"role": "lower", "index": 0, "dir": f"{scratch}/app", "path": "etc/app.conf"}
    assert set(conf["on_change"]) == {"write", "chmod", "rename", "unlink"}
    assert conf["on_change"]["write"]["parents"] == ["etc"]
    assert conf["on_change"]["unlink"] == {**conf["on_change"]["unlink"], "copies_bytes": 0, "whiteout": True}
    assert conf["kernel"]["agrees"] is _CHECKED
    assert found[1]["on_change"]["rename"]["exdev"] is True
    assert found[2]["candidates"][2]["target"] == "usr/lib"
    assert (found[4]["exists"], found[4]["errno"], found[4]["provider"], found[4]["inode"]) == (
        False,
        "ENOENT",
        None,
        None,
    )
    (given,) = _valid(cli("explain", *_given(stack), "etc/app.conf", "--json"))
    assert given["provider"] == conf["provider"]
    assert (given["kernel"]["checked"], given["kernel"]["ground"]) == (False, "not-mounted")
    assert given["inode"]["known"] == "predicted"
    assert given["inode"]["ino"] == conf["inode"]["ino"]


def test_a_path_in_the_merged_view_names_stack_and_path(stack: Stack, scratch: str, cli: Cli) -> None:
    """One word is enough where it is a path through the mount."""
    with mounted(stack, f"{scratch}/merged") as point:
        (one,) = _valid(cli("explain", f"{point}/etc/app.conf", "--json"))
        assert one["path"] == "etc/app.conf"
        (same,) = _valid(cli("explain", f"{point}/etc/ssl/", "--json"))
        assert same["path"] == "etc/ssl"
        (top,) = _valid(cli("explain", point, "--json"))
        assert (top["path"], top["rule"]) == ("", "root")


def test_through_symbolic_links(stack: Stack, scratch: str, cli: Cli) -> None:
    """A path through a link is not followed: the link is named, and what to ask for; the kernel finds just that."""
    with mounted(stack, f"{scratch}/merged") as point:
        done = cli("explain", point, "lib/x")
        assert done.status == ExitStatus.FINE
        assert done.stdout.splitlines()[1:3] == [
            "  leads through the symbolic link /lib -> usr/lib",
            "  ask for /usr/lib/x",
        ]
        found = _valid(cli("explain", point, "lib/x", "usr/lib64/x", "lib/nothing", "--json"))
        assert [each["obstacle"]["instead"] for each in found] == ["usr/lib/x", "usr/lib/x", None]
        assert os.path.samefile(f"{point}/lib/x", f"{point}/usr/lib/x")
        (itself,) = _valid(cli("explain", point, "lib", "--json"))
        assert (itself["kind"], itself["obstacle"]) == ("symlink", None)


def test_nowhere(stack: Stack, scratch: str, cli: Cli) -> None:
    """Nothing in any layer is status 3, with a hint where the mount point was given along; what hides is an answer."""
    with mounted(stack, f"{scratch}/merged") as point:
        done = cli("explain", point, "etc/nope")
        assert (done.status, done.stderr) == (ExitStatus.NOT_FOUND, "")
        assert "no layer has the name in this directory" in done.stdout
        done = cli("explain", point, f"{point}/etc/app.conf")
        assert done.status == ExitStatus.NOT_FOUND
        assert done.stderr.splitlines()[-1].endswith("count from the root of the merged view: ask for etc/app.conf")
        os.unlink(f"{point}/etc/app.conf")
        done = cli("explain", point, "etc/app.conf")
        assert done.status == ExitStatus.FINE
        assert "why     a whiteout says that the name is gone (in upper)" in done.stdout


@needs_root
def test_the_kernel_disagrees(stack: Stack, scratch: str, cli: Cli) -> None:
    """A layer changed under the mount is status 1, a warning and the command that helps."""
    with mounted(stack, f"{scratch}/merged") as point:
        held = os.open(f"{point}/etc/ssl/key", os.O_PATH)
        trees.make(stack.lowers[0], {"etc/ssl/key": "put in front"})
        done = cli("explain", point, "etc/ssl/key")
        data = _valid(cli("explain", point, "etc/ssl/key", "--json"))
        os.close(held)
    assert done.status == ExitStatus.FINDING
    assert "KERNEL DISAGREES" in done.stdout
    assert f"`ovlctl refresh {point}`" in done.stderr
    assert (data[0]["kernel"]["checked"], data[0]["kernel"]["agrees"]) == (True, False)


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        pytest.param(("explain",), 2, "OVL-E001", id="nothing"),
        pytest.param(("explain", "no-such", "x"), 3, "OVL-E007", id="unknown name"),
        pytest.param(("explain", "/no/such"), 3, "OVL-E007", id="unknown path"),
        pytest.param(("explain", "--upper", "/tmp", "x"), 2, "OVL-E001", id="no lower"),
        pytest.param(("explain", "--lower", "/no/such", "x"), 3, "OVL-E002", id="no such lower"),
        pytest.param(("explain", "--lower", "/etc/hostname", "x"), 2, "OVL-E003", id="lower is a file"),
        pytest.param(("explain", "--lower", "/", "a/../b"), 2, "OVL-E001", id="dots"),
        pytest.param(("explain", "--lower", "/", "x", "--metacopy", "maybe"), 2, "OVL-E001", id="bad value"),
        pytest.param(("explain", "--lower", "/", "usr", "--bench", "/no/such"), 3, "OVL-E002", id="no such result"),
        pytest.param(("explain", "--lower", "/", "usr", "--bench", "/etc/passwd"), 2, "OVL-E084", id="no result"),
    ],
)
def test_bad_input(cli: Cli, words: tuple[str, ...], status: int, code: str) -> None:
    """Bad input gets its code and status, and no result."""
    done = cli(*words)
    assert (done.status, done.stdout) == (status, ""), done.stderr
    assert f"error[{code} " in done.stderr
    assert "Traceback" not in done.stderr


@needs_root
def test_ordinary_user(scratch: str, stack: Stack, ordinary_user: OrdinaryUser) -> None:
    """Marks that only root sees make an answer uncertain, or none at all where the mount shows that they count."""
    os.setxattr(f"{scratch}/app/etc/ssl", "trusted.overlay.opaque", b"y")
    os.mkdir(f"{scratch}/base/private")
    trees.make(f"{scratch}/base", {"private/x": "x"})
    os.chmod(f"{scratch}/base/private", 0o700)
    with mounted(stack, f"{scratch}/merged") as point:
        os.chmod(f"{point}/usr/lib/x", 0o640)
        paths = ("etc/app.conf", "etc/ssl/key", "private/x", "usr/lib/x")
        done = ordinary_user.ovlctl("explain", point, *paths, "--json")
        text = ordinary_user.ovlctl("explain", point, "etc/ssl/key")
    assert done.status == text.status == ExitStatus.PARTIAL
    conf, hidden, closed, copied = _valid(done)
    # The kernel confirms which object it is to anybody.
    assert (conf["exists"], conf["certain"], conf["kernel"]["agrees"]) == (True, False, _CHECKED)
    assert (hidden["exists"], hidden["outcome"], hidden["provider"]) == (False, "unknown", None)
    assert hidden["kernel"] == {**hidden["kernel"], "ground": "unseen-marks", "errno": "ENOENT", "agrees": None}
    assert (closed["exists"], closed["outcome"]) == (None, "unknown")
    assert [(each["path"], each["errno"]) for each in closed["unreadable"]] == [("private/x", "EACCES")]
    # Whether it was copied up cannot be seen; what the mount shows is measured, and nothing else is foretold.
    assert (copied["certain"], copied["inode"]["known"], copied["inode"]["predicted"]) == (False, "measured", None)
    assert copied["inode"]["donor"] == "lower"
    assert any("trusted.overlay" in warning for warning in done.json["warnings"])
    assert any("private/x" in warning for warning in done.json["warnings"])
    assert "  kernel  says that nothing is there (ENOENT)" in text.stdout.splitlines()


@needs_root
def test_ordinary_user_and_directories(scratch: str, stack: Stack, ordinary_user: OrdinaryUser) -> None:
    """Directories are read as the user would mount them, with user.overlay.* marks, and so for certain."""
    os.setxattr(f"{scratch}/app/etc/ssl", "user.overlay.opaque", b"y")
    done = ordinary_user.ovlctl("explain", *_given(stack), "etc/ssl/key", "--json")
    (hidden,) = _valid(done)
    assert (done.status, hidden["exists"], hidden["certain"]) == (ExitStatus.FINE, False, True)
    assert "user.overlay" in done.stderr
    root_like = ordinary_user.ovlctl("explain", *_given(stack), "--no-userxattr", "etc/ssl/key", "--json")
    (shown,) = _valid(root_like)
    assert (root_like.status, shown["exists"], shown["certain"]) == (ExitStatus.PARTIAL, True, False)


@needs_root
@needs_userns_overlay
def test_rootless_mount(scratch: str, ordinary_user: OrdinaryUser) -> None:
    """A mount of the user's own is explained whole, with what copy-ups lose there."""
    home = ordinary_user.home
    trees.make(home, {"lower/f": "data", "lower/d/g": "x", "merged/": None})
    for directory, names, files in os.walk(home):
        for name in (".", *names, *files):
            os.chown(os.path.join(directory, name), ordinary_user.uid, ordinary_user.gid)
    assert ordinary_user.ovlctl("mount", "--lower", f"{home}/lower", f"{home}/merged", "--name", "own").status == 0
    try:
        done = ordinary_user.ovlctl("explain", "own", "f", "d", "", "--json")
        found = _valid(done)
        text = ordinary_user.ovlctl("explain", "own", "f")
    finally:
        ordinary_user.ovlctl("umount", "own", "--discard", "--yes")
    assert done.status == ExitStatus.FINE, done.stderr
    assert [each["certain"] for each in found] == [True, True, True]
    assert found[0]["kernel"]["ground"] == "no-answer"
    assert found[0]["inode"]["known"] == "measured"
    assert found[0]["inode"]["ino"] == found[0]["inode"]["predicted"] == os.lstat(f"{home}/lower/f").st_ino
    assert (found[0]["inode"]["after_remount"], found[0]["inode"]["remount_because"]) == ("no", "no-right-to-handles")
    assert text.status == 0


@needs_root
def test_hostile_names(scratch: str, cli: Cli) -> None:
    """Names, marks and targets with any byte cannot forge a line; JSON has their bytes."""
    name = "a\nb\x1b[31m\udcff\u202e"
    trees.make(f"{scratch}/lower{name}", {f"{name}/{name}": "x"})
    os.symlink(name, f"{scratch}/lower{name}/link")
    os.setxattr(f"{scratch}/lower{name}/{name}", "trusted.overlay.redirect", os.fsencode(name))
    os.setxattr(f"{scratch}/lower{name}/{name}", f"trusted.overlay.{name}", b"\xff")
    trees.make(scratch, {"upper/": None, "work/": None})
    stack = Stack([f"{scratch}/lower{name}"], upper=f"{scratch}/upper", work=f"{scratch}/work")
    with (
        mounted(stack, f"{scratch}/merged") as point,
        child("import sys\nf = open(sys.argv[1])", f"{scratch}/lower{name}/{name}/{name}"),
    ):
        for path in (f"{name}/{name}", name, "link", f"link/{name}", f"{name}/{name}/{name}"):
            done = cli("explain", point, path)
            assert all(line.isprintable() for line in done.stdout.splitlines())
            found = _valid(cli("explain", point, path, "--json"))
            assert found[0]["path_b64"] if path != "link" else found[0]["candidates"][1]["target_b64"]


@needs_root
def test_five_hundred_layers(scratch: str, cli: Cli) -> None:
    """Layers that say the same are counted, not listed; JSON has them all."""
    lowers = [trees.make(f"{scratch}/l{number}", {"d/": None}) for number in range(498)]
    trees.make(f"{scratch}/l100", {"d/f": "here"})
    trees.make(f"{scratch}/l497", {"d/f": "and here"})
    trees.make(scratch, {"upper/": None, "work/": None})
    stack = Stack(lowers, upper=f"{scratch}/upper", work=f"{scratch}/work")
    with mounted(stack, f"{scratch}/merged") as point:
        done = cli("explain", point, "d/f", "d")
        assert done.status == ExitStatus.FINE
        assert len(done.stdout.splitlines()) < 100
        assert "  lower 2 to lower 99: nothing (98 layers more)" in done.stdout
        found = _valid(cli("explain", point, "d/f", "--json"))
        assert len(found[0]["candidates"]) == 499
        assert found[0]["provider"]["index"] == 100


@needs_root
def test_another_mount_on_top(stack: Stack, scratch: str, cli: Cli) -> None:
    """What lies under a mount inside the view is explained, and said to be covered."""
    with mounted(stack, f"{scratch}/merged") as point:
        mount("t", f"{point}/etc/ssl", "tmpfs", MS(0))
        try:
            done = cli("explain", point, "etc/ssl/key")
        finally:
            umount2(f"{point}/etc/ssl", MNT(0))
    assert done.status == ExitStatus.FINE
    assert "  kernel  not checkable: another mount lies on this path" in done.stdout


@needs_root
def test_index_of_directories(scratch: str, cli: Cli) -> None:
    """With --work and --index on the index is read, also of a stack that is not mounted."""
    trees.make(scratch, {"lower/a": "old", "upper/": None, "work/": None})
    os.link(f"{scratch}/lower/a", f"{scratch}/lower/b")
    stack = Stack(
        [f"{scratch}/lower"], upper=f"{scratch}/upper", work=f"{scratch}/work", options=Options(index=Switch.ON)
    )
    with mounted(stack, f"{scratch}/merged") as point:
        os.chmod(f"{point}/a", 0o600)
    given = ("explain", *_given(stack), "--work", f"{scratch}/work", "--json", "b")
    assert _valid(cli(*given))[0]["rule"] == "topmost"
    (found,) = _valid(cli(*given, "--index", "on"))
    assert (found["rule"], found["candidates"][0]["mode"]) == ("indexed", 0o600)
    assert found["on_change"]["write"]["remarks"] == ["linked-from-index"]


def test_predictions(stack: Stack, scratch: str, cli: Cli) -> None:
    """Times come from a saved run, kept or named, and are said to be predicted; without one there are none."""
    with mounted(stack, f"{scratch}/merged") as point:
        (none,) = _valid(cli("explain", point, "etc/ssl/key", "--json"))
        assert none["on_change"]["write"]["predicted_ns"] is None
        run = (
            "bench-copyup",
            "--dir",
            scratch,
            "--size",
            "4K,64K",
            "--op",
            "write,unlink",
            "--samples",
            "6",
            "--no-identity",
        )
        done = cli(*run, "--json", f"{scratch}/result.json")
        assert done.status == 0, done.stderr
        (named,) = _valid(cli("explain", point, "etc/ssl/key", "--bench", f"{scratch}/result.json", "--json"))
        done = cli(*run, "--save")
        assert done.status == 0, done.stderr
        assert "bench.json" in done.stderr
        (kept,) = _valid(cli("explain", point, "etc/ssl/key", "--json"))
        text = cli("explain", point, "etc/ssl/key").stdout
    with open(f"{scratch}/state/keep/bench.json", "w", encoding="ascii") as file:
        file.write("damaged")
    done = cli("explain", *_given(stack), "etc/ssl/key")
    assert (done.status, "predicted from" in done.stdout) == (ExitStatus.FINE, False)
    assert "is not JSON" in done.stderr
    for found in (named, kept):
        (prediction,) = found["on_change"]["write"]["predicted"]
        assert found["on_change"]["write"]["predicted_ns"] == prediction["ns"] > 0
        assert (prediction["basis"], prediction["cache"]) == ("line", "warm")
        assert found["on_change"]["unlink"]["predicted_ns"] > 0
        assert found["on_change"]["chmod"]["predicted"] == []
    assert text.count("(predicted)") == 2
    assert "predicted from bench-copyup of " in text
