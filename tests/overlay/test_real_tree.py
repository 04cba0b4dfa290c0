"""The real tree: what lies outside a layer stays outside, and what cannot be read is said."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel import openat2
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from ovlctl.overlay.layers import Following, open_layers
from ovlctl.overlay.merged import Entry, listing, walk
from ovlctl.overlay.options import Flag, Options
from ovlctl.overlay.real_tree import RealTree
from ovlctl.overlay.resolution import Outcome, Rule
from ovlctl.overlay.resolver import Resolver
from ovlctl.overlay.stack import Stack
from ovlctl.overlay.tree import Kind
from tests import capabilities, trees
from tests.overlay.made import Made, directory, file, mounted, resolving, whiteout, write_layer

if TYPE_CHECKING:
    from tests.conftest import MakeFs, OrdinaryUser

Opener = Callable[[int, str, int], int]
ROOT = capabilities.needs_root


@pytest.mark.parametrize("opener", [openat2.open_beneath, openat2.walk_beneath])
def test_nothing_leads_out(scratch: str, opener: Opener) -> None:
    """Symbolic links, ``..`` and absolute paths are refused with and without openat2(2)."""
    trees.make(scratch, {"in/d/f": "x", "out/f": "x"})
    os.symlink("../out", f"{scratch}/in/s")
    os.symlink("f", f"{scratch}/in/d/s")
    root = os.open(f"{scratch}/in", os.O_PATH)
    try:
        os.close(opener(root, "d/f", os.O_RDONLY))
        os.close(opener(root, "d/s", os.O_PATH | os.O_NOFOLLOW))
        for path, wrong in (
            ("s/f", errno.ELOOP),
            ("d/s", errno.ELOOP),
            ("../out/f", errno.EXDEV),
            ("/etc", errno.EXDEV),
        ):
            with pytest.raises(OSError, match=os.strerror(wrong)):
                opener(root, path, os.O_RDONLY)
        with pytest.raises(FileNotFoundError):
            opener(root, "d/none", os.O_RDONLY)
    finally:
        os.close(root)


@ROOT
@pytest.mark.parametrize("opener", [openat2.open_beneath, openat2.walk_beneath])
def test_mount_points_are_not_crossed(scratch: str, opener: Opener) -> None:
    """A mount point below is EXDEV, on the way and at the end, also when it is on the same file system."""
    trees.make(scratch, {"root/point/x": "x", "other/f": "x"})
    mount(f"{scratch}/other", f"{scratch}/root/point", None, MS.BIND, None)
    root = os.open(f"{scratch}/root", os.O_PATH)
    try:
        for path in ("point", "point/f"):
            with pytest.raises(OSError, match=os.strerror(errno.EXDEV)):
                opener(root, path, os.O_PATH | os.O_NOFOLLOW)
    finally:
        os.close(root)
        umount2(f"{scratch}/root/point", MNT(0))


@ROOT
def test_below_mount_points_as_the_kernel_sees_it(scratch: str) -> None:
    """The overlay shows what a mount covers, and so does the tree; without a clone of the mount it says EXDEV."""
    trees.make(scratch, {"lower/point/covered": "c", "lower/f": "x", "low/g": "g"})
    mount("tmpfs", f"{scratch}/lower/point", "tmpfs", MS(0), None)
    trees.make(f"{scratch}/lower/point", {"on top": "t"})
    stack = Stack([f"{scratch}/lower", f"{scratch}/low"])
    try:
        with resolving(stack) as resolver, mounted(stack, f"{scratch}/merged") as point:
            entries = list(listing(resolver, resolver.resolve("point")))
            assert [entry.name for entry in entries if isinstance(entry, Entry)] == ["covered"]
            assert os.listdir(f"{point}/point") == ["covered"]
        with RealTree(f"{scratch}/lower") as tree:
            assert tree.cloned
            tree.cloned, tree._guarded = False, True  # noqa: SLF001 -- as for somebody who may not clone mounts
            tree._root, cloned = os.open(f"{scratch}/lower", os.O_PATH), tree._root  # noqa: SLF001
            os.close(cloned)
            for look in (tree.lstat, tree.xattr_names, lambda path: list(tree.scandir(path))):
                with pytest.raises(OSError, match=os.strerror(errno.EXDEV)):
                    look("point")
            found = tree.lstat("f")
            assert found is not None
            assert found.kind is Kind.FILE
    finally:
        umount2(f"{scratch}/lower/point", MNT(0))


@ROOT
@capabilities.needs_fs("btrfs")
def test_subvolumes_are_followed(make_fs: MakeFs) -> None:
    """A btrfs subvolume inside a layer is part of it, for the kernel and for the resolver."""
    if shutil.which("btrfs") is None:
        pytest.skip("btrfs(8) is not installed")
    base = make_fs("btrfs")
    trees.make(base, {"lower/d/": None, "low/g": "g"})
    subprocess.run(["btrfs", "subvolume", "create", f"{base}/lower/sub"], check=True, capture_output=True)
    trees.make(f"{base}/lower/sub", {"inside": "x"})
    stack = Stack([f"{base}/lower", f"{base}/low"])
    with resolving(stack) as resolver, mounted(stack, f"{base}/merged") as point:
        assert os.listdir(f"{point}/sub") == ["inside"]
        assert resolver.resolve("sub/inside").exists


@ROOT
def test_deeper_than_a_path_can_be(scratch: str) -> None:
    """Directories nested so deeply that no path reaches the last one are resolved, with few descriptors."""
    name, depth = "n" * 200, 60
    for layer in ("top", "low"):
        os.mkdir(f"{scratch}/{layer}")
        here = os.open(f"{scratch}/{layer}", os.O_PATH)
        for _ in range(depth):
            os.mkdir(name, dir_fd=here)
            below = os.open(name, os.O_PATH, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open(layer, os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.close(here)
    with resolving(Stack([f"{scratch}/top", f"{scratch}/low"])) as resolver:
        bottom = resolver.resolve("/".join([name] * depth))
        assert {entry.name for entry in listing(resolver, bottom) if isinstance(entry, Entry)} == {"top", "low"}
        assert sum(1 for _ in walk(resolver)) == depth + 2


@ROOT
def test_five_hundred_layers(scratch: str) -> None:
    """As many layers as the kernel takes, each with its own file, in one directory: few descriptors, all found."""
    lowers = [trees.make(f"{scratch}/{at}", {f"d/{at}": str(at)}) for at in range(500)]
    before = len(os.listdir("/proc/self/fd"))
    with resolving(Stack(lowers)) as resolver:
        found = {
            entry.name: entry.resolution
            for entry in listing(resolver, resolver.resolve("d"))
            if isinstance(entry, Entry)
        }
        assert len(os.listdir("/proc/self/fd")) - before < 570
    assert {name: place.stack[0].layer.index for name, place in found.items()} == {str(at): at for at in range(500)}
    assert len(os.listdir("/proc/self/fd")) == before


_USER = """
import json, sys
from ovlctl.overlay.layers import open_layers, Following
from ovlctl.overlay.marks import Prefix
from ovlctl.overlay.resolver import Resolver
from ovlctl.overlay.stack import Stack
answers = {}
for prefix in Prefix:
    with open_layers(Stack(sys.argv[1:])) as layers:
        resolver = Resolver(layers, Following(prefix=prefix))
        for path in ("open/f", "closed/f", "opaque/f"):
            found = resolver.resolve(path)
            answers[f"{prefix.name} {path}"] = [found.outcome, found.certain, [lost.errno for lost in found.unreadable]]
print(json.dumps(answers))
"""


@ROOT
def test_an_ordinary_user_is_told_what_could_not_be_read(scratch: str, ordinary_user: OrdinaryUser) -> None:
    """Law 5: a closed directory is UNKNOWN with its errno, and trusted marks that cannot be seen make it uncertain."""
    top = {
        "open/f": file(b"x"),
        "closed": Made(kind=Kind.DIRECTORY, mode=0o700),
        "closed/f": file(),
        "opaque": directory(),
    }
    write_layer(f"{scratch}/top", top)
    os.setxattr(f"{scratch}/top/opaque", "trusted.overlay.opaque", b"y")
    trees.make(scratch, {"low/opaque/f": "hidden"})
    done = ordinary_user.run([sys.executable, "-c", _USER, f"{scratch}/top", f"{scratch}/low"])
    assert done.stderr == ""
    closed = [Outcome.UNKNOWN, False, [errno.EACCES]]
    assert json.loads(done.stdout) == {
        "TRUSTED open/f": [Outcome.PRESENT, False, []],
        "TRUSTED closed/f": closed,
        "TRUSTED opaque/f": [Outcome.PRESENT, False, []],
        "USER open/f": [Outcome.PRESENT, True, []],
        "USER closed/f": closed,
        "USER opaque/f": [Outcome.PRESENT, True, []],
    }


_MOUNT = """
import os, sys
from ovlctl.kernel.namespaces import enter_user_namespace
from ovlctl.kernel.mount import MS, mount
enter_user_namespace()
top, low, point = sys.argv[1:]
mount("overlay", point, "overlay", MS(0), os.fsencode(f"lowerdir={top}:{low}"))
print(sorted(os.listdir(f"{point}/opaque")), sorted(os.listdir(point)))
"""


@ROOT
@capabilities.needs_userns_overlay
def test_a_mounter_who_cannot_read_trusted_marks(scratch: str, ordinary_user: OrdinaryUser) -> None:
    """In a user namespace without userxattr no mark counts but device whiteouts, for kernel and resolver."""
    write_layer(
        f"{scratch}/top", {"opaque": directory(opaque=b"y"), "gone": whiteout(), "moved": directory(redirect=b"d")}
    )
    trees.make(scratch, {"low/opaque/f": "hidden", "low/gone": "x", "low/d/f": "x"})
    point = f"{ordinary_user.home}/merged"
    os.mkdir(point, 0o755)
    os.chown(point, ordinary_user.uid, ordinary_user.gid)
    done = ordinary_user.run([sys.executable, "-c", _MOUNT, f"{scratch}/top", f"{scratch}/low", point])
    assert (done.stdout, done.stderr) == ("['f'] ['d', 'moved', 'opaque']\n", "")
    with open_layers(Stack([f"{scratch}/top", f"{scratch}/low"])) as layers:
        resolver = Resolver(layers, Following.of(Options(), trusted=False))
        entries = [entry for entry in walk(resolver) if isinstance(entry, Entry)]
        paths = sorted(entry.resolution.path for entry in entries if entry.resolution.exists)
        assert paths == ["d", "d/f", "moved", "opaque", "opaque/f"]
        assert all(entry.resolution.certain for entry in entries)


@ROOT
def test_a_listing_is_sorted_and_looks_up_as_it_goes(scratch: str) -> None:
    """Names come in the order of their code points, from whichever layer; the first before the last is looked up."""
    trees.make(scratch, {f"low/{at:04}": "" for at in range(300)})
    trees.make(scratch, {"top/0100": "", "top/x": "", "low/x": "", "top/-": ""})
    with open_layers(Stack([f"{scratch}/top", f"{scratch}/low"])) as layers:
        resolver = Resolver(layers, Following.of(Options(userxattr=Flag.NO)))
        entries = listing(resolver, resolver.root())
        first = next(entries)
        assert isinstance(first, Entry)
        assert (first.name, first.resolution.rule) == ("-", Rule.TOPMOST)
        os.unlink(f"{scratch}/low/0299")
        names = [entry.name for entry in entries if isinstance(entry, Entry) and entry.resolution.exists]
        assert names == [*(f"{at:04}" for at in range(299)), "x"]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.getcwd(), "PYTHONDONTWRITEBYTECODE": "1"}
