"""Extents that files share count once; what cannot be told is said to be unknown."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel.bootcache import Answer as Known
from ovlctl.kernel.clones import across_mounts
from ovlctl.kernel.copying import FICLONE
from ovlctl.ops.du.extents import Extents
from ovlctl.overlay.fates import Fate
from ovlctl.overlay.options import Options, Switch
from ovlctl.overlay.stack import Stack
from tests import trees
from tests.capabilities import each_fs, needs_fs, needs_root
from tests.needs import Answer, needs
from tests.ops.du.test_sums import MIB, measured, used
from tests.overlay.made import mounted

if TYPE_CHECKING:
    from tests.conftest import MakeFs

pytestmark = needs_root

KINDS = each_fs("xfs", "btrfs")
_needs_clones = needs(Answer(across_mounts() is not Known.NO, "FICLONE ends with EXDEV"), "clones between mounts")
CLONING = [*each_fs("xfs"), pytest.param("btrfs", marks=[needs_fs("btrfs"), _needs_clones])]
SIZE = 8 * MIB


def _clone(source: str, target: str) -> None:
    with open(source, "rb") as old, open(target, "wb") as new:
        fcntl.ioctl(new.fileno(), FICLONE, old.fileno())


def _stack(base: str, *names: str) -> Stack:
    trees.make(base, {f"low/{name}": os.urandom(SIZE) for name in names})
    trees.make(base, {"upper/": None, "work/": None})
    return Stack([f"{base}/low"], upper=f"{base}/upper", work=f"{base}/work")


@pytest.mark.parametrize("kind", CLONING)
def test_a_copy_up_by_clone_counts_once(make_fs: MakeFs, kind: str) -> None:
    """The whole file is in the upper and in the lower, and on the disk once; the disk says the same."""
    base = make_fs(kind, 512 * MIB)
    stack = _stack(base, "f")
    before, bytes_before = measured(stack), used(base)
    with mounted(stack, f"{base}/merged") as point:
        os.chmod(f"{point}/f", 0o600)
    usage = measured(stack)
    upper, lower = usage.directories[:2]
    assert upper.allocated - before.directories[0].allocated >= SIZE
    assert abs(usage.total.every.bytes - before.total.every.bytes) < MIB
    assert abs(used(base) - bytes_before) < MIB
    # The upper's is what is seen, so it has the data; the lower's takes nothing more.
    assert upper.split.of(Fate.VISIBLE).bytes >= upper.shared == SIZE
    assert lower.split.of(Fate.SHADOWED).bytes < MIB
    assert not usage.total.every.elsewhere
    assert not sum(each.unmeasured for each in usage.directories)


@pytest.mark.parametrize("kind", CLONING)
def test_what_is_written_anew_is_ones_own(make_fs: MakeFs, kind: str) -> None:
    """Of a clone that was partly overwritten, the overwritten part counts for both; the disk says the same."""
    base = make_fs(kind, 512 * MIB)
    stack = _stack(base, "f")
    before, bytes_before = measured(stack), used(base)
    with mounted(stack, f"{base}/merged") as point, open(f"{point}/f", "r+b") as changed:
        changed.write(os.urandom(SIZE // 4))
    os.sync()
    usage = measured(stack)
    grown = usage.total.every.bytes - before.total.every.bytes
    assert abs(grown - SIZE // 4) < MIB
    assert abs(used(base) - bytes_before - grown) < MIB
    assert abs(usage.total.of(Fate.SHADOWED).bytes - SIZE // 4) < MIB


@pytest.mark.parametrize("kind", CLONING)
def test_an_unchanged_clone_frees_nothing(make_fs: MakeFs, kind: str) -> None:
    """Opened to be written and not written: reclaimable is what removing it would free, which is next to nothing."""
    base = make_fs(kind, 512 * MIB)
    stack = _stack(base, "f")
    with mounted(stack, f"{base}/merged") as point:
        os.close(os.open(f"{point}/f", os.O_WRONLY))
    usage = measured(stack)
    unchanged = usage.total.of(Fate.UNCHANGED)
    assert (unchanged.inodes, unchanged.apparent) == (1, SIZE)
    assert unchanged.bytes < MIB
    before = used(base)
    os.unlink(f"{base}/upper/f")
    assert abs(before - used(base) - unchanged.bytes) < MIB


@pytest.mark.parametrize("kind", KINDS)
def test_three_files_with_one_extent(make_fs: MakeFs, kind: str) -> None:
    """However many files of however many layers have an extent, it is there once."""
    base = make_fs(kind, 512 * MIB)
    stack = _stack(base, "f")
    for layer in ("upper", "second"):
        trees.make(base, {f"{layer}/": None})
        for name in ("a", "b"):
            _clone(f"{base}/low/f", f"{base}/{layer}/{name}")
    stack = Stack([f"{base}/second", *stack.lowers], upper=stack.upper, work=stack.work)
    usage = measured(stack)
    assert sum(each.allocated for each in usage.directories) >= 5 * SIZE
    assert SIZE <= usage.total.every.bytes < SIZE + MIB
    assert sum(each.shared for each in usage.directories) == SIZE
    # Of those that are seen the lowest layer's has it.
    assert usage.directories[2].shared == SIZE


@pytest.mark.parametrize("kind", KINDS)
def test_what_others_share_is_not_freed(make_fs: MakeFs, kind: str) -> None:
    """An extent that a file outside has, too, is counted, and it is said that removing it frees nothing."""
    base = make_fs(kind, 512 * MIB)
    stack = _stack(base, "f", "g")
    _clone(f"{base}/low/f", f"{base}/outside")
    usage = measured(stack)
    assert usage.total.every.bytes >= 2 * SIZE
    assert usage.total.every.elsewhere == SIZE


@needs_fs("btrfs")
def test_subvolumes_share(make_fs: MakeFs) -> None:
    """A snapshot of a subvolume has another device number and the same extents."""
    base = make_fs("btrfs", 512 * MIB)
    subprocess.run(["btrfs", "-q", "subvolume", "create", f"{base}/low"], check=True)
    trees.make(base, {"low/f": os.urandom(SIZE), "upper/": None, "work/": None})
    os.sync()
    subprocess.run(["btrfs", "-q", "subvolume", "snapshot", f"{base}/low", f"{base}/old"], check=True)
    assert os.stat(f"{base}/low/f").st_dev != os.stat(f"{base}/old/f").st_dev
    usage = measured(Stack([f"{base}/low", f"{base}/old"]))
    assert SIZE <= usage.total.every.bytes < SIZE + MIB
    # Both roots are merged; the snapshot's file is shadowed and takes nothing.
    assert usage.total.of(Fate.SHADOWED).bytes == 0


@needs_fs("btrfs")
def test_compressed_files_are_in_part_unknown(make_fs: MakeFs) -> None:
    """What compression leaves of a file is not known, and said so; clones of it still count once."""
    base = make_fs("btrfs", 512 * MIB)
    subprocess.run(["mount", "-o", "remount,compress-force=zstd", base], check=True)
    trees.make(base, {"low/f": b"compressible" * (SIZE // 12), "second/": None})
    os.sync()
    _clone(f"{base}/low/f", f"{base}/second/g")
    usage = measured(Stack([f"{base}/second", f"{base}/low"]))
    total = usage.total.every.bytes
    assert SIZE - 12 <= total < SIZE + MIB
    assert sum(each.unmeasured for each in usage.directories) >= SIZE - 12
    assert used(base) < total


@needs_fs("xfs")
def test_nothing_is_written(make_fs: MakeFs) -> None:
    """Looking at a file that is not on the disk yet does not write it."""
    base = make_fs("xfs", 512 * MIB)
    stack = _stack(base)
    os.sync()
    trees.make(base, {"low/dirty": os.urandom(MIB)})
    device = os.stat(base).st_dev
    where = f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat"

    def written() -> int:
        with open(where, encoding="ascii") as numbers:
            return int(numbers.read().split()[6])

    before = written()
    usage = measured(stack)
    assert written() - before < MIB // 512
    assert usage.total.of(Fate.VISIBLE).bytes >= MIB


_COUNTING = """
import sys
opened = []
def hook(event, arguments):
    if event == "open" and str(arguments[0]).startswith("/proc/self/fd/"):
        opened.append(arguments[0])
sys.addaudithook(hook)
from ovlctl.cli.main import main
assert main(["du", "-l", sys.argv[1], "-l", sys.argv[2], "--no-remember", "--json"]) == 0
print(len(opened), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("kind", "count"),
    [pytest.param(kind, count, marks=needs_fs(kind)) for kind, count in (("ext4", 1), ("tmpfs", 1), ("xfs", 6))],
)
def test_where_nothing_can_be_shared_files_stay_closed(make_fs: MakeFs, kind: str, count: int) -> None:
    """One file tells what the file system is; others are opened only where extents have to be looked at."""
    base = make_fs(kind)
    trees.make(base, {**{f"low/{name}": "x" * 5000 for name in "abcdef"}, "low/empty": "", "other/": None})
    argv = [sys.executable, "-c", _COUNTING, f"{base}/low", f"{base}/other"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert int(done.stderr.splitlines()[-1]) == count


def test_an_overlay_as_a_layer_is_unknown(scratch: str) -> None:
    """Overlayfs itself cannot tell what its files share."""
    inner = _stack(scratch, "f")
    trees.make(scratch, {"other/": None})
    with mounted(inner, f"{scratch}/merged") as point:
        usage = measured(Stack([point, f"{scratch}/other"]))
    assert usage.directories[0].unmeasured >= SIZE
    assert not usage.directories[1].unmeasured


def test_metacopy_has_the_data_once(scratch: str) -> None:
    """A metadata-only file takes next to nothing, and its data stay the lower's."""
    stack = _stack(scratch, "f")
    stack = Stack(stack.lowers, upper=stack.upper, work=stack.work, options=Options(metacopy=Switch.ON))
    with mounted(stack, f"{scratch}/merged") as point:
        os.chmod(f"{point}/f", 0o600)
    upper, lower = measured(stack).directories[:2]
    assert upper.split.of(Fate.VISIBLE).bytes < MIB
    assert lower.split.of(Fate.VISIBLE).bytes >= SIZE
    assert upper.marks.metadata_only == 1


def test_ranges_that_overlap() -> None:
    """Each byte goes to the one of the best rank that has it, and is alone where only one has it."""
    extents = Extents()
    for slot, start, length in ((0, 0, 10), (1, 5, 10), (2, 5, 2), (2, 20, 5), (3, 22, 1), (1, 30, 4)):
        extents.take(slot, start, length)
    settled = extents.settle([2, 1, 0, 3].__getitem__)
    assert {slot: (each.won, each.elsewhere) for slot, each in settled.items()} == {
        0: (5, 5),
        1: (8 + 4, 5 + 4),
        2: (2 + 5, 4),
    }
    assert extents.shared() == {0: 10, 1: 14, 2: 7, 3: 1}
