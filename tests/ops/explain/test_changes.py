"""What a change would do, against what it does: errors, copied bytes, parents, marks and whiteouts in the upper."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
import stat
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel import fiemap
from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.clones import across_mounts
from ovlctl.ops.explain.changes import costs
from ovlctl.ops.explain.file_systems import FileSystems
from ovlctl.ops.explain.terms import Act, Data, Remark
from ovlctl.overlay.options import Options, RedirectDir, Switch
from ovlctl.overlay.stack import Stack
from tests import capabilities, trees
from tests.ops.explain.mounts import data_bytes, fresh, viewing
from tests.overlay.made import mounted, new_directory

if TYPE_CHECKING:
    from collections.abc import Callable

    from ovlctl.ops.explain.values import Cost
    from ovlctl.ops.reading import View
    from tests.conftest import MakeFs

MIB = 1 << 20
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_NOCOW_FL = 0x80086601, 0x40086602, 0x00800000
OPTIONS = {
    "default": Options(),
    "metacopy": Options(metacopy=Switch.ON),
    "redirect_dir": Options(redirect_dir=RedirectDir.ON),
    "index": Options(index=Switch.ON),
    "metacopy,index": Options(metacopy=Switch.ON, index=Switch.ON),
    "nfs_export": Options(nfs_export=Switch.ON),
}
#: Each lies two directories down from a directory of its own, so that no change helps another one.
NAMES = (
    "plain", "small", "empty", "hole", "islands", "linked", "symlink", "fifo", "device", "socket", "directory", "full",
)  # fmt: skip
PATHS = {name: f"{name}/p/object" for name in NAMES}


def _sparse(path: str, size: int, *islands: tuple[int, int]) -> None:
    with open(path, "wb") as file:
        file.truncate(size)
        for start, length in islands:
            file.seek(start)
            file.write(os.urandom(length))


def _lower(base: str) -> str:
    trees.make(base, {f"{name}/p/": None for name in NAMES})
    at = {name: os.path.join(base, path) for name, path in PATHS.items()}
    with open(at["plain"], "wb") as file:
        file.write(os.urandom(3 * MIB + 5))
    trees.make(base, {PATHS["small"]: "hello", PATHS["empty"]: b"", f"{PATHS['full']}/inside": "x"})
    _sparse(at["hole"], 10 * MIB)
    _sparse(at["islands"], 20 * MIB, (5 * MIB + 123, 1), (9 * MIB + MIB // 2, 4096), (20 * MIB - 100, 100))
    trees.make(base, {PATHS["linked"]: "l" * 5000})
    os.link(at["linked"], os.path.join(base, "linked/other"))
    os.symlink("nowhere", at["symlink"])
    os.mkfifo(at["fifo"])
    os.mknod(at["device"], stat.S_IFCHR | 0o600, os.makedev(1, 3))
    above = os.open(os.path.dirname(at["socket"]), os.O_PATH)
    with socket.socket(socket.AF_UNIX) as new:  # an address has at most 107 bytes
        new.bind(f"/proc/self/fd/{above}/object")
    os.close(above)
    os.mkdir(at["directory"])
    return base


def _write(path: str) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))


def _chmod(path: str) -> None:
    if os.path.islink(path):
        os.chown(path, 0, 0, follow_symlinks=False)
    else:
        os.chmod(path, 0o700)


def _rename(path: str) -> None:
    os.rename(path, path + "2")


def _rename_to(target: str) -> Callable[[str], None]:
    return lambda path: os.rename(path, target)


def _unlink(path: str) -> None:
    (os.rmdir if stat.S_ISDIR(os.lstat(path).st_mode) else os.unlink)(path)


DO: dict[Act, Callable[[str], None]] = {
    Act.WRITE: _write,
    Act.CHMOD: _chmod,
    Act.RENAME: _rename,
    Act.UNLINK: _unlink,
}


def _costs(view: View, path: str) -> dict[Act, Cost]:
    found = view.resolver.resolve(path, complete=True)
    return {cost.act: cost for cost in costs(view, found, FileSystems(view))}


def _errno_of(action: Callable[[str], None], path: str) -> int:
    try:
        action(path)
    except OSError as error:
        return error.errno or 0
    return 0


def _entries(upper: str, below: str) -> set[str]:
    top = os.path.join(upper, below)
    found = {below} if os.path.lexists(top) else set[str]()
    for directory, names, files in os.walk(top):
        found |= {os.path.relpath(os.path.join(directory, name), upper) for name in (*names, *files)}
    return found


def _is_whiteout(path: str) -> bool:
    found = os.lstat(path)
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _check(upper: str, path: str, act: Act, cost: Cost, before: set[str]) -> None:
    """The upper got just what *cost* says."""
    after = path + "2" if act is Act.RENAME else path
    expected = set(cost.parents)
    if cost.copies_object:
        # Removing what had to be copied up for the index leaves the copy in the index alone.
        expected |= {after} if act is not Act.UNLINK else set()
    if cost.whiteout:
        expected.add(path)
        assert _is_whiteout(os.path.join(upper, path))
    assert _entries(upper, path.split("/", maxsplit=1)[0]) - before == expected
    copy = os.path.join(upper, after)
    if cost.copies_object and act is not Act.UNLINK and stat.S_ISREG(os.lstat(copy).st_mode):
        metacopy = "trusted.overlay.metacopy" in os.listxattr(copy)
        assert metacopy == (cost.data is Data.METADATA)
        if cost.data is Data.CLONED:
            with open(copy, "rb") as file:
                shared = fiemap.shared_bytes(file.fileno())
            # What is one hole, or lies in the inode itself, has nothing to share.
            assert shared or "plain" not in path
        else:
            assert data_bytes(copy) == cost.copies_bytes


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("act", Act)
def test_first_changes(disk: str, act: Act, options: Options) -> None:
    """Of every kind of object, on every file system: what was foretold is what the kernel then does to the upper."""
    with new_directory(disk) as base:
        stack = fresh(base, "a", [_lower(f"{base}/lower")], options)
        assert stack.upper is not None
        with mounted(stack, f"{base}/merged") as point:
            with viewing(point) as view:
                foretold = {name: _costs(view, path)[act] for name, path in PATHS.items()}
            for name, path in PATHS.items():
                if name == "symlink" and act is Act.WRITE:
                    assert foretold[name].remarks == (Remark.FOLLOWS_LINK,)
                    continue
                assert _errno_of(DO[act], f"{point}/{path}") == foretold[name].errno, name
                _check(stack.upper, path, act, foretold[name], set())


@pytest.mark.parametrize("act", Act)
def test_between_file_systems(ext4: str, memory: str, act: Act) -> None:
    """Data from another file system are copied step by step, and never cloned."""
    with new_directory(ext4) as base, new_directory(memory) as elsewhere:
        stack = fresh(base, "a", [_lower(f"{elsewhere}/lower")], Options())
        assert stack.upper is not None
        with mounted(stack, f"{base}/merged") as point:
            with viewing(point) as view:
                foretold = {name: _costs(view, PATHS[name])[act] for name in ("plain", "hole", "islands")}
            for name, cost in foretold.items():
                assert cost.reflink is Answer.NO
                DO[act](f"{point}/{PATHS[name]}")
                _check(stack.upper, PATHS[name], act, cost, set())


def test_islands_cost_a_step_each(ext4: str) -> None:
    """The kernel copies in steps of a MiB from where data begin: three small islands are three, cut at the end."""
    with new_directory(ext4) as base:
        stack = fresh(base, "a", [_lower(f"{base}/lower")], Options())
        with mounted(stack, f"{base}/merged") as point, viewing(point) as view:
            block = os.statvfs(base).f_bsize
            assert _costs(view, PATHS["islands"])[Act.WRITE].copies_bytes == 2 * MIB + block
            assert _costs(view, PATHS["hole"])[Act.WRITE].copies_bytes == 0
            assert _costs(view, PATHS["plain"])[Act.WRITE].copies_bytes == 3 * MIB + 5


@pytest.mark.parametrize("options", [OPTIONS["default"], OPTIONS["metacopy,index"]], ids=["default", "metacopy,index"])
@pytest.mark.parametrize("act", Act)
def test_later_changes(disk: str, act: Act, options: Options) -> None:
    """What is in the upper already: whole, with metadata only, under another name through the index, or all its own."""
    with new_directory(disk) as base:
        stack = fresh(base, "a", [_lower(f"{base}/lower")], options)
        assert stack.upper is not None
        with mounted(stack, f"{base}/merged") as point:
            _write(f"{point}/{PATHS['small']}")
            _chmod(f"{point}/{PATHS['plain']}")
            _write(f"{point}/linked/other")
            _chmod(f"{point}/{PATHS['directory']}")
            trees.make(point, {"own/p/object": "new", "hole/p/own": "new"})
            os.unlink(f"{point}/{PATHS['empty']}")
            trees.make(point, {PATHS["empty"]: "over a whiteout"})
        paths = (
            *(PATHS[name] for name in ("small", "plain", "linked", "directory", "empty")),
            "own/p/object",
            "hole/p/own",
        )
        with mounted(stack, f"{base}/merged") as point:
            with viewing(point) as view:
                foretold = {path: _costs(view, path)[act] for path in paths}
            for path, cost in foretold.items():
                before = _entries(stack.upper, path.split("/")[0])
                links = os.lstat(f"{stack.upper}/linked/other").st_nlink
                assert _errno_of(DO[act], f"{point}/{path}") == cost.errno, path
                gained = set(cost.parents)
                if act is Act.RENAME and not cost.errno:
                    gained.add(path + "2")
                if cost.copies_object and act in {Act.WRITE, Act.CHMOD}:
                    gained.add(path)
                if Remark.LINKED_FROM_INDEX in cost.remarks and act is not Act.UNLINK:
                    gained.add(path + "2" if act is Act.RENAME else path)
                    assert os.lstat(f"{stack.upper}/linked/other").st_nlink == links + 1
                if cost.whiteout:
                    assert _is_whiteout(f"{stack.upper}/{path}")
                    gained.add(path)
                assert _entries(stack.upper, path.split("/")[0]) - before == gained - before, path
                if act is Act.WRITE and path == PATHS["plain"] and options.metacopy is Switch.ON:
                    assert cost.data in {Data.COPIED, Data.CLONED}
                    copy = f"{stack.upper}/{path}"
                    assert "trusted.overlay.metacopy" not in os.listxattr(copy)
                    assert cost.data is Data.CLONED or data_bytes(copy) == cost.copies_bytes
                if act in {Act.RENAME, Act.UNLINK} and not cost.errno and not cost.whiteout:
                    assert not os.path.lexists(f"{stack.upper}/{path}")


def test_renames_into_another_directory(disk: str) -> None:
    """A redirect of more than 256 bytes is EXDEV, one of 256 is not; in the same directory it is a name only."""
    # "/" and the path have 256 bytes in the first, 257 in the second.
    short, long = "/".join(["d" * 50] * 4 + ["e" * 51]), "/".join(["d" * 50] * 4 + ["f" * 52])
    with new_directory(disk) as base:
        tree = {f"{path}/{kind}/" if kind == "x" else f"{path}": None for path in (short, long) for kind in ("x",)}
        lower = trees.make(f"{base}/lower", {**tree, "to/": None})
        stack = fresh(base, "a", [lower], OPTIONS["redirect_dir"])
        with mounted(stack, f"{base}/merged") as point:
            with viewing(point) as view:
                foretold = {path: _costs(view, path)[Act.RENAME] for path in (short, long)}
            assert [(cost.errno, cost.elsewhere_errno) for cost in foretold.values()] == [(0, 0), (0, errno.EXDEV)]
            for number, (path, cost) in enumerate(foretold.items()):
                assert _errno_of(_rename_to(f"{point}/to/{number}"), f"{point}/{path}") == cost.elsewhere_errno
            os.rename(f"{point}/{long}", f"{point}/{long}2")


def test_renames_of_metadata_only_files(disk: str) -> None:
    """A file that stays without data needs a redirect, too, and one of several names an absolute one at once."""
    deep = "/".join(["d" * 50] * 5)
    with new_directory(disk) as base:
        lower = trees.make(f"{base}/lower", {f"{deep}/one": "x" * 9000, f"{deep}/two": "y" * 9000, "to/": None})
        os.link(f"{lower}/{deep}/two", f"{lower}/{deep}/three")
        stack = fresh(base, "a", [lower], OPTIONS["metacopy"])
        with mounted(stack, f"{base}/merged") as point:
            with viewing(point) as view:
                one, two = (_costs(view, f"{deep}/{name}")[Act.RENAME] for name in ("one", "two"))
            assert (one.errno, one.elsewhere_errno) == (0, errno.EXDEV)
            assert (two.errno, two.elsewhere_errno) == (errno.EXDEV, errno.EXDEV)
            assert _errno_of(_rename_to(f"{point}/to/one"), f"{point}/{deep}/one") == errno.EXDEV
            assert _errno_of(_rename, f"{point}/{deep}/one") == 0
            assert _errno_of(_rename, f"{point}/{deep}/two") == errno.EXDEV


def test_removing_directories(disk: str) -> None:
    """A directory that shows no name can be removed, whatever whiteouts it holds; one that shows a name cannot."""
    with new_directory(disk) as base:
        below = trees.make(f"{base}/below", {"merged/a": "1", "emptied/a": "1", "nothing/": None, "shown/a": "1"})
        above = trees.make(f"{base}/above", {"merged/": None, "emptied/": None})
        stack = fresh(base, "a", [above, below], Options())
        assert stack.upper is not None
        with mounted(stack, f"{base}/merged") as point:
            os.unlink(f"{point}/emptied/a")
            trees.make(point, {"own/": None, "own full/a": "1"})
            names = ("merged", "emptied", "nothing", "shown", "own", "own full")
            with viewing(point) as view:
                foretold = {name: _costs(view, name)[Act.UNLINK] for name in names}
            for name, cost in foretold.items():
                assert _errno_of(os.rmdir, f"{point}/{name}") == cost.errno, name
                gone = not cost.errno and not cost.whiteout
                assert cost.whiteout == (
                    os.path.lexists(f"{stack.upper}/{name}") and _is_whiteout(f"{stack.upper}/{name}")
                )
                assert not gone or not os.path.lexists(f"{stack.upper}/{name}")
            assert {name for name, cost in foretold.items() if cost.errno} == {"merged", "shown", "own full"}


def test_read_only(disk: str) -> None:
    """Without an upper everything is EROFS, but opening a device, which touches no layer."""
    with new_directory(disk) as base:
        lower = _lower(f"{base}/lower")
        os.mkdir(f"{base}/second")
        stack = Stack([f"{base}/second", lower])
        with mounted(stack, f"{base}/merged") as point:
            with viewing(point) as view:
                foretold = {path: _costs(view, path) for path in PATHS.values()}
            for path, every in foretold.items():
                for act, cost in every.items():
                    if Remark.FOLLOWS_LINK in cost.remarks:
                        continue
                    assert _errno_of(DO[act], f"{point}/{path}") == cost.errno, (path, act)
        small = foretold[PATHS["small"]]
        assert {cost.errno for cost in small.values()} == {errno.EROFS}


@capabilities.needs_data_only
def test_without_data(ext4: str) -> None:
    """A metadata-only file whose data are missing cannot be changed; it can be removed."""
    with new_directory(ext4) as base:
        lower = trees.make(f"{base}/lower", {"f": "1234"})
        os.setxattr(f"{lower}/f", "trusted.overlay.metacopy", b"")
        os.setxattr(f"{lower}/f", "trusted.overlay.redirect", b"/gone")
        data = trees.make(f"{base}/data", {"other": "x"})
        made = fresh(base, "a", [lower], OPTIONS["metacopy"])
        stack = Stack(made.lowers, data_only=[data], upper=made.upper, work=made.work, options=made.options)
        with mounted(stack, f"{base}/merged") as point:
            with viewing(point) as view:
                foretold = _costs(view, "f")
            for act in (Act.WRITE, Act.CHMOD, Act.RENAME, Act.UNLINK):
                assert _errno_of(DO[act], f"{point}/f") == foretold[act].errno, act
            assert foretold[Act.WRITE].errno
            assert foretold[Act.UNLINK].errno == 0


@capabilities.needs_fs("btrfs")
def test_no_checksums_no_clone(make_fs: MakeFs) -> None:
    """Btrfs clones a file without checksums only to another one without: that is unknown, and the kernel copies."""
    base = make_fs("btrfs")
    lower = trees.make(f"{base}/lower", {})
    with open(f"{lower}/f", "wb") as file:
        flags = struct.unpack("=I4x", fcntl.ioctl(file, FS_IOC_GETFLAGS, bytes(8)))[0]
        fcntl.ioctl(file, FS_IOC_SETFLAGS, struct.pack("=I4x", flags | FS_NOCOW_FL))
        file.write(os.urandom(2 * MIB))
    stack = fresh(base, "a", [lower], Options())
    with mounted(stack, f"{base}/merged") as point:
        with viewing(point) as view:
            cost = _costs(view, "f")[Act.WRITE]
        never = across_mounts() is Answer.NO
        assert (cost.reflink, cost.copies_bytes) == (Answer.NO if never else Answer.UNKNOWN, 2 * MIB)
        _write(f"{point}/f")
        with open(f"{stack.upper}/f", "rb") as copy:
            assert fiemap.shared_bytes(copy.fileno()) == 0


@pytest.mark.parametrize("reflink", [0, 1])
@capabilities.needs_fs("xfs")
def test_xfs_tells_whether_it_clones(scratch: str, reflink: int) -> None:
    """The geometry of an xfs says what its copy-ups then do."""
    with open(f"{scratch}/image", "xb") as file:
        file.truncate(320 * MIB)
    os.mkdir(f"{scratch}/xfs")
    for command in (
        ["mkfs.xfs", "-q", "-K", "-m", f"reflink={reflink}", f"{scratch}/image"],
        ["mount", "-o", "loop", f"{scratch}/image", f"{scratch}/xfs"],
    ):
        subprocess.run(command, check=True, capture_output=True)
    lower = trees.make(f"{scratch}/xfs/lower", {"f": os.urandom(MIB)})
    stack = fresh(f"{scratch}/xfs", "a", [lower], Options())
    with mounted(stack, f"{scratch}/merged") as point:
        with viewing(point) as view:
            cost = _costs(view, "f")[Act.WRITE]
        assert cost.reflink is (Answer.YES if reflink else Answer.NO)
        _write(f"{point}/f")
        with open(f"{stack.upper}/f", "rb") as copy:
            assert bool(fiemap.shared_bytes(copy.fileno())) == (cost.data is Data.CLONED)


@pytest.mark.parametrize("act", Act)
@capabilities.needs_fs("btrfs")
def test_work_in_another_subvolume(make_fs: MakeFs, act: Act) -> None:
    """The kernel mounts it, and then every copy-up and every whiteout fails with EXDEV."""
    if shutil.which("btrfs") is None:
        pytest.skip("the program btrfs is not installed")
    base = make_fs("btrfs")
    for name in ("upper", "work"):
        subprocess.run(["btrfs", "subvolume", "create", f"{base}/{name}"], check=True, capture_output=True)
    trees.make(base, {"lower/f": "x", "lower/d/": None, "upper/own": "o"})
    stack = Stack([f"{base}/lower"], upper=f"{base}/upper", work=f"{base}/work")
    with mounted(stack, f"{base}/merged") as point:
        with viewing(point) as view:
            foretold = {path: _costs(view, path)[act] for path in ("f", "own", "d")}
        for path, cost in foretold.items():
            assert _errno_of(DO[act], f"{point}/{path}") == cost.errno, path
    assert foretold["f"].errno == errno.EXDEV
    assert foretold["own"].errno == 0
