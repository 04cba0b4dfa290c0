"""``cp``: a copy is what ``cp -a`` makes of the mount."""

from __future__ import annotations

import os
import stat
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings

from ovlctl.errors import (
    BadUsage,
    ContentUnreadable,
    DestinationInLayer,
    DestinationTaken,
    NotADirectory,
    NotAFile,
    OvlError,
    PathMissing,
    PathNotInStack,
)
from ovlctl.kernel import mounts
from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.clones import across_mounts
from ovlctl.kernel.fiemap import shared_bytes
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from ovlctl.ops import extracting, reading
from ovlctl.ops.discover import of_mount
from ovlctl.ops.kernel_habits import habits
from ovlctl.ops.reading.rules import RULES
from ovlctl.ops.reading.troubles import Troubles
from ovlctl.overlay.habits import Habit
from ovlctl.overlay.options import Options, Switch
from ovlctl.overlay.resolution import Rule
from ovlctl.overlay.stack import Stack
from tests import trees
from tests.capabilities import each_fs, each_options, needs_fs, needs_root
from tests.ops.extracting.copies import copy
from tests.ops.extracting.snapshots import Snapshot, alone, snapshot
from tests.ops.reading.worked import HOSTILE, OPTIONS, worked_on
from tests.overlay.made import Case, Made, directory, file, link, mounted, new_directory, whiteout
from tests.overlay.test_fuzz import EXAMPLES, cases

if TYPE_CHECKING:
    from tests.conftest import MakeFs

pytestmark = needs_root


def _cp(source: str, to: str) -> None:
    subprocess.run(["cp", "-a", "--", source, to], check=True)


@pytest.mark.parametrize("kind", each_fs("ext4", "xfs", "btrfs", "tmpfs"))
@pytest.mark.parametrize("options", each_options(OPTIONS))
def test_a_tree_is_copied_as_cp_does(make_fs: MakeFs, kind: str, options: Options) -> None:
    """Law: modes, owners, times, attributes, ACLs, capabilities, holes, hard links, nodes, on every file system."""
    base = make_fs(kind)
    stack = worked_on(base, options)
    assert copy(stack, "/", f"{base}/ours") == []
    with mounted(stack, f"{base}/merged") as point:
        _cp(point, f"{base}/theirs")
    ours, theirs = snapshot(f"{base}/ours"), snapshot(f"{base}/theirs")
    assert ours.keys() == theirs.keys()
    # Where the kernel's own copy-up filled a hole with zeros, cp(1) makes a hole of them again.
    assert [path for path in ours if replace(ours[path], data=0) != replace(theirs[path], data=0)] == []
    assert f"names/{HOSTILE}" in ours
    assert ours["data/sparse"].data <= 1 << 20
    assert [name for name in os.listdir(base) if name.startswith(".")] == []


@needs_fs("ext4")
def test_to_another_file_system(make_fs: MakeFs) -> None:
    """Where no blocks can be shared, holes are kept all the same."""
    base, other = make_fs("tmpfs"), make_fs("ext4")
    stack = worked_on(base, OPTIONS["metacopy"])
    assert copy(stack, "data", other) == []
    with mounted(stack, f"{base}/merged") as point:
        _cp(f"{point}/data", f"{other}/theirs")
    assert snapshot(f"{other}/data") == snapshot(f"{other}/theirs")


@settings(max_examples=EXAMPLES // 10, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=cases())
def test_layers_of_every_shape(room: str, case: Case) -> None:
    """What can be read of the mount is in the copy, with nothing else in it."""
    with new_directory(room) as base:
        stack = case.write(base)
        copy(stack, "/", f"{base}/ours")
        with mounted(stack, f"{base}/merged") as point:
            subprocess.run(["cp", "-a", "--", point, f"{base}/theirs"], check=False, capture_output=True)
        ours, theirs = snapshot(f"{base}/ours"), snapshot(f"{base}/theirs")
        different = [path for path in {*ours, *theirs} if ours.get(path) != theirs.get(path)]
        # Two names that lead to one lower object are one inode or two, by what the kernel looked up before.
        for path in different:
            copied = ours.get(path)
            asked = _asked_alone(stack, path, f"{base}/again")
            assert (None if copied is None else replace(copied, same="")) == asked, path


def _asked_alone(stack: Stack, path: str, point: str) -> Snapshot | None:
    """What a fresh mount has at *path*, when that is what it is asked for first."""
    with mounted(stack, point):
        try:
            return alone(os.path.join(point, path))
        except OSError:
            return None


@pytest.mark.parametrize("kind", each_fs("xfs", "btrfs"))
def test_blocks_are_shared(make_fs: MakeFs, kind: str) -> None:
    """Where the file system can, a copy takes no room; older kernels do not clone out of a mount."""
    base = make_fs(kind)
    trees.make(base, {"top/": None, "low/big": os.urandom(1 << 20)})
    assert copy(Stack([f"{base}/top", f"{base}/low"]), "big", f"{base}/copy") == []
    with open(f"{base}/copy", "rb") as opened:
        assert shared_bytes(opened.fileno()) == (0 if across_mounts() is Answer.NO else 1 << 20)


@pytest.mark.parametrize(
    "path", ["etc/link", "fifo", "socket", "null", "disk", "bin/tool", "etc/app.conf", "data/sparse"]
)
def test_one_of_each_kind(make_fs: MakeFs, path: str) -> None:
    """A single object, into a directory and under a name of its own."""
    base = make_fs("tmpfs")
    stack = worked_on(base, OPTIONS["metacopy"])
    os.mkdir(f"{base}/into")
    assert copy(stack, path, f"{base}/into", recursive=False) == []
    assert copy(stack, path, f"{base}/named", recursive=False) == []
    with mounted(stack, f"{base}/merged") as point:
        _cp(f"{point}/{path}", f"{base}/theirs")
    theirs = snapshot(f"{base}/theirs")
    assert snapshot(f"{base}/named") == theirs
    assert snapshot(f"{base}/into/{os.path.basename(path)}") == theirs
    assert os.listdir(f"{base}/into") == [os.path.basename(path)]


def test_a_default_list_of_the_destination_does_not_count(make_fs: MakeFs) -> None:
    """What is made below a directory with a default ACL gets one; a copy has the source's, or none."""
    base = make_fs("tmpfs")
    stack = worked_on(base, OPTIONS["default"])
    os.mkdir(f"{base}/into")
    value = os.getxattr(f"{base}/low/bin", "system.posix_acl_default")
    os.setxattr(f"{base}/into", "system.posix_acl_default", value)
    assert copy(stack, "/", f"{base}/into/ours") == []
    assert copy(stack, "/", f"{base}/ours") == []
    assert snapshot(f"{base}/into/ours") == snapshot(f"{base}/ours")


TOP = {
    "d": directory(opaque=b"y", **{"overlay.opaque": b"y"}),
    "d/f": file(b"top", origin=b""),
    "d/gone": whiteout(),
    "d/empty": file(whiteout=b""),
    "m": file(b"....", metacopy=b""),
    "d/m": file(b"....", metacopy=b""),
    "bad": directory(redirect=b"../x"),
    "s": link("f"),
}
#: Kernels that read no whiteouts in attributes have it for a file.
_EMPTY = ("empty",) if habits(Habit.XATTR_WHITEOUTS) is Answer.NO else ()
LOW = {"d/f": file(b"low"), "d/gone": file(b"x"), "m": file(b"data"), "d/m": file(b"data"), "bad/x": file()}


def test_one_layer(room: str) -> None:
    """A layer as it is: marks and whiteouts stay behind, escaped ones lose one escape, metadata alone is left out.

    Where the kernel shows no escaped marks, they stay behind as well.
    """
    with new_directory(room) as base:
        stack = Case(lowers=(TOP, LOW), options=Options(metacopy=Switch.ON)).write(base)
        notes = copy(stack, "d", f"{base}/copy", layer="0")
        assert sorted(snapshot(f"{base}/copy")) == ["", *_EMPTY, "f"]
        shown = habits(Habit.ESCAPES) is not Answer.NO
        assert snapshot(f"{base}/copy")[""].xattrs == ((("trusted.overlay.opaque", b"y"),) if shown else ())
        assert snapshot(f"{base}/copy")["f"].xattrs == ()
        assert len(notes) == 1
        assert notes[0].startswith("d/m has no content")
        copy(stack, "d/f", f"{base}/low", layer="1")
        assert trees.everything(base)["low"] == "-"
        with pytest.raises(ContentUnreadable):
            copy(stack, "m", f"{base}/no", layer="0")
        with pytest.raises(NotAFile):
            copy(stack, "d/gone", f"{base}/no", layer="0")
        with pytest.raises(PathNotInStack):
            copy(stack, "s", f"{base}/no", layer="1")
        assert not os.path.lexists(f"{base}/no")


def test_what_is_refused_is_left_out_and_said(room: str) -> None:
    """The rest is copied."""
    with new_directory(room) as base:
        stack = Case(lowers=(TOP, LOW), options=Options(metacopy=Switch.ON)).write(base)
        assert copy(stack, "/", f"{base}/copy") == [
            f"bad is left out: the kernel refuses to look it up ({RULES[Rule.REDIRECT_INVALID]})",
            f"d/m is left out: the kernel refuses to look it up ({RULES[Rule.METACOPY_WITHOUT_DATA]})",
        ]
        assert set(snapshot(f"{base}/copy")) == {"", "d", "d/f", "m", "s", *(f"d/{name}" for name in _EMPTY)}


def test_attributes_that_the_destination_cannot_hold(room: str) -> None:
    """They are named, and the copy is made."""
    with new_directory(room) as base:
        made = {"f": Made(content=b"x", xattrs={"user.note": b"y"}), "g": file()}
        stack = Case(lowers=({}, made), options=Options()).write(base)
        os.mkdir(f"{base}/ram")
        mount("ramfs", f"{base}/ram", "ramfs", MS(0), None)
        try:
            (note,) = copy(stack, "/", f"{base}/ram/copy")
            assert note == "the attribute user.note of f could not be kept: Operation not supported (ENOTSUP)"
            assert trees.everything(f"{base}/ram/copy") == {"f": "-", "g": "-"}
        finally:
            umount2(f"{base}/ram", MNT(0))


@pytest.fixture
def small(scratch: str) -> Stack:
    """A little stack."""
    trees.make(scratch, {"top/d/new": "new", "low/f": "low", "low/d/sub/x": "x", "dest/": None})
    return Stack([f"{scratch}/top", f"{scratch}/low"])


def test_nothing_is_overwritten(small: Stack, scratch: str) -> None:
    """Not a file, a link (not even a dangling one) or a directory; with replace, files and links but no directory."""
    trees.make(scratch, {"dest/f": "mine", "dest/g": "mine", "dest/d/": None})
    os.symlink("nowhere", f"{scratch}/dest/dangling")
    os.mkfifo(f"{scratch}/fifo")
    before = snapshot(f"{scratch}/dest")
    for to in ("dest", "dest/f", "dest/g", "dest/dangling"):
        with pytest.raises(DestinationTaken):
            copy(small, "f", f"{scratch}/{to}")
    for to in ("dest", "dest/f"):
        with pytest.raises(DestinationTaken):
            copy(small, "d", f"{scratch}/{to}", replace=True)
    with pytest.raises(DestinationTaken):
        copy(small, "/", f"{scratch}/dest")
    for to in ("/dev/null", f"{scratch}/fifo"):
        # Not even with replace: a device in its place is used by others.
        with pytest.raises(DestinationTaken):
            copy(small, "f", to, replace=True)
    assert snapshot(f"{scratch}/dest") == before
    held = os.open(f"{scratch}/dest/f", os.O_RDONLY)
    assert copy(small, "f", f"{scratch}/dest", replace=True) == []
    assert copy(small, "f", f"{scratch}/dest/dangling", replace=True) == []
    assert os.read(held, 9) == b"mine"
    os.close(held)
    with open(f"{scratch}/dest/f", encoding="ascii") as new:
        assert new.read() == "low"
    assert stat.S_ISREG(os.lstat(f"{scratch}/dest/dangling").st_mode)


@pytest.mark.parametrize(
    ("path", "to", "recursive", "error"),
    [
        ("d", "dest/new", False, BadUsage),
        ("f", "", False, BadUsage),
        ("f", "no/where", False, PathMissing),
        ("f", "no/", False, PathMissing),
        ("f", "top/d/new/x", False, NotADirectory),
        ("f", "dest/..", False, DestinationTaken),
        ("none", "dest", False, PathNotInStack),
        ("f/x", "dest", False, PathNotInStack),
        ("f/../f", "dest", False, BadUsage),
    ],
)
def test_wrong_words(small: Stack, scratch: str, path: str, to: str, *, recursive: bool, error: type[OvlError]) -> None:
    """Each has its own error, with a hint, and nothing is made."""
    trees.make(scratch, {"f": "in the way"})
    before = trees.everything(scratch)
    with pytest.raises(error) as caught:
        copy(small, path, f"{scratch}/{to}" if to else "", recursive=recursive)
    assert caught.value.hint() or error is NotADirectory
    assert trees.everything(scratch) == before


def test_a_layer_of_a_live_mount_is_no_destination(scratch: str) -> None:
    """By whatever path: a link, a bind mount, work too. The merged view is one, but not below what is copied."""
    trees.make(scratch, {"low/d/x": "x", "low/e/": None, "upper/": None, "work/": None, "bound/": None})
    stack = Stack([f"{scratch}/low"], upper=f"{scratch}/upper", work=f"{scratch}/work")
    os.symlink("low/d", f"{scratch}/link")
    mount(f"{scratch}/low/d", f"{scratch}/bound", None, MS.BIND)

    def attempt(path: str, to: str) -> None:
        live = next(each for each in mounts.mounts("overlay") if each.mount_point == f"{scratch}/merged")
        with reading.opened(reading.of_overlay(of_mount(live, None))) as view:
            extracting.plan(view, path, f"{scratch}/{to}", Troubles(), recursive=True).apply()

    try:
        with mounted(stack, f"{scratch}/merged") as point:
            for to in (
                "low/new",
                "low",
                "low/d/new",
                "link/new",
                "bound/new",
                "upper/new",
                "work/new",
            ):
                with pytest.raises(DestinationInLayer):
                    attempt("d/x", to)
            for to in ("merged/d", "merged/d/new"):
                with pytest.raises(DestinationInLayer):
                    attempt("d", to)
            with pytest.raises(DestinationInLayer):
                attempt("/", "merged/new")
            attempt("d", "merged/e/new")
            attempt("d/x", "merged/d/y")
            assert trees.everything(f"{point}/e") == {"new": "d", "new/x": "-"}
            assert sorted(os.listdir(f"{point}/d")) == ["x", "y"]
        for to in ("low/d/new", "bound/new", "link/new"):
            with pytest.raises(DestinationInLayer):
                copy(stack, "/", f"{scratch}/{to}")
        assert copy(stack, "d/x", f"{scratch}/low/e") == []
    finally:
        umount2(f"{scratch}/bound", MNT(0))
