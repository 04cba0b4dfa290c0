"""``ovlctl report`` as a user meets it; tests/browser has what the page does."""

from __future__ import annotations

import json
import os
import stat
import threading
from base64 import b64decode
from typing import TYPE_CHECKING, Any
from zlib import decompress

import pytest

from ovlctl.errors import ExitStatus
from tests import trees
from tests.capabilities import needs_overlay, needs_root, needs_userns_overlay
from tests.oci.images import Layout, Made, archive, directory, entry
from tests.overlay.made import mounted
from tests.schemas import valid
from tests.show.report import made

if TYPE_CHECKING:
    from ovlctl.overlay.stack import Stack
    from tests.conftest import Cli, Finished, OrdinaryUser


@pytest.fixture
def stack(scratch: str) -> Stack:
    """An upper over two lowers."""
    return made.stack(scratch)


def facts_of(page: str) -> dict[str, Any]:
    """What a page says of its stack as a whole."""
    _, _, rest = page.partition('id="data">')
    raw = decompress(b64decode(rest.partition("<")[0]), 31)
    facts: dict[str, Any] = json.loads(raw[4 : 4 + int.from_bytes(raw[:4], "little")])
    return facts


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def _data(done: Finished) -> dict[str, Any]:
    data: dict[str, Any] = valid("report", done.json)["data"]
    return data


@needs_overlay
def test_the_stack_s_own_run(stack: Stack, scratch: str, cli: Cli) -> None:
    """One line says what was written; the page has the stack's layers, its files and a run on a scratch upper."""
    before = trees.everything(scratch)
    with mounted(stack, f"{scratch}/merged") as point:
        done = cli("report", point, "--html", f"{scratch}/r.html")
    assert (done.status, done.stderr) == (ExitStatus.FINE, "")
    assert done.stdout.startswith(f"{scratch}/r.html: ")
    assert done.stdout.count("\n") == 1
    facts = facts_of(_read(f"{scratch}/r.html"))["stack"]
    assert facts["command"] == point
    assert [layer["label"] for layer in facts["layers"]] == ["upper", "lower:0", "lower:1"]
    recording = facts["recording"]
    assert recording["example"] is False
    assert [deed["action"] for deed in recording["deeds"]] == ["read", "modify", "delete", "create"]
    assert all(deed["calls"] and not deed["outcome"].startswith("refused") for deed in recording["deeds"])
    assert recording["deeds"][1]["after"][0]["layers"][0]["layer"] == 0
    assert recording["deeds"][2]["after"][0]["merged"] is None
    after = trees.everything(scratch)
    assert {path for path in after if not path.startswith(("merged", "work"))} == {
        *(path for path in before if not path.startswith("work")),
        "r.html",
    }


@needs_overlay
@needs_userns_overlay
def test_without_root(scratch: str, ordinary_user: OrdinaryUser) -> None:
    """Anybody makes a page of directories that they can read, with a real run in namespaces of their own."""
    trees.make(f"{ordinary_user.home}/low", {"etc/app.conf": "port = 80\n" * 200})
    os.chown(f"{ordinary_user.home}/low", ordinary_user.uid, ordinary_user.gid)
    done = ordinary_user.ovlctl("report", "--lower", "low", "--html", "r.html", "--json")
    assert done.status == ExitStatus.FINE, done.stderr
    assert (_data(done)["stack"]["recorded"], _data(done)["stack"]["because"]) == ("stack", None)


def test_json(stack: Stack, scratch: str, cli: Cli) -> None:
    """What was written, in the shape of the schema."""
    page = f"{scratch}/r.html"
    done = cli("report", *made.given(stack), "--html", page, "--no-run", "--json")
    data = _data(done)
    assert done.status == ExitStatus.FINE, done.stderr
    assert (data["html"], data["bytes"], data["bench"]) == (page, os.path.getsize(page), False)
    told = data["stack"]
    assert (told["layers"], told["recorded"], told["because"], told["partial"]) == (3, None, None, False)
    assert told["rows"] > told["files"] > 2 * len(made.HOSTILE)
    assert told["explained"] > 2
    assert facts_of(_read(page))["stack"]["command"].split()[:2] == ["--lower", stack.lowers[0]]


def test_standard_output(stack: Stack, cli: Cli) -> None:
    """``-`` prints the page and nothing else."""
    done = cli("report", *made.given(stack), "--html", "-", "--no-run")
    assert done.status == ExitStatus.FINE
    assert done.stdout.startswith("<!doctype html>")
    assert done.stdout.endswith("</html>\n")
    assert cli("report", *made.given(stack), "--html", "-", "--json").error["code"] == "OVL-E001"


def test_a_stack_has_to_be_named(scratch: str, cli: Cli) -> None:
    """Without STACK, directories and benchmark there is nothing to tell; neither is there of two stacks."""
    assert cli("report", "--html", f"{scratch}/r.html").status == ExitStatus.USAGE
    low = trees.make(f"{scratch}/low", {"a": "a"})
    done = cli("report", "x", "--lower", low, "--html", f"{scratch}/r.html")
    assert done.status == ExitStatus.USAGE
    assert not os.path.lexists(f"{scratch}/r.html")


def test_nothing_is_overwritten_unasked(scratch: str, cli: Cli) -> None:
    """A file that is there stays, unless --force is given; a directory or a device always does."""
    low = trees.make(f"{scratch}/low", {"a": "a"})
    page, run = f"{scratch}/r.html", ("report", "--lower", low, "--userxattr", "--no-run")
    trees.make(scratch, {"r.html": "mine"})
    done = cli(*run, "--html", page, "--json")
    assert (done.status, done.error["name"], _read(page)) == (ExitStatus.USAGE, "destination-taken", "mine")
    assert cli(*run, "--html", page, "--force").status == ExitStatus.FINE
    assert _read(page).startswith("<!doctype html>")
    assert cli(*run, "--html", scratch, "--force").status == ExitStatus.USAGE
    assert cli(*run, "--html", "/dev/null", "--force").status == ExitStatus.USAGE
    assert cli(*run, "--html", f"{scratch}/no/r.html").status == ExitStatus.NOT_FOUND
    assert sorted(os.listdir(scratch)) == ["low", "r.html"]


def test_mode_and_place(scratch: str, cli: Cli) -> None:
    """The page has the mode of any new file, and takes the place of an old one in one step."""
    low = trees.make(f"{scratch}/low", {"a": "a"})
    old = os.umask(0o027)
    try:
        assert cli("report", "--lower", low, "--no-run", "--html", f"{scratch}/r.html").status == ExitStatus.FINE
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(f"{scratch}/r.html").st_mode) == 0o640
    ended, sizes = threading.Event(), set()

    def look() -> None:
        while not ended.is_set():
            sizes.add(os.path.getsize(f"{scratch}/r.html"))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        cli("report", "--lower", low, "--no-run", "--force", "--html", f"{scratch}/r.html")
    finally:
        ended.set()
        looking.join()
    assert min(sizes) > 10_000


@needs_overlay
def test_never_into_a_mounted_layer(stack: Stack, scratch: str, cli: Cli) -> None:
    """A page is not written into a layer of a mounted stack, behind the kernel's back."""
    with mounted(stack, f"{scratch}/merged") as point:
        done = cli("report", point, "--html", f"{scratch}/base/r.html", "--no-run", "--json")
    assert (done.status, done.error["name"]) == (ExitStatus.USAGE, "destination-in-layer")


@pytest.mark.parametrize("layer", ["upper", "app", "base"])
def test_never_into_its_own_stack(stack: Stack, scratch: str, layer: str, cli: Cli) -> None:
    """Nothing in the stack is changed, mounted or not, neither by the page nor by the recording."""
    before = trees.everything(scratch)
    done = cli("report", *made.given(stack), "--html", f"{scratch}/{layer}/r.html", "--no-run", "--json")
    assert (done.status, done.error["name"]) == (ExitStatus.USAGE, "destination-in-layer")
    assert trees.everything(scratch) == before


def test_errors_speak_of_a_page(scratch: str, cli: Cli) -> None:
    """What the page has in common with copies is not called by their name."""
    done = cli("report", "--lower", scratch, "--userxattr", "--html", "", "--json")
    assert (done.status, "cp" in done.error["hint"]) == (ExitStatus.USAGE, False)
    assert (
        cli("report", "--lower", scratch, "--userxattr", "--html", "/dev/null", "--json")
        .error["message"]
        .startswith("/dev/null is a character device already")
    )


@needs_root
def test_what_could_not_be_read(scratch: str, ordinary_user: OrdinaryUser) -> None:
    """The page is written all the same, says what is missing, and the exit status is 6."""
    low = trees.make(f"{scratch}/low", {"secret/key": "k", "open/a": "a"})
    os.chmod(f"{low}/secret", 0o700)
    done = ordinary_user.ovlctl("report", "--lower", low, "--html", "r.html", "--no-run", "--json")
    assert done.status == ExitStatus.PARTIAL
    assert _data(done)["stack"]["partial"] is True
    assert any("secret" in warning for warning in done.json["warnings"])
    facts = facts_of(_read(f"{ordinary_user.home}/r.html"))["stack"]
    assert facts["troubles"] == done.json["warnings"]


def test_a_damaged_benchmark(scratch: str, cli: Cli) -> None:
    """A file that is no result is refused before anything is written."""
    trees.make(scratch, {"bench.json": "{}"})
    done = cli("report", "--bench", f"{scratch}/bench.json", "--html", f"{scratch}/r.html", "--json")
    assert done.error["name"] == "result-unreadable"
    assert not os.path.lexists(f"{scratch}/r.html")


@needs_overlay
def test_an_image(scratch: str, cli: Cli) -> None:
    """Layers of an image are no directories that could be mounted: the run is that of the example, and that is said."""
    base = archive(directory("etc"), entry("etc/app.conf", b"0"), entry("etc/old", b"old"))
    Layout(f"{scratch}/l").image("one", Made(base, "gzip"), archive(directory("etc"), entry("etc/.wh.old")))
    done = cli("report", f"oci:{scratch}/l:one", "--html", f"{scratch}/r.html", "--json")
    assert done.status == ExitStatus.FINE, done.stderr
    told = _data(done)["stack"]
    assert (told["layers"], told["files"], told["recorded"]) == (2, 1, "example")
    assert told["because"]
    facts = facts_of(_read(f"{scratch}/r.html"))["stack"]
    assert (facts["image"], facts["recording"]["example"]) == (True, True)
    assert facts["recording"]["deeds"][0]["command"] == "ovlctl try read app.conf"
