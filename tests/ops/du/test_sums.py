"""The sum is what the disk really uses: against GNU du, statfs(2) and the layers' own inodes."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings

from ovlctl.ops.du import du
from ovlctl.ops.reading import of_directories
from ovlctl.overlay.fates import Fate
from ovlctl.overlay.options import Options, RedirectDir, Switch
from ovlctl.overlay.stack import Stack
from tests import trees
from tests.capabilities import each_fs, needs_root
from tests.overlay.made import Case, mounted, new_directory
from tests.overlay.test_fuzz import EXAMPLES, cases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.du.values import Usage
    from tests.conftest import MakeFs

pytestmark = needs_root

KINDS = each_fs("ext4", "xfs", "btrfs", "tmpfs")
MIB = 1 << 20
WHOLE = Options(metacopy=Switch.ON, index=Switch.ON)


def gnu_du(*directories: str) -> int:
    """Bytes that GNU du counts in all of *directories* in one run, each inode once."""
    done = subprocess.run(["du", "-sc", "--block-size=1", *directories], capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1].split()[0])


def used(directory: str) -> int:
    """Bytes in use on the file system of *directory*, everything written."""
    os.sync()
    found = os.statvfs(directory)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def lived_in(base: str, options: Options = WHOLE, *, size: int = 8 * MIB) -> Stack:
    """A stack with all that there is: written through a mount below *base*, not mounted any more."""
    trees.make(
        f"{base}/low",
        {"big": os.urandom(size), "touched": os.urandom(MIB), "gone/f": "x" * 9000, "old/f": "y" * 5000, "d/f": "z"},
    )
    trees.make(f"{base}/base", {"big": "shadowed in the lowers", "d/g": "w" * 7000, "hard": "h" * 4096})
    os.link(f"{base}/base/hard", f"{base}/base/d/hard")
    with open(f"{base}/base/sparse", "wb") as sparse:
        sparse.seek(4 * MIB)
        sparse.write(b"end")
    trees.make(base, {"upper/": None, "work/": None})
    stack = Stack([f"{base}/low", f"{base}/base"], upper=f"{base}/upper", work=f"{base}/work", options=options)
    with mounted(stack, f"{base}/merged") as point:
        with open(f"{point}/big", "r+b") as big:
            big.write(b"changed")
        os.close(os.open(f"{point}/touched", os.O_WRONLY))
        subprocess.run(["rm", "-r", f"{point}/gone"], check=True)
        os.mkdir(f"{point}/gone")
        os.rename(f"{point}/old", f"{point}/new")
        os.unlink(f"{point}/d/f")
        os.unlink(f"{point}/d/g")
        os.chmod(f"{point}/hard", 0o600)
        trees.make(point, {"d/mine": "m" * 10000})
    return stack


def measured(*stacks: Stack, content: bool = False) -> Usage:
    """What *stacks* take."""
    return du([of_directories(stack) for stack in stacks], content=content)


@pytest.mark.parametrize("kind", KINDS)
def test_gnu_du_says_the_same(make_fs: MakeFs, kind: str) -> None:
    """All inodes of all layers and work directories, each once: what GNU du adds up, to the byte."""
    stack = lived_in(make_fs(kind, 512 * MIB))
    usage = measured(stack)
    assert sum(each.allocated for each in usage.directories) == gnu_du(*stack.layers(), str(stack.work))
    assert not usage.partial
    if kind in {"ext4", "tmpfs"}:
        assert usage.total.every.bytes == sum(each.allocated for each in usage.directories)
        assert not sum(each.shared for each in usage.directories)


@pytest.mark.parametrize("kind", KINDS)
def test_apparent_sizes_are_those_of_files_and_links(make_fs: MakeFs, kind: str) -> None:
    """As ``du --apparent-size`` counts: a hole has its size, a directory has none; each inode once."""
    stack = lived_in(make_fs(kind, 512 * MIB))
    every = {
        (status.st_dev, status.st_ino): status.st_size
        for directory in (*stack.layers(), str(stack.work))
        for status in _statuses(directory, "-type", "f,l")
    }
    assert measured(stack).total.every.apparent == sum(every.values())


def _statuses(directory: str, *words: str) -> Iterator[os.stat_result]:
    done = subprocess.run(["find", directory, *words, "-print0"], capture_output=True, check=True)
    for path in done.stdout.split(b"\0")[:-1]:
        yield os.lstat(path)


@pytest.mark.parametrize("kind", KINDS)
def test_the_disk_says_the_same(make_fs: MakeFs, kind: str) -> None:
    """What a new file system has in use with the layers on it is the sum, but for its own bookkeeping."""
    base = make_fs(kind, 512 * MIB)
    before = used(base)
    stack = lived_in(base)
    total = measured(stack).total.every.bytes
    # The mount point is in no layer; btrfs and xfs make room for their trees in steps.
    assert abs(used(base) - before - total) < 2 * MIB


@settings(max_examples=EXAMPLES // 6, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=cases())
def test_every_inode_is_in_one_sum(room: str, case: Case) -> None:
    """Over all fates and all layers: as many inodes, and as many bytes, as the layers have."""
    with new_directory(room) as base:
        stack = case.write(base)
        places = [*stack.layers(), *([stack.work] if stack.work is not None else [])]
        every = {
            (status.st_dev, status.st_ino): status.st_blocks * 512 for place in places for status in _statuses(place)
        }
        total = measured(stack).total
        assert total.every.inodes == sum(total.of(fate).inodes for fate in Fate) == len(every)
        assert total.every.bytes == sum(total.of(fate).bytes for fate in Fate) == sum(every.values())


def test_stacks_that_share_lowers(scratch: str) -> None:
    """A lower of several stacks counts once: what all take together is what du says of all directories together."""
    lower = trees.make(f"{scratch}/low", {"a": "a" * 9000, "b/c": "c" * 9000})
    stacks = []
    for number in range(3):
        trees.make(scratch, {f"upper{number}/own": "o" * 5000, f"upper{number}/a": "a", f"work{number}/": None})
        own = trees.make(f"{scratch}/own{number}", {"x": "x" * 9000})
        stacks.append(Stack([own, lower], upper=f"{scratch}/upper{number}", work=f"{scratch}/work{number}"))
    usage = measured(*stacks)
    places = {place for stack in stacks for place in (*stack.layers(), str(stack.work))}
    assert usage.total.every.bytes == gnu_du(*places)
    (shared,) = [each for each in usage.directories if each.directory == lower]
    assert shared.stacks == (0, 1, 2)
    assert len(usage.directories) == len(places)
    assert usage.total.of(Fate.SHADOWED).inodes == 1


def test_what_one_stack_hides_and_another_shows_is_seen(scratch: str) -> None:
    """With both looked at, nothing of it can go."""
    lower = trees.make(f"{scratch}/low", {"a": "a" * 9000})
    trees.make(scratch, {"one/a": "1", "two/": None, "w1/": None, "w2/": None})
    one = Stack([lower], upper=f"{scratch}/one", work=f"{scratch}/w1")
    two = Stack([lower], upper=f"{scratch}/two", work=f"{scratch}/w2")
    assert measured(one).total.of(Fate.SHADOWED).inodes == 1
    for order in ((one, two), (two, one)):
        assert measured(*order).total.of(Fate.SHADOWED).inodes == 0


def test_an_upper_inside_a_lower_is_an_upper(scratch: str) -> None:
    """As in a sandbox over the root directory: what is in the upper is the upper's, once."""
    lower = trees.make(f"{scratch}/low", {"var/f": "f" * 9000, "var/up/": None, "var/work/": None})
    stack = Stack([lower], upper=f"{lower}/var/up", work=f"{lower}/var/work")
    with mounted(stack, f"{scratch}/merged") as point:
        os.close(os.open(f"{point}/var/f", os.O_WRONLY))
    usage = measured(stack)
    assert usage.total.every.bytes == gnu_du(lower)
    upper = next(each for each in usage.directories if each.directory == stack.upper)
    assert upper.split.of(Fate.UNCHANGED).inodes == 1


def test_redirects_and_metadata_only_files_need_what_they_lead_to(scratch: str) -> None:
    """A renamed directory's content and a metadata-only file's data are seen, wherever they lie."""
    stack = lived_in(scratch, Options(metacopy=Switch.ON, redirect_dir=RedirectDir.ON))
    usage = measured(stack)
    upper, low, base = usage.directories[:3]
    assert (upper.marks.redirects, upper.marks.opaque) == (1, 1)
    assert upper.marks.metadata_only == 1
    # d/g is whited out, big is shadowed, hard and sparse are seen.
    assert base.split.of(Fate.WHITED_OUT).inodes == 1
    assert base.split.of(Fate.SHADOWED).inodes == 1
    # gone/f is, and the directory itself; big; d/f.
    assert low.split.of(Fate.BEHIND_OPAQUE).inodes == 2
    assert low.split.of(Fate.SHADOWED).inodes == 1
    assert low.split.of(Fate.WHITED_OUT).inodes == 1
    assert upper.split.of(Fate.UNCHANGED).inodes == 1
    # Those of d/f and d/g are one inode; that of a renamed directory is made with the rename.
    assert (upper.marks.whiteouts, upper.split.of(Fate.WHITEOUT).inodes) == (3, 2)
