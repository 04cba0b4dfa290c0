"""What becomes of the entries of layers: OCI's rules, and what hostile archives come to."""

from __future__ import annotations

import errno
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from ovlctl import errors
from ovlctl.overlay.merged import Entry, walk
from ovlctl.overlay.resolution import Outcome
from ovlctl.overlay.tree import ARCHIVE, xattrs
from tests.oci.images import Made, archive, content, directory, entry, hard_link, kinds, link, made, resolver

if TYPE_CHECKING:
    Entries = list[tuple[tarfile.TarInfo, bytes]]

_BASE = archive(
    directory("d"),
    entry("d/a", b"a"),
    entry("d/b", b"b"),
    directory("d/sub"),
    entry("d/sub/c", b"c"),
    directory("usr/lib"),
    entry("usr/lib/x", b"x"),
    link("lib", "usr/lib"),
    directory("tmp", mode=0o1777),
    entry("f", b"f"),
)


def _seen(stack: str) -> list[str]:
    return [entry.resolution.path for entry in walk(resolver(stack)) if isinstance(entry, Entry) and entry.listed]


_WHITEOUTS: dict[str, tuple[Entries, list[str], list[str]]] = {
    "file": ([entry("d/.wh.a")], ["d/a"], ["d/b"]),
    "directory": ([entry(".wh.d")], ["d", "d/a", "d/sub/c"], ["f"]),
    "opaque first": ([entry("d/.wh..wh..opq"), entry("d/n")], ["d/a", "d/b", "d/sub"], ["d/n"]),
    "opaque last": (
        [entry("d/n"), directory("d/sub"), entry("d/.wh..wh..opq")],
        ["d/a", "d/sub/c"],
        ["d/n", "d/sub"],
    ),
    "then an entry": ([entry("d/.wh.a"), entry("d/a", b"new")], [], ["d/a"]),
    "after an entry": ([entry("d/a", b"new"), entry("d/.wh.a")], [], ["d/a"]),
    "of a directory here": ([directory("d"), entry(".wh.d"), entry("d/n")], ["d/a", "d/sub"], ["d", "d/n"]),
    "of a parent here": ([entry("d/n"), entry(".wh.d")], ["d/a", "d/sub"], ["d", "d/n"]),
    # The whole image below, which no mark on a root says to the kernel.
    "root": ([entry(".wh..wh..opq"), entry("n")], ["d", "f", "lib"], ["n"]),
    "of aufs": (
        [directory(".wh..wh.plnk"), entry(".wh..wh.plnk/1"), entry("d/.wh..wh.x")],
        [".wh..wh.plnk"],
        ["d/a"],
    ),
    "roundabout": ([entry("/d/../d/./.wh.a")], ["d/a"], ["d/b"]),
    "behind a link": ([entry("lib/.wh.x")], ["lib/x", "usr/lib/x"], ["usr/lib"]),
    "of nothing": ([entry(".wh.missing")], ["missing"], ["f"]),
}


@pytest.mark.parametrize("name", _WHITEOUTS)
def test_whiteouts(scratch: str, name: str) -> None:
    """A whiteout hides what layers below have, and nothing of its own layer, wherever it stands in the archive."""
    top, gone, there = _WHITEOUTS[name]
    stack = made(f"{scratch}/l", _BASE, archive(*top))
    view = resolver(stack)
    assert [path for path in gone if view.resolve(path).exists] == []
    assert [path for path in there if not view.resolve(path).exists] == []
    assert not [path for path in _seen(stack) if "/.wh." in f"/{path}"]


def test_names(scratch: str) -> None:
    """Names count from the root of the image and do not lead out of it; of several entries the last one holds."""
    tar = archive(
        entry("/abs", b"1"),
        entry("../../out", b"2"),
        entry("a//b/./c", b"3"),
        entry("x/../y", b"4"),
        entry("twice", b"old"),
        entry("twice", b"new"),
        directory("dir"),
        entry("dir/in", b"5"),
        directory("dir", mode=0o700),
        directory("gone"),
        entry("gone/in"),
        entry("gone", b"file"),
        entry("was"),
        directory("was"),
        entry(os.fsdecode(b"\xff\n\x1b"), b"6"),
    )
    stack = made(f"{scratch}/l", tar)
    view = resolver(stack)
    expected = ["a", "a/b", "a/b/c", "abs", "dir", "dir/in", "gone", "out", "twice", "was", "y"]
    assert sorted(_seen(stack)) == sorted([*expected, os.fsdecode(b"\xff\n\x1b")])
    assert (content(view, "twice"), content(view, "gone")) == (b"new", b"file")
    assert kinds(view, ["was", "dir"]) == {"was": "directory", "dir": "directory"}
    mode = view.resolve("dir").attributes
    assert mode is not None
    assert mode.mode == 0o700
    parent = view.resolve("a/b").attributes
    assert parent is not None
    assert (parent.mode, parent.uid, parent.gid, parent.mtime_ns) == (0o755, 0, 0, 0)


def test_parents_are_those_of_the_layers_below(scratch: str) -> None:
    """A parent without an entry has what the layers below have there; behind a link it is where that leads."""
    top = archive(entry("tmp/n"), entry("lib/y", b"y"), link("here", "d/sub"), entry("here/z"), entry("up/q"))
    view = resolver(made(f"{scratch}/l", _BASE, archive(link("up", "../../../d")), top))
    tmp = view.resolve("tmp").attributes
    assert tmp is not None
    assert tmp.mode == 0o1777
    assert kinds(view, ["lib", "usr/lib/y", "usr/lib/x", "here", "d/sub/z", "d/sub/c", "up", "d/q"]) == {
        "lib": "symlink",
        "usr/lib/y": "file",
        "usr/lib/x": "file",
        "here": "symlink",
        "d/sub/z": "file",
        "d/sub/c": "file",
        "up": "symlink",
        "d/q": "file",
    }


def test_hard_links(scratch: str) -> None:
    """Names of one file have its number, its count and its content; a link to another layer's file is not known."""
    top = archive(
        entry("g", b"g" * 1000, mode=0o600),
        hard_link("h", "/g"),
        link("s", "nowhere"),
        hard_link("t", "s"),
        hard_link("lost", "f"),
        hard_link("early", "late"),
        entry("late"),
        hard_link("dir", "d2"),
        directory("d2"),
        hard_link("dir", "d2"),
    )
    view = resolver(made(f"{scratch}/l", _BASE, top))
    g, h = view.resolve("g").attributes, view.resolve("h").attributes
    assert g is not None
    assert g == h
    assert (g.nlink, g.mode, g.dev) == (2, 0o600, ARCHIVE)
    assert content(view, "h") == b"g" * 1000
    assert view.resolve("t").kind == "symlink"
    for path, number in (("lost", errno.ENOLINK), ("early", errno.ENOLINK), ("dir", errno.EPERM)):
        found = view.resolve(path)
        assert found.outcome is Outcome.UNKNOWN
        assert [each.errno for each in found.unreadable] == [number]


def test_foreign_marks_are_none(scratch: str) -> None:
    """Attributes come along; those that look like marks are not obeyed, and are seen through the merge."""
    records = {
        "SCHILY.xattr.trusted.overlay.opaque": "y",
        "SCHILY.xattr.trusted.overlay.redirect": "/etc",
        "SCHILY.xattr.user.overlay.opaque": "y",
        "SCHILY.xattr.security.capability": "\x01\x00cap",
    }
    view = resolver(made(f"{scratch}/l", _BASE, archive(directory("d", pax_headers=records))))
    found = view.resolve("d")
    assert len(found.stack) == 2
    assert view.resolve("d/a").exists
    own = xattrs(found.stack[0].layer.tree, "d")
    assert own == {
        "trusted.overlay.overlay.opaque": b"y",
        "trusted.overlay.overlay.redirect": b"/etc",
        "user.overlay.opaque": b"y",
        "security.capability": b"\x01\x00cap",
    }


_REFUSED: dict[str, tuple[bytes, str]] = {
    "below a file": (archive(entry("f"), entry("f/g")), "below something that is no directory"),
    "below a fifo": (archive(entry("a", type=tarfile.FIFOTYPE), entry("a/b/.wh.c")), "below something"),
    "circle": (archive(link("a", "b"), link("b", "a"), entry("a/x")), "in a circle"),
    "whiteout of no name": (archive(entry("x/.wh.")), "hides no name"),
    "whiteout of .": (archive(entry(".wh..")), "hides no name"),
    "whiteout of ..": (archive(entry(".wh...")), "hides no name"),
    "file for a root": (archive(entry("./", b"x")), "root is no directory"),
    "long name": (archive(entry("n" * 256)), "longer than 255 bytes"),
    "long name of few characters": (archive(entry("é" * 128)), "longer than 255 bytes"),
    "long path": (archive(entry("a/" * 3000 + "f")), "a name has"),
    "no such device": (archive(entry("dev", type=tarfile.CHRTYPE, devmajor=1 << 20)), "no device"),
    "no archive": (b"\x7fELF" + bytes(2000), "header"),
    "cut off": (archive(entry("f", b"x" * 4000))[:2000], "within a file"),
}


@pytest.mark.parametrize("name", _REFUSED)
@pytest.mark.parametrize("compression", ["", "gzip"])
def test_layers_that_no_runtime_unpacks(scratch: str, name: str, compression: str) -> None:
    """They are refused with a reason, whole: nothing of the image is told."""
    tar, said = _REFUSED[name]
    stack = made(f"{scratch}/l", Made(tar, compression))
    with pytest.raises(errors.ImageDamaged, match=said):
        resolver(stack)


def test_a_deep_tree(scratch: str) -> None:
    """As deep as a path can be, every directory is there."""
    stack = made(f"{scratch}/l", archive(entry("a/" * 2000 + "f")))
    assert len(_seen(stack)) == 2001


def test_an_empty_image(scratch: str) -> None:
    """An image without layers, and one with an empty archive, are an empty directory."""
    assert _seen(made(f"{scratch}/none")) == _seen(made(f"{scratch}/empty", archive())) == []


def test_a_link_out_of_the_image_stays_in_it(scratch: str) -> None:
    """Links to what the machine has lead to the same names of the image, and nothing is opened there."""
    stack = made(
        f"{scratch}/l", archive(link("etc", "/etc"), link("out", f"../../..{scratch}"), entry("out/new", b"n"))
    )
    view = resolver(stack)
    assert view.resolve("etc/passwd").errno == errno.ENOTDIR
    assert content(view, f"{scratch.strip('/')}/new") == b"n"
    assert not os.path.exists(f"{scratch}/new")
