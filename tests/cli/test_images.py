"""Images as a user meets them: ``oci:DIR[:TAG]`` in place of a STACK."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from ovlctl.errors import ExitStatus
from tests.capabilities import needs_fs, needs_root
from tests.oci.images import Layout, Made, archive, directory, entry, hard_link, link
from tests.schemas import valid

if TYPE_CHECKING:
    from tests.conftest import Cli, MakeFs, OrdinaryUser

_BASE = archive(
    directory("etc"),
    entry("etc/app.conf", b"0"),
    entry("etc/old", b"old"),
    directory("lib"),
    entry("lib/tool", b"t" * 5000, mode=0o755),
    link("now", "etc/app.conf"),
)
_ONE = archive(directory("etc"), entry("etc/app.conf", b"1"), entry("etc/.wh.old"))
_TWO = archive(directory("etc"), entry("etc/app.conf", b"22"), entry("new", b"n"))


@pytest.fixture
def layout(scratch: str) -> str:
    """A layout with two images that differ in their topmost layer."""
    here = Layout(f"{scratch}/l")
    here.image("one", Made(_BASE, "gzip"), _ONE)
    here.image("two", Made(_BASE, "gzip"), _TWO)
    return f"oci:{scratch}/l"


DIFFERENCE = [
    "~ modified  - etc/app.conf  (content, size; 2 B)",
    "+ added     - etc/old  (3 B)",
    "+ added     - new  (1 B)",
]


def test_two_images(layout: str, cli: Cli) -> None:
    """Two images are told apart path by path, in every format."""
    done = cli("diff", f"{layout}:one", f"{layout}:two")
    assert (done.status, done.stderr, done.stdout.splitlines()) == (0, "", DIFFERENCE)
    found = valid("diff", cli("diff", f"{layout}:one", f"{layout}:two", "--json").json)["data"]
    assert [each["path"] for each in found] == ["etc/app.conf", "etc/old", "new"]
    assert cli("diff", f"{layout}:one", f"{layout}:two", "--exit-code").status == ExitStatus.FINDING
    assert cli("diff", f"{layout}:one", f"{layout}:one", "--exit-code").status == 0
    patch = cli("diff", f"{layout}:one", f"{layout}:two", "--format", "patch").stdout
    assert "-1\n" in patch
    assert "+22\n" in patch


def test_one_layer(layout: str, cli: Cli) -> None:
    """What a layer changes of those below it; an image has no upper."""
    done = cli("diff", f"{layout}:one", "--layer", "0", "--content")
    assert done.stdout.splitlines() == [
        "~ modified  - etc/app.conf  (content; 1 B)",
        "- deleted   - etc/old  (3 B)",
    ]
    none = cli("diff", f"{layout}:one")
    assert none.status == ExitStatus.USAGE
    assert "OVL-E152" in none.stderr


def test_an_image_and_a_directory(layout: str, scratch: str, cli: Cli) -> None:
    """An image can be compared with a directory, and with --content byte by byte."""
    for path, text in (("etc/app.conf", "2x"), ("new", "n"), ("lib/tool", "t" * 4999 + "u"), ("etc/old", "old")):
        os.makedirs(os.path.dirname(f"{scratch}/d/{path}"), exist_ok=True)
        with open(f"{scratch}/d/{path}", "w", encoding="ascii") as new:
            new.write(text)
        os.utime(f"{scratch}/d/{path}", (1_600_000_000, 1_600_000_000))
    os.symlink("etc/app.conf", f"{scratch}/d/now")
    os.chmod(f"{scratch}/d/lib/tool", 0o755)
    presumed = cli("diff", f"{layout}:two", f"{scratch}/d", "--only", "modified")
    assert presumed.stdout == ""
    proved = cli("diff", f"{layout}:two", f"{scratch}/d", "--only", "modified", "--content")
    assert [line.split()[3] for line in proved.stdout.splitlines()] == ["etc/app.conf", "lib/tool"]


def test_tree(layout: str, cli: Cli) -> None:
    """The merged view with the layer of each entry; of one layer with its marks."""
    lines = cli("tree", f"{layout}:one").stdout.splitlines()
    assert [(line.split()[3], line.split()[4]) for line in lines] == [
        ("lower:0", "etc"),
        ("lower:0", "etc/app.conf"),
        ("lower:1", "lib"),
        ("lower:1", "lib/tool"),
        ("lower:1", "now"),
    ]
    found = valid("tree", cli("tree", f"{layout}:one", "--json", "--hidden").json)["data"]
    assert {each["path"] for each in found} == {"etc", "etc/app.conf", "etc/old", "lib", "lib/tool", "now"}
    own = cli("tree", f"{layout}:one", "--layer", "0").stdout
    assert "whiteout" in own


def test_explain(layout: str, cli: Cli) -> None:
    """Each layer's part, without numbers that no file system gave, and nothing that could be changed."""
    done = cli("explain", f"{layout}:one", "etc/old", "lib/tool", "--json")
    assert done.status == 0
    old, tool = valid("explain", done.json)["data"]
    assert (old["exists"], tool["exists"]) == (False, True)
    assert [each["ino"] for each in tool["candidates"]] == [None, None]
    assert tool["inode"]["ino"] is None
    assert tool["kernel"]["checked"] is False
    text = cli("explain", f"{layout}:one", "lib/tool")
    assert "read-only" in text.stdout
    assert text.status == 0


def test_cat(layout: str, cli: Cli) -> None:
    """The content of the merged view's file, or of one layer's, out of a plain archive and a compressed one."""
    assert cli("cat", f"{layout}:two", "etc/app.conf").stdout == "22"
    assert cli("cat", f"{layout}:two", "etc/app.conf", "--layer", "1").stdout == "0"
    assert cli("cat", f"{layout}:one", "lib/tool").stdout == "t" * 5000
    assert cli("cat", f"{layout}:one", "etc/old").status == ExitStatus.NOT_FOUND
    assert cli("cat", f"{layout}:one", "now").status == ExitStatus.USAGE


@needs_fs("tmpfs")
def test_no_room(layout: str, scratch: str, make_fs: MakeFs, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    """Without room for a decompressed layer one line says so; what needs no content is told all the same."""
    monkeypatch.setenv("TMPDIR", make_fs("tmpfs", 1 << 16))
    done = cli("cat", f"{layout}:one", "lib/tool")
    assert (done.status, done.stdout) == (ExitStatus.UNSUPPORTED, "")
    assert "ENOSPC" in done.stderr
    assert cli("diff", f"{layout}:one", f"{layout}:two").status == 0


@needs_root
def test_cp(scratch: str, cli: Cli) -> None:
    """A copy of an image has each object with its attributes, links as links and holes as holes."""
    records = {
        "SCHILY.xattr.user.x": "1",
        "GNU.sparse.map": f"0,4,{1 << 20},4",
        "GNU.sparse.size": str(2 << 20),
    }
    top = archive(
        entry("sparse", b"dataDATA", pax_headers=records, mode=0o640, uid=12, gid=34),
        hard_link("same", "sparse"),
        entry("etc/.wh.app.conf"),
    )
    Layout(f"{scratch}/l").image("it", Made(_BASE, "gzip"), Made(top, "gzip"))
    done = cli("cp", "-r", f"oci:{scratch}/l", "/", f"{scratch}/copy")
    assert (done.status, done.stderr) == (0, "")
    copy = os.stat(f"{scratch}/copy/sparse")
    assert (copy.st_size, copy.st_mode & 0o7777, copy.st_uid, copy.st_gid, copy.st_nlink) == (2 << 20, 0o640, 12, 34, 2)
    assert copy.st_blocks * 512 < 1 << 20
    assert os.path.samestat(copy, os.stat(f"{scratch}/copy/same"))
    assert os.getxattr(f"{scratch}/copy/sparse", "user.x") == b"1"
    with open(f"{scratch}/copy/same", "rb") as file:
        assert file.read().replace(b"\0", b"") == b"dataDATA"
    assert sorted(os.listdir(f"{scratch}/copy/etc")) == ["old"]
    again = cli("diff", f"oci:{scratch}/l", f"{scratch}/copy", "--content", "--exit-code", "--path", "sparse")
    assert (again.status, again.stdout) == (0, "")


def test_du(layout: str, cli: Cli) -> None:
    """What an image would take unpacked, shared layers and hard links once; and that it is packed is said."""
    done = cli("du", f"{layout}:one", f"{layout}:two", "--json")
    found = valid("du", done.json)
    whole = found["data"]["totals"]
    # Of files: 1 + 3 + 5000 bytes in the base, 1 in one, 2 + 1 in the other; in blocks of 512.
    assert whole["bytes"] == 512 * (1 + 1 + 10 + 1 + 1 + 1)
    assert all("is an image" in warning for warning in found["warnings"])
    assert len(found["warnings"]) == 2
    assert cli("du", f"{layout}:one", "--growth").status == ExitStatus.USAGE


def test_what_one_layer_cannot_tell(scratch: str, cli: Cli) -> None:
    """A link to another layer's file makes the answer a partial one, and is named."""
    Layout(f"{scratch}/l").image("it", _BASE, archive(hard_link("again", "lib/tool")))
    done = cli("tree", f"oci:{scratch}/l:it")
    assert done.status == ExitStatus.PARTIAL
    assert "/again in lower:0 could not be read" in done.stderr
    assert "ENOLINK" in done.stderr
    assert "lib/tool" in done.stdout


def test_names_are_escaped(scratch: str, cli: Cli) -> None:
    """No name out of an image reaches a terminal as it is: of a file, of a tag, of a media type."""
    here = Layout(f"{scratch}/l")
    here.image("\x1b[31m\ud800", archive(entry("\x1b[31m\n")))
    here.image("{0}", archive())
    assert cli("tree", f"oci:{scratch}/l:\x1b[31m\ud800").stdout.endswith(" \\x1b[31m\\x0a\n")
    done = cli("tree", f"oci:{scratch}/l")
    assert done.status == ExitStatus.NOT_FOUND
    assert "\x1b" not in done.stderr
    assert "{0}" in done.stderr


@pytest.mark.parametrize(
    ("word", "code", "said"),
    [
        ("oci:", "OVL-E160", "no image layout"),
        ("oci:/proc", "OVL-E160", "no image layout"),
        ("oci:{}/l:three", "OVL-E160", "no image"),
        ("oci:{}/l", "OVL-E160", "several images"),
    ],
    ids=["empty", "no-layout", "no-tag", "no-choice"],
)
def test_wrong_names(layout: str, cli: Cli, word: str, code: str, said: str) -> None:
    """One line says what is wrong, and nothing is printed."""
    for verb in ("tree", "diff", "explain"):
        done = cli(verb, word.format(os.path.dirname(layout.removeprefix("oci:"))))
        assert done.stdout == ""
        assert done.status == ExitStatus.NOT_FOUND
        first = done.stderr.splitlines()[0]
        assert f"error[{code} " in first
        assert said in first


def test_what_is_no_mount(layout: str, cli: Cli) -> None:
    """Verbs that are about mounts say that an image is none."""
    for argv in (("show",), ("umount",), ("exec",)):
        done = cli(*argv, f"{layout}:one", *(("true",) if argv == ("exec",) else ()))
        assert done.status == ExitStatus.NOT_FOUND
        assert "an image is no mount" in done.stderr


def test_a_damaged_image(layout: str, scratch: str, cli: Cli) -> None:
    """Nothing of it is told; under --json the error is an object."""
    with open(f"{scratch}/l/index.json", encoding="utf-8") as text:
        manifest = json.load(text)["manifests"][0]["digest"].partition(":")[2]
    with open(f"{scratch}/l/blobs/sha256/{manifest}", "ab") as blob:
        blob.write(b" ")
    done = cli("diff", f"{layout}:one", f"{layout}:two", "--json")
    assert (done.stdout, done.status) == ("", ExitStatus.UNSUPPORTED)
    assert done.error["code"] == "OVL-E161"


@needs_root
def test_an_ordinary_user(layout: str, cli: Cli, ordinary_user: OrdinaryUser) -> None:
    """Whoever can read the layout sees everything: marks of an image are no trusted attributes."""
    for args in (("tree", f"{layout}:one", "--hidden"), ("diff", f"{layout}:one", f"{layout}:two", "--content")):
        theirs = ordinary_user.ovlctl(*args, "--json")
        assert (theirs.status, theirs.stderr) == (0, "")
        assert theirs.data == cli(*args, "--json").data


@needs_root
def test_a_layout_that_may_not_be_read(layout: str, scratch: str, ordinary_user: OrdinaryUser) -> None:
    """The error says so."""
    os.chmod(f"{scratch}/l/blobs", 0o700)
    done = ordinary_user.ovlctl("tree", f"{layout}:one")
    assert done.status == ExitStatus.PERMISSION
    assert "Permission denied" in done.stderr
