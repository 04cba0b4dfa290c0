"""``ovlctl tree``, ``cat`` and ``cp`` as a user meets them."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ovlctl.errors import ExitStatus
from ovlctl.overlay.options import Options, RedirectDir, Switch
from ovlctl.overlay.stack import Stack
from ovlctl.overlay.tree import Kind
from tests import trees
from tests.capabilities import needs_root
from tests.overlay.made import Made, directory, file, link, mounted, whiteout, write_layer

if TYPE_CHECKING:
    from tests.conftest import Cli, OrdinaryUser

pytestmark = needs_root

_SCHEMAS = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "schema")
HOSTILE = os.fsdecode(b"-\xff\x1b[31m\n\\'\xe2\x80\xae")

TOP = {
    "app.conf": file(b"top\n"),
    "gone": whiteout(),
    "alone/wh": whiteout(),
    "moved": directory(redirect=b"/was"),
    "bad": directory(redirect=b"../x"),
    "meta": file(b"....", metacopy=b""),
    HOSTILE: file(b"hostile\n"),
}
LOW = {
    "app.conf": file(b"low\n"),
    "gone": file(b"gone\n"),
    "was/f": file(b"moved\n"),
    "meta": file(b"data"),
    "link": link("app.conf"),
    "null": Made(kind=Kind.CHARACTER, mode=0o666, rdev=os.makedev(1, 3)),
    "deep/er/still": file(),
}


def _valid(name: str, value: Any) -> Any:
    with open(os.path.join(_SCHEMAS, f"{name}.json"), encoding="ascii") as schema:
        jsonschema.validate(value, json.load(schema))
    return value


@pytest.fixture
def layers(scratch: str) -> tuple[str, ...]:
    """Options that name a stack of two lowers with one of everything."""
    write_layer(f"{scratch}/top", TOP)
    write_layer(f"{scratch}/low", LOW)
    return ("-l", f"{scratch}/top", "-l", f"{scratch}/low", "--metacopy", "on")


def test_a_list_as_text(layers: tuple[str, ...], cli: Cli) -> None:
    """Sign, mode, owner, size, layer, path, and what else there is to say."""
    done = cli("tree", *layers)
    assert done.status == ExitStatus.FINE
    assert done.stdout.splitlines() == [
        r"  -rw-r--r--     0:0          8 lower:0  -\xff\x1b[31m\x0a\\'\xe2\x80\xae",
        "  drwxr-xr-x     0:0          - lower:0  alone",
        "! ?---------       -          - -        alone/wh  (listed, not there: whiteout)",
        "  -rw-r--r--     0:0          4 lower:0  app.conf",
        "! ?---------       -          - -        bad  (refused: EINVAL, redirect invalid)",
        "  drwxr-xr-x     0:0          - lower:1  deep",
        "  drwxr-xr-x     0:0          - lower:1  deep/er",
        "  -rw-r--r--     0:0          0 lower:1  deep/er/still",
        "  lrwxrwxrwx     0:0          8 lower:1  link -> app.conf",
        "  -rw-r--r--     0:0          4 lower:0  meta  (data in lower:1)",
        "  drwxr-xr-x     0:0          - lower:0  moved",
        "  -rw-r--r--     0:0          6 lower:1  moved/f  (from was/f)",
        "  crw-rw-rw-     0:0        1,3 lower:1  null",
        "  drwxr-xr-x     0:0          - lower:1  was",
        "  -rw-r--r--     0:0          6 lower:1  was/f",
    ]
    hidden = cli("tree", *layers, "--hidden").stdout.splitlines()
    assert "- -rw-r--r--     0:0          4 lower:1  app.conf  (shadowed)" in hidden
    assert "o c---------     0:0        0,0 lower:0  gone  (whiteout)" in hidden
    assert "- -rw-r--r--     0:0          5 lower:1  gone  (whited out)" in hidden
    assert "= -rw-r--r--     0:0          4 lower:1  meta  (data)" in hidden
    layer = cli("tree", *layers, "--layer", "0").stdout.splitlines()
    assert "o c---------     0:0        0,0 lower:0  gone  (whiteout)" in layer
    assert "  drwxr-xr-x     0:0          - lower:0  moved  (redirect to /was)" in layer
    assert "  -rw-r--r--     0:0          4 lower:0  meta  (metadata only)" in layer
    assert len(layer) == len(TOP) + 1


def test_a_list_as_json(layers: tuple[str, ...], cli: Cli, scratch: str) -> None:
    """Every form keeps to the schema; a name that is not UTF-8 comes with its bytes."""
    for more in ((), ("--hidden",), ("--layer", "0"), ("--layer", "lower:1"), ("deep", "--depth", "1"), ("link",)):
        _valid("tree", cli("tree", *layers, *more, "--json").json)
    rows = {row["path"]: row for row in cli("tree", *layers, "--json").data}
    assert rows["app.conf"] == {
        "path": "app.conf",
        "kind": "file",
        "mode": 0o644,
        "uid": 0,
        "gid": 0,
        "size": 4,
        "mtime_ns": os.stat(f"{scratch}/top/app.conf").st_mtime_ns,
        "provider": {"role": "lower", "index": 0, "dir": f"{scratch}/top"},
        "outcome": "present",
        "listed": True,
    }
    assert (rows["alone/wh"]["kind"], rows["alone/wh"]["listed"]) == (None, True)
    assert (rows["bad"]["outcome"], rows["bad"]["errno"]) == ("refused", "EINVAL")
    assert rows["moved/f"]["path_in_layer"] == "was/f"
    assert rows["meta"]["data_provider"]["index"] == 1
    (odd,) = [row for row in rows.values() if "path_b64" in row]
    assert base64.b64decode(odd["path_b64"]) == os.fsencode(HOSTILE)
    hidden = [row for row in cli("tree", *layers, "--hidden", "--json").data if row["path"] == "gone"]
    assert [(row["verdict"], row["provider"]["index"]) for row in hidden] == [("whiteout", 0), ("whited-out", 1)]
    (moved,) = [row for row in cli("tree", *layers, "--layer", "0", "--json").data if row["path"] == "moved"]
    assert moved["marks"] == {
        "whiteout": None,
        "opaque": None,
        "redirect": "/was",
        "metacopy": False,
        "copied_up": False,
        "unread": [],
    }


def test_a_mounted_stack(scratch: str, cli: Cli) -> None:
    """By its mount point, and by a path in it, which is the one that is meant."""
    trees.make(scratch, {"low/etc/f": "low", "low/g": "g", "upper/etc/f": "up", "work/": None})
    stack = Stack([f"{scratch}/low"], upper=f"{scratch}/upper", work=f"{scratch}/work")
    with mounted(stack, f"{scratch}/merged") as point:
        assert [row["path"] for row in cli("tree", point, "--json").data] == ["etc", "etc/f", "g"]
        assert [row["path"] for row in cli("tree", f"{point}/etc", "--json").data] == ["etc/f"]
        assert cli("cat", point, "etc/f").stdout == "up"
        assert cli("cat", f"{point}/etc/f").stdout == "up"
        assert cli("cat", f"{point}/etc/f", "--layer", "0").stdout == "low"
        assert cli("cp", f"{point}/etc/f", f"{scratch}/copy", "--layer", "0").status == ExitStatus.FINE
        wrong = cli("cat", point, f"{point}/etc/f")
        assert wrong.status == ExitStatus.NOT_FOUND
        assert wrong.stderr.splitlines()[-1] == "hint: paths count from the root of the merged view: `etc/f`"
    assert trees.everything(scratch)["copy"] == "-"


def test_a_name_that_the_index_leads_from(scratch: str, cli: Cli) -> None:
    """The other name of a copied-up hard link is the upper's file, which the upper has under no such name."""
    trees.make(scratch, {"low/a": "one", "up/": None, "work/": None})
    os.link(f"{scratch}/low/a", f"{scratch}/low/b")
    options = Options(index=Switch.ON)
    stack = Stack([f"{scratch}/low"], upper=f"{scratch}/up", work=f"{scratch}/work", options=options)
    with mounted(stack, f"{scratch}/merged") as point:
        os.chmod(f"{point}/a", 0o600)
        lines = cli("tree", point).stdout.splitlines()
    assert [line.split()[4:] for line in lines] == [["a"], ["b", "(through", "the", "index)"]]


def test_content(layers: tuple[str, ...], cli: Cli) -> None:
    """Bytes as they are, through metadata-only files and redirects, of the view or of one layer."""
    assert cli("cat", *layers, "--", HOSTILE).stdout == "hostile\n"
    assert cli("cat", *layers, "app.conf").stdout == "top\n"
    assert cli("cat", *layers, "app.conf", "--layer", "1").stdout == "low\n"
    assert cli("cat", *layers, "meta").stdout == "data"
    assert cli("cat", *layers, "moved/f").stdout == "moved\n"


def test_content_is_bytes(scratch: str) -> None:
    """Neither decoded nor held in memory; a reader that stops early is no error."""
    trees.make(scratch, {"top/": None, "low/": None})
    content = os.urandom(3 << 20)
    trees.make(f"{scratch}/low", {"big": content})
    argv = [sys.executable, "-m", "ovlctl", "cat", "-l", f"{scratch}/top", "-l", f"{scratch}/low", "big"]
    done = subprocess.run(argv, capture_output=True, check=True)
    assert done.stdout == content
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as reading:
        assert reading.stdout is not None
        assert reading.stderr is not None
        assert reading.stdout.read(10) == content[:10]
        reading.stdout.close()
        assert reading.stderr.read() == b""
        assert reading.wait() == 128 + 13


def test_a_copy(layers: tuple[str, ...], cli: Cli, scratch: str) -> None:
    """Said before it is done, done, and told as JSON."""
    os.mkdir(f"{scratch}/dest")
    planned = cli("cp", "-n", "-r", *layers, "moved", f"{scratch}/dest")
    assert planned.stdout.splitlines() == [
        f"make a temporary directory in {scratch}/dest",
        f"copy moved (lower:0) to {scratch}/dest/moved",
        f"copy moved/f (lower:1) to {scratch}/dest/moved/f",
        f"rename what was made to {scratch}/dest/moved",
    ]
    data = _valid("cp", cli("cp", "-n", "-r", *layers, "moved", f"{scratch}/dest", "--json").json)["data"]
    assert (data["dry_run"], data["objects"], len(data["steps"])) == (True, None, 4)
    assert os.listdir(f"{scratch}/dest") == []
    assert cli("cp", "-r", *layers, "moved", f"{scratch}/dest").stdout == f"{scratch}/dest/moved: 2 objects, 6 B\n"
    data = _valid("cp", cli("cp", *layers, "app.conf", f"{scratch}/dest", "--json").json)["data"]
    assert (data["destination"], data["objects"], data["bytes"]) == (f"{scratch}/dest/app.conf", 1, 4)
    assert trees.everything(f"{scratch}/dest") == {"moved": "d", "moved/f": "-", "app.conf": "-"}
    whole = cli("cp", "-r", *layers, "/", f"{scratch}/all")
    assert whole.status == ExitStatus.PARTIAL
    assert whole.stderr == (
        "ovlctl: warning: bad is left out: the kernel refuses to look it up "
        "(its redirect is neither a name nor a path from the root)\n"
    )


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        pytest.param(("tree",), 2, "OVL-E001", id="no stack"),
        pytest.param(("tree", "no-such"), 3, "OVL-E007", id="unknown stack"),
        pytest.param(("tree", "-l", "{top}", "x"), 3, "OVL-E151", id="no path"),
        pytest.param(("tree", "-l", "{top}", "gone"), 3, "OVL-E151", id="whited out"),
        pytest.param(("tree", "-l", "{top}", "a", "b"), 2, "OVL-E001", id="two paths"),
        pytest.param(("tree", "-l", "{top}", "--depth", "0"), 2, "OVL-E001", id="no depth"),
        pytest.param(("tree", "-l", "{top}", "--layer", "1"), 2, "OVL-E153", id="no such layer"),
        pytest.param(("tree", "-l", "{top}", "--layer", "upper"), 2, "OVL-E153", id="no upper"),
        pytest.param(("tree", "-l", "{top}", "--layer", "x"), 2, "OVL-E153", id="no layer's name"),
        pytest.param(("tree", "-l", "{top}", "--layer", "0", "--hidden"), 2, "OVL-E001", id="hidden in a layer"),
        pytest.param(("tree", "-l", "{top}/none"), 3, "OVL-E002", id="no such directory"),
        pytest.param(("tree", "-l", ""), 2, "OVL-E001", id="an empty name"),
        pytest.param(("tree", "-l", "{top}", "--upper", ""), 2, "OVL-E001", id="an empty upper"),
        pytest.param(("cat", "-l", "{top}"), 2, "OVL-E154", id="the root"),
        pytest.param(("cat", "-l", "{top}", "alone"), 2, "OVL-E154", id="a directory"),
        pytest.param(("cat", "-l", "{top}", "../top/app.conf"), 2, "OVL-E001", id="dots"),
        pytest.param(("cat", "-l", "{top}", "meta"), 5, "OVL-E155", id="refused"),
        pytest.param(("cat", "-l", "{top}", "meta", "--layer", "0"), 5, "OVL-E155", id="metadata only"),
        pytest.param(("cp",), 2, "OVL-E001", id="nothing to copy"),
        pytest.param(("cp", "-l", "{top}", "app.conf"), 2, "OVL-E001", id="nowhere to copy to"),
        pytest.param(("cp", "-l", "{top}", "alone", "{top}/new"), 2, "OVL-E001", id="a directory without -r"),
        pytest.param(("cp", "-l", "{top}", "app.conf", "{top}"), 2, "OVL-E157", id="it is there"),
        pytest.param(("cp", "-r", "-l", "{top}", "alone", "{top}/new"), 2, "OVL-E158", id="into itself"),
        pytest.param(("cp", "-l", "{top}", "app.conf", "{top}/no/where"), 3, "OVL-E002", id="no directory"),
    ],
)
def test_bad_input(
    layers: tuple[str, ...], cli: Cli, scratch: str, *, words: tuple[str, ...], status: int, code: str
) -> None:
    """Each has its code and status, one line and a hint, also as JSON, and leaves everything as it was."""
    words = tuple(word.format(top=f"{scratch}/top") for word in words)
    before = trees.everything(scratch)
    done = cli(*words)
    assert (done.status, done.stdout) == (status, "")
    first, *rest = done.stderr.splitlines()
    assert first.startswith(f"ovlctl: error[{code} ")
    assert all(line.startswith("hint: ") for line in rest)
    if words[0] != "cat":
        refused = cli(*words, "--json")
        assert (refused.status, refused.stdout) == (status, "")
        assert _valid("error", json.loads(refused.stderr))["error"]["code"] == code
    assert trees.everything(scratch) == before


def test_a_working_directory_that_is_gone(
    layers: tuple[str, ...], cli: Cli, scratch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative names lead nowhere, which is said; absolute ones do not need it."""
    os.mkdir(f"{scratch}/gone")
    monkeypatch.chdir(f"{scratch}/gone")
    os.rmdir(f"{scratch}/gone")
    for words in (("tree", "-l", "top"), ("cp", *layers, "app.conf", "new")):
        done = cli(*words)
        assert (done.status, done.stdout) == (3, "")
        assert done.stderr.startswith("ovlctl: error[OVL-E002 ")
    assert cli("cat", *layers, "app.conf").status == 0


def test_an_ordinary_user(scratch: str, ordinary_user: OrdinaryUser) -> None:
    """What can be read is listed, what cannot is said, and the exit status is 6; never a wrong provider."""
    trees.make(
        scratch, {"top/shut/x": "x", "top/blind/f": "top", "low/blind/f": "low", "low/blind/g": "g", "low/h": "h"}
    )
    os.chmod(f"{scratch}/top/shut", 0o700)
    os.chmod(f"{scratch}/top/blind", 0o711)
    layers = ("-l", f"{scratch}/top", "-l", f"{scratch}/low")
    done = ordinary_user.ovlctl("tree", *layers, "--userxattr", "--json")
    assert done.status == ExitStatus.PARTIAL
    answer = _valid("tree", done.json)
    assert {row["path"]: row["provider"]["index"] for row in answer["data"]} == {
        "blind": 0,
        "blind/f": 0,  # in a directory that may be entered and not listed
        "blind/g": 1,
        "h": 1,
        "shut": 0,
    }
    assert answer["warnings"] == [
        f"{scratch}/top/{name} in lower:0 could not be read: Permission denied (EACCES)" for name in ("blind", "shut")
    ]
    text = ordinary_user.ovlctl("tree", *layers, "--userxattr", "h")
    assert (text.status, text.stderr) == (ExitStatus.FINE, "")
    trusted = ordinary_user.ovlctl("tree", *layers, "--no-userxattr", "h")
    assert trusted.status == ExitStatus.PARTIAL
    assert "trusted.overlay.*" in trusted.stderr
    layer = ordinary_user.ovlctl("tree", *layers, "--userxattr", "--layer", "0")
    assert layer.status == ExitStatus.PARTIAL
    lost = ordinary_user.ovlctl("tree", *layers, "--userxattr", "shut/x")
    assert lost.status == ExitStatus.PARTIAL
    assert lost.stdout.endswith("shut/x  (not known: something could not be read)\n")


def test_nothing_outside_the_layers_is_opened(scratch: str) -> None:
    """Layers full of links to /etc, and redirects to it: no verb opens anything there, as strace(1) sees it."""
    if shutil.which("strace") is None:
        pytest.skip("strace(1) is not installed")
    marks = {"redirect": b"/../../../../../etc/passwd", "metacopy": b""}
    top = {
        "etc": link("/etc"),
        "up": link("../../../../etc"),
        "d": directory(redirect=b"/etc"),
        "m": Made(content=b"x", marks=marks),
        "e": directory(redirect=b"/up/passwd"),
    }
    write_layer(f"{scratch}/top", top)
    write_layer(
        f"{scratch}/low", {"etc": link("/etc"), "up": link("/etc"), "d/f": file(b"x"), "m": link("/etc/passwd")}
    )
    stack = ("-l", f"{scratch}/top", "-l", f"{scratch}/low", "--metacopy", "on")
    words = [
        ("tree", *stack, "--hidden"),
        ("tree", *stack, "--layer", "0"),
        ("tree", *stack, "etc/passwd", "--hidden"),
        ("cat", *stack, "etc/passwd"),
        ("cat", *stack, "up/passwd", "--layer", "0"),
        ("cat", *stack, "m"),
        ("cp", "-r", *stack, "/", f"{scratch}/copy"),
        ("cp", *stack, "etc", f"{scratch}/link"),
        ("cp", *stack, "etc/passwd", f"{scratch}/passwd"),
    ]
    # Reads the environment's own files of /etc before the first line, and then nothing more.
    code = "import sys, json\nfrom ovlctl.cli.main import main\nmain(['tree', '-l', sys.argv[1]])\n"
    code += "open('/dev/null').close()\nfor each in json.loads(sys.argv[2]): main(each)\n"
    log = f"{scratch}/strace"
    argv = ["strace", "-f", "-y", "-e", "trace=open,openat,openat2,open_tree", "-o", log, sys.executable, "-c", code]
    done = subprocess.run([*argv, f"{scratch}/low", json.dumps(words)], check=True, capture_output=True)
    assert b"internal" not in done.stderr
    with open(log, encoding="utf-8", errors="replace") as lines:
        every = list(lines)
    begin = next(number for number, line in enumerate(every) if '"/dev/null"' in line)
    counted = every[begin + 1 :]
    assert sum("openat2" in line for line in counted) > 10
    # -y shows what a descriptor is in the end, whatever path led there.
    assert [line for line in counted if "</etc" in line.rpartition(" = ")[2]] == []
    assert os.readlink(f"{scratch}/copy/etc") == os.readlink(f"{scratch}/link") == "/etc"
    assert not os.path.lexists(f"{scratch}/passwd")


def test_data_only_layers(scratch: str, cli: Cli) -> None:
    """They are listed and read by name; in the view they show through the files that refer to them."""
    write_layer(f"{scratch}/low", {"f": file(b"....", metacopy=b"", redirect=b"/o/1")})
    write_layer(f"{scratch}/data", {"o/1": file(b"data")})
    layers = ("-l", f"{scratch}/low", "--data-only", f"{scratch}/data", "--metacopy", "on")
    (row,) = cli("tree", *layers, "--json").data
    assert (row["provider"]["role"], row["data_provider"]["role"]) == ("lower", "data")
    assert cli("cat", *layers, "f").stdout == "data"
    assert [row["path"] for row in cli("tree", *layers, "--layer", "data:0", "--json").data] == ["o", "o/1"]
    assert cli("cat", *layers, "o/1", "--layer", "data:0").stdout == "data"


def test_options_decide(scratch: str, cli: Cli) -> None:
    """What the options of a mount make of the marks, the list makes of them."""
    write_layer(f"{scratch}/top", {"new": directory(redirect=b"/was"), "m": file(b"....", metacopy=b"")})
    write_layer(f"{scratch}/low", {"was/f": file(), "m": file(b"data")})
    layers = ("-l", f"{scratch}/top", "-l", f"{scratch}/low")
    for options, words in (
        (Options(redirect_dir=RedirectDir.NOFOLLOW), ("--redirect-dir", "nofollow")),
        (Options(metacopy=Switch.ON), ("--metacopy", "on")),
    ):
        rows = cli("tree", *layers, *words, "--json").data
        seen = sorted(row["path"] for row in rows if row["outcome"] == "present")
        stack = Stack([f"{scratch}/top", f"{scratch}/low"], options=options)
        with mounted(stack, f"{scratch}/merged") as point:
            assert seen == sorted(
                path for path in ("m", "new", "new/f", "was", "was/f") if _is_there(f"{point}/{path}")
            )


def _is_there(path: str) -> bool:
    try:
        os.lstat(path)
    except OSError:
        return False
    return True


def test_why_nothing_is_there(layers: tuple[str, ...], cli: Cli) -> None:
    """The error says by which rule nothing is there, in the words of explain."""
    said = {"x": "no layer has the name in this directory", "gone": "a whiteout says that the name is gone"}
    for path, why in said.items():
        first = cli("cat", *layers, path).stderr.splitlines()[0]
        assert first.endswith(f"the merged view has nothing at {path}: {why}")
        assert f"why     {why}" in cli("explain", *layers, path).stdout
