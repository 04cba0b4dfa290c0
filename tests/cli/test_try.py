"""``ovlctl try`` as a user meets it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from ovlctl.errors import ExitStatus
from ovlctl.overlay.options import Flag, Options
from ovlctl.overlay.stack import Stack
from tests import trees
from tests.capabilities import needs_overlay, needs_root, needs_userns_overlay, root
from tests.overlay.made import mounted
from tests.schemas import valid

if TYPE_CHECKING:
    from tests.conftest import Cli, Finished, MakeFs, OrdinaryUser

pytestmark = needs_overlay

MINE = Options() if root() else Options(userxattr=Flag.YES)


@pytest.fixture(autouse=True)
def _here(scratch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", scratch)


def _action(done: Finished) -> dict[str, Any]:
    (action,) = valid("try", done.json)["data"]["actions"]
    told: dict[str, Any] = action
    return told


def _kinds(told: dict[str, Any]) -> list[str]:
    return [step["kind"] for step in told["steps"]]


def test_the_example(cli: Cli, scratch: str) -> None:
    """Without STACK: the four actions of the article, each on a fresh upper; and any one of them by name."""
    done = cli("try", "--json")
    assert done.status == ExitStatus.FINE, done.stderr
    data = valid("try", done.json)["data"]
    assert data["example"]
    assert [(each["action"], each["path"]) for each in data["actions"]] == [
        ("read", "app.conf"),
        ("modify", "app.conf"),
        ("delete", "app.conf"),
        ("create", "new.txt"),
    ]
    assert [_kinds(each["done"]) for each in data["actions"]] == [
        ["looked", "found", "read"],
        ["copied", "written"],
        ["whiteout"],
        ["created"],
    ]
    text = cli("try", "delete", "lib.so")
    assert "a whiteout is put at /lib.so in the scratch upper" in text.stdout
    assert not [name for name in os.listdir(scratch) if name.startswith("ovlctl-try-")]


def test_a_preview_alone_does_nothing(cli: Cli, scratch: str) -> None:
    """With -n nothing is done; what is foretold is what is then done."""
    foretold = _action(cli("try", "rename", "share/messages.txt", "--to", "m", "-n", "--json"))
    done = _action(cli("try", "rename", "share/messages.txt", "--to", "m", "--json"))
    assert foretold["done"] is None
    assert _kinds(foretold["preview"]) == _kinds(done["done"]) == ["parent", "copied", "moved", "whiteout"]


def test_directories(cli: Cli, scratch: str) -> None:
    """Layers given one by one: the upper is read and not written, also where its own object is changed."""
    trees.make(scratch, {"low/a": "below", "up/b": "above"})
    words = ("--lower", f"{scratch}/low", "--upper", f"{scratch}/up")
    done = _action(cli("try", *words, "modify", "b", "--json"))["done"]
    assert (_kinds(done), done["mixed"]) == (["written"], True)
    text = " ".join(cli("try", *words, "delete", "b").stdout.split())
    assert "only here, to hide what your own upper has" in text
    assert trees.everything(f"{scratch}/up") == {"b": "-"}


def test_a_mounted_stack(cli: Cli, scratch: str) -> None:
    """By its mount point, or by a path in it; with --live on the mount itself, if somebody says yes."""
    trees.make(scratch, {"low/d/f": "x", "up/": None, "work/": None})
    stack = Stack([f"{scratch}/low"], upper=f"{scratch}/up", work=f"{scratch}/work", options=MINE)
    with mounted(stack, f"{scratch}/m") as point:
        assert _action(cli("try", point, "delete", "d/f", "--json"))["done"]["errno"] is None
        assert _action(cli("try", f"{point}/d/f", "chmod", "--mode", "600", "--json"))["path"] == "d/f"
        assert os.listdir(f"{scratch}/up") == []
        refused = cli("try", point, "delete", "d/f", "--live", "--json")
        assert (refused.status, refused.error["code"]) == (ExitStatus.USAGE, "OVL-E063")
        assert os.path.exists(f"{point}/d/f")
        done = cli("try", point, "delete", "d/f", "--live", "--yes", "--json")
        assert done.data["live"]
        assert _kinds(_action(done)["done"]) == ["parent", "whiteout"]
        assert not os.path.exists(f"{point}/d/f")
        taken = cli("try", point, "create", "g", "--live", "--yes")
        assert taken.status == ExitStatus.FINE
        replacing = cli("try", point, "rename", "d", "--to", "g", "--live", "--yes", "--json")
        assert replacing.error["name"] == "destination-taken"


def test_a_refusal_is_a_finding(cli: Cli) -> None:
    """What the kernel refuses is told, and the status is 1."""
    done = cli("try", "rename", "share", "--to", "s", "--json")
    told = _action(done)
    assert done.status == ExitStatus.FINDING
    assert told["preview"]["errno"] == told["done"]["errno"] == "EXDEV"
    assert "redirect_dir=on would rename it" in cli("try", "rename", "share", "--to", "s").stdout


@pytest.mark.parametrize(
    "words",
    [
        ("frob", "x", "y"),
        ("modify",),
        ("modify", "a", "b", "c"),
        ("chmod", "app.conf"),
        ("chmod", "app.conf", "--mode", "9"),
        ("rename", "app.conf"),
        ("delete", "/"),
        ("read", "../x"),
        ("--live",),
    ],
    ids=" ".join,
)
def test_nonsense_is_said_to_be(cli: Cli, words: tuple[str, ...]) -> None:
    """One line and a status of usage, or of a stack that is not there."""
    done = cli("try", *words, "--json")
    assert done.status in {ExitStatus.USAGE, ExitStatus.NOT_FOUND}
    assert done.error["message"]
    assert done.stdout == ""


def test_hostile_names_are_escaped(cli: Cli, scratch: str) -> None:
    """In the text, in JSON, and in the system calls."""
    name = os.fsdecode(b"\x1b[31m\n\xff")
    trees.make(f"{scratch}/low", {name: "x"})
    text = cli("try", "--lower", f"{scratch}/low", "modify", name).stdout
    assert "\x1b" not in text
    assert r"\x1b[31m\x0a\xff" in text
    told = _action(cli("try", "--lower", f"{scratch}/low", "modify", name, "--json"))
    assert told["path_b64"] == "G1szMW0K/w=="
    assert told["done"]["steps"][0]["path_b64"] == "G1szMW0K/w=="


@needs_userns_overlay
def test_as_an_ordinary_user(ordinary_user: OrdinaryUser) -> None:
    """The example, and a stack of one's own, by anybody."""
    env = {"TMPDIR": ordinary_user.home}
    done = ordinary_user.ovlctl("try", "modify", "app.conf", "--json", env=env)
    assert done.status == ExitStatus.FINE, done.stderr
    told = valid("try", done.json)
    assert _kinds(told["data"]["actions"][0]["done"]) == ["copied", "written"]
    assert (told["data"]["differences"], told["warnings"]) == ([], [])
    assert os.listdir(ordinary_user.home) == []


@needs_root
@pytest.mark.parametrize("size", [4096, 3 * 4096])
def test_no_room_for_the_example(make_fs: MakeFs, size: int, cli: Cli) -> None:
    """A full disk is said in one line, and what is there was written in full or not at all."""
    directory = make_fs("tmpfs", size)
    done = cli("try", "modify", "app.conf", "--dir", directory, "--json")
    assert done.status == ExitStatus.UNSUPPORTED
    assert (done.error["code"], done.error["errno"]) == ("OVL-E093", "ENOSPC")
    assert os.listdir(directory) == []
