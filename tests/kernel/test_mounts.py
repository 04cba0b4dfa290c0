"""The mount table: two ways to ask, one answer; and every namespace."""

from __future__ import annotations

import errno
import itertools
import os
from dataclasses import replace

import pytest

from ovlctl.kernel import mounts, namespaces, statmount
from ovlctl.kernel.fscontext import OPEN_TREE, open_tree
from ovlctl.kernel.libc import AT_FDCWD
from ovlctl.kernel.mount import MS, mount, umount2
from tests.capabilities import needs_lowerdir_plus, needs_mounting, needs_overlay, needs_statmount
from tests.kernel import overlays, refusals
from tests.kernel.children import child

# Every byte that the kernel or overlayfs treats in its own way, at the start, inside and at the end of a name.
NASTY = [
    "a:b",
    "c\\d",
    "e,f",
    "g\nh",
    "i j",
    "#k",
    "=l",
    '"m"',
    "\udcff\udc80",
    "q\\054r",
    "t\\",
    "\\,u",
    ",",
    "\\\\",
    "\\040",
    "tab\tv",
]


def assert_both_ways_agree() -> None:
    """The law of mounts.mounts()."""
    ours = [replace(mount, unique_id=None) for mount in mounts.from_statmount()]
    assert sorted(ours, key=lambda each: each.mount_id) == sorted(
        mounts.from_mountinfo(), key=lambda each: each.mount_id
    )


@needs_statmount
def test_both_ways_agree_here() -> None:
    """Asking statmount(2) and reading mountinfo give the same values for all mounts of this machine."""
    assert_both_ways_agree()


@pytest.mark.parametrize(
    ("refused", "number"),
    [
        *itertools.product(("statmount", "listmount"), (errno.EPERM, errno.EACCES, errno.ENOSYS)),
        *itertools.product(("statx",), (errno.EPERM, errno.ENOSYS)),
    ],
)
def test_refused_calls_do_without(refused: str, number: int) -> None:
    """Where a sandbox refuses the calls, with whatever errno, mountinfo answers, and says the same."""
    call = {"statmount": refusals.STATMOUNT, "listmount": refusals.LISTMOUNT, "statx": refusals.STATX}[refused]
    if call is None:
        pytest.skip("the number of statx(2) on this architecture is not known to the test")
    code = """
import os, sys
from dataclasses import replace
from ovlctl.kernel import mounts
from tests.kernel.refusals import refuse

def known(found):
    return [replace(mount, unique_id=None) for mount in found]

before = mounts.from_mountinfo()
fd = os.open("/proc", os.O_PATH)
refuse(int(sys.argv[1]), int(sys.argv[2]))
assert known(mounts.mounts()) == before == mounts.from_mountinfo()
assert known(mounts.mounts("proc")) == mounts.from_mountinfo("proc") != []
assert all(known([mounts.mount_at(path)])[0] in before for path in ("/", "/proc/self", fd))
assert mounts.mount_at("/proc/self").fs_type == "proc"
try:
    mounts.mount_at("/proc/no-such")
except FileNotFoundError as error:
    assert error.filename == "/proc/no-such"
else:
    raise AssertionError("it is there")
"""
    with child(code, str(number), str(call)):
        pass


@needs_overlay
@needs_statmount
@pytest.mark.parametrize("how", ["string", "fd"])
def test_both_ways_agree_on_nasty_names(scratch: str, how: str) -> None:
    """The options of an overlay are the same byte for byte, and hold the names that were given."""
    lowers = overlays.directories(scratch, *NASTY)
    upper, work, merged = overlays.directories(scratch, "u\\:p,er", "w\\, k", 'mp \\134 x,y#"\n=\udcff')
    # Descriptors of layers need 6.13: as strings, upper and work take a backslash as an escape.
    fds = [os.open(path, os.O_RDONLY) for path in (upper, work)] if how == "fd" else []
    settings: list[tuple[str, str | int]] = [("source", "s r#c\\,\n"), *(("lowerdir+", lower) for lower in lowers)]
    spelled: list[str | int] = [*fds] or [path.replace("\\", "\\\\") for path in (upper, work)]
    settings += list(zip(("upperdir", "workdir"), spelled, strict=True))
    try:
        overlays.configured(merged, *settings)
    finally:
        for fd in fds:
            os.close(fd)
    assert_both_ways_agree()
    found = mounts.mount_at(merged)
    assert found.mount_point == merged
    assert found.source == "s r#c\\,\n"
    assert [option for option in found.options if option.startswith("lowerdir+=")] == [
        f"lowerdir+={lower}" for lower in lowers
    ]
    shown = (upper, work) if how == "fd" else (path.replace("\\", "\\\\") for path in (upper, work))
    assert [option for option in found.options if option.startswith(("upperdir=", "workdir="))] == [
        f"{key}={value}" for key, value in zip(("upperdir", "workdir"), shown, strict=True)
    ]


@needs_mounting
@needs_statmount
def test_both_ways_agree_on_odd_mounts(scratch: str) -> None:
    """Empty and missing sources, stacked mounts, read-only ones, binds of sub directories and of deleted ones."""
    one, two, three, four, five = overlays.directories(scratch, "one", "two", "th ree", "four", "five")
    mount("", one, "tmpfs", MS.RDONLY)
    mount(None, one, "tmpfs", MS(0), b"size=64k")
    mount("my so#urce\\x,y\tz", two, "tmpfs", MS.SYNCHRONOUS | MS.NOATIME)
    sub, gone = overlays.directories(two, "sub #\\ d", "gone")
    mount(sub, three, None, MS.BIND)
    mount(None, three, None, MS.BIND | MS.REMOUNT | MS.RDONLY)
    mount(gone, four, None, MS.BIND)
    os.rmdir(gone)
    mount(None, "/", None, MS.SHARED)
    try:
        assert_both_ways_agree()
        assert mounts.mount_at(three).read_only
        assert not mounts.mount_at(three).sb_read_only
        assert mounts.mount_at(three).root == "/sub #\\ d"
        assert mounts.mount_at(four).root == "/gone//deleted"
        assert not mounts.mount_at(five).read_only
    finally:
        mount(None, "/", None, MS.PRIVATE)


@needs_lowerdir_plus
def test_many_layers(scratch: str) -> None:
    """Options beyond any first guess of the buffer come back whole: 300 lowers of long names."""
    lowers = overlays.directories(scratch, *(f"{number:03}{'n' * 150}" for number in range(300)))
    (merged,) = overlays.directories(scratch, "merged")
    overlays.configured(merged, *(("lowerdir+", lower) for lower in lowers))
    expected = [f"lowerdir+={lower}" for lower in lowers]
    for found in (mounts.mount_at(merged), *mounts.from_mountinfo("overlay")[-1:]):
        assert [option for option in found.options if option.startswith("lowerdir+=")] == expected


@needs_mounting
@needs_statmount
def test_listmount_pages(scratch: str) -> None:
    """More mounts than one page of listmount(2) holds are all listed, each once."""
    mount("t", scratch, "tmpfs")
    points = overlays.directories(scratch, *(f"m{number}" for number in range(600)))
    for point in points:
        mount(scratch, point, None, MS.BIND)
    ids = statmount.listmount()
    assert len(ids) == len(set(ids)) == len(mounts.from_mountinfo())
    assert {found.mount_point for found in mounts.mounts("tmpfs")} >= set(points)
    for point in points:
        umount2(point)


@needs_mounting
def test_mount_at(scratch: str) -> None:
    """The mount that a path lies on, by path, by descriptor, and the innermost of several."""
    mount("t", scratch, "tmpfs")
    (sub,) = overlays.directories(scratch, "sub")
    outer = mounts.mount_at(sub)
    assert outer.mount_point == scratch
    assert outer.mount_id == mounts.mount_id_of(sub)
    mount("t", sub, "tmpfs")
    inner = mounts.mount_at(sub)
    assert inner.mount_point == sub
    assert inner.parent_id == outer.mount_id
    assert inner.st_dev == os.stat(sub).st_dev
    fd = os.open(sub, os.O_PATH)
    try:
        assert mounts.mount_at(fd) == inner
        assert mounts.mount_id_of(fd) == inner.mount_id
    finally:
        os.close(fd)


def test_mount_at_missing_path(scratch: str) -> None:
    """A path that is not there is FileNotFoundError with its name."""
    path = os.path.join(scratch, "missing")
    with pytest.raises(FileNotFoundError) as caught:
        mounts.mount_at(path)
    assert caught.value.filename == path


@needs_mounting
def test_mount_at_detached(scratch: str) -> None:
    """A detached mount is in no table, and that is said."""
    mount("t", scratch, "tmpfs")
    tree = open_tree(AT_FDCWD, scratch, OPEN_TREE.CLONE)
    try:
        with pytest.raises(OSError, match="no mount table") as caught:
            mounts.mount_at(tree)
    finally:
        os.close(tree)
    assert caught.value.errno == errno.ENOENT


@needs_overlay
def test_other_namespaces(scratch: str) -> None:
    """A mount that only another namespace has is found there, once, with a process to reach it by."""
    code = """
import sys
from ovlctl.kernel.namespaces import CLONE, enter_private_mounts, enter_user_namespace
from ovlctl.kernel.mount import MS, mount
enter_private_mounts() if sys.argv[2] == "root" else enter_user_namespace()
from tests.kernel import overlays
overlays.simple(sys.argv[1], userxattr=sys.argv[2] != "root")
import os
if os.fork() == 0:
    sys.stdin.read()
    os._exit(0)
"""
    kind = "root" if os.geteuid() == 0 else "user"
    with child(code, scratch, kind) as pid:
        merged = os.path.join(scratch, "merged")
        assert merged not in {each.mount_point for each in mounts.mounts("overlay")}
        everywhere = mounts.mounts_of_all_namespaces("overlay")
        found = [each for each in everywhere if each.mount.mount_point == merged]
        assert [each.namespace for each in found] == [namespaces.mount_namespace_id(pid)]
        assert namespaces.mount_namespace_id(found[0].pid) == found[0].namespace
        assert everywhere.namespaces >= 2
        members, _ = mounts.pids_by_namespace()
        assert pid in members[found[0].namespace]
        assert os.getpid() in members[namespaces.mount_namespace_id()]


def test_own_namespace_is_read_once() -> None:
    """The own namespace comes first, and its mounts are those of mounts()."""
    everywhere = mounts.mounts_of_all_namespaces()
    own = [each.mount for each in everywhere if each.namespace == namespaces.mount_namespace_id()]
    assert own == mounts.from_mountinfo()
    assert everywhere.mounts[0].namespace == namespaces.mount_namespace_id()
    assert len(everywhere) == len(list(everywhere))
