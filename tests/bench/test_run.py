"""Real runs: small, whole, as root and as an ordinary user."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ovlctl.bench import stage
from ovlctl.bench.plan import KIB, MIB, Plan, Sweep
from ovlctl.bench.runner import run
from ovlctl.bench.terms import Cache, Content, DataPath, Operation, Privilege
from ovlctl.errors import MissingCapability, OvlError, UpperOnOverlay
from ovlctl.kernel.mounts import mounts
from ovlctl.ops.workspace import BENCH
from ovlctl.overlay.options import Options
from tests import capabilities

if TYPE_CHECKING:
    from ovlctl.bench.values import Cell, Result
    from tests.conftest import MakeFs, OrdinaryUser

needs_root = capabilities.needs_root


def cell(found: Result, op: Operation, size: int = 4 * KIB) -> Cell:
    """The only cell of *found* with that operation and size."""
    (one,) = (each for each in found.cells if (each.op, each.size) == (op, size))
    return one


def test_a_result_is_whole(result: Result) -> None:
    """Every size has all its samples, each with its parts; the parts add up to the first touch."""
    assert not result.partial
    assert [each.size for each in result.cells] == [4 * KIB, 64 * KIB]
    for each in result.cells:
        assert each.samples == len(each.samples_ns) == len(each.samples_raw) == len(each.bare_raw) == 10
        assert each.data_path in {(DataPath.COPIED,), (DataPath.CLONED,)}
        assert each.first_ns.p50_ci is not None
        for sample in each.samples_raw:
            assert sample.open_ns is not None
            assert sample.write_ns is not None
            assert sample.first_ns == sample.open_ns + sample.write_ns
            assert sample.cpu_ns is not None
            assert 0 <= sample.cpu_ns <= sample.first_ns
            assert sample.before.st_nlink == 1
    assert [fit.op for fit in result.fit] == [Operation.WRITE]


def test_a_run_leaves_nothing(scratch: str) -> None:
    """No file, no mount, and the CPU affinity of the caller as it was."""
    before, affinity = mounts(), os.sched_getaffinity(0)
    calls: list[tuple[int, int]] = []
    run(Plan(directory=scratch, sizes=(4 * KIB,), samples=2), lambda done, total: calls.append((done, total)))
    assert os.listdir(scratch) == []
    assert mounts() == before
    assert os.sched_getaffinity(0) == affinity
    assert calls
    assert calls[-1][0] == calls[-1][1]


@pytest.mark.parametrize("op", list(Operation))
def test_every_operation_copies_up(scratch: str, op: Operation) -> None:
    """Each operation is checked in the upper to have copied up, or left its whiteout, for every sample."""
    found = cell(run(Plan(directory=scratch, sizes=(4 * KIB,), operations=(op,), samples=2, identity=False)), op)
    expected = {DataPath.NONE} if op in {Operation.TRUNCATE, Operation.UNLINK} else {DataPath.COPIED, DataPath.CLONED}
    assert set(found.data_path) <= expected
    assert (found.open_ns is not None) == op.opens
    assert (found.second_ns is None) == (op is Operation.UNLINK)
    for sample in found.samples_raw:
        assert (sample.after is None) == (op is Operation.UNLINK)
        if sample.after is not None and (op.opens or capabilities.root()):
            # One lower name, one file system: the number stays, but for a link made inside a user namespace.
            assert sample.after.st_ino == sample.before.st_ino


@needs_root
def test_metacopy_moves_no_data_for_metadata(scratch: str) -> None:
    """With metacopy=on chmod leaves the data where it is, and a write copies it all the same."""
    plan = Plan(
        directory=scratch,
        sizes=(64 * KIB,),
        operations=(Operation.CHMOD, Operation.RENAME, Operation.WRITE),
        sweep=(Sweep.parse("metacopy=on,off"),),
        samples=2,
        identity=False,
    )
    found = {(each.op, each.sweep.get("metacopy")): each.data_path for each in run(plan).cells}
    assert found[Operation.CHMOD, "on"] == found[Operation.RENAME, "on"] == (DataPath.METADATA,)
    for key in ((Operation.CHMOD, "off"), (Operation.WRITE, "on"), (Operation.WRITE, "off")):
        assert set(found[key]) <= {DataPath.COPIED, DataPath.CLONED}


def test_layers_depth_links_and_content(scratch: str) -> None:
    """Deep files in the bottom of several lowers, with two names and holes, copy up and are checked like others."""
    plan = Plan(
        directory=scratch,
        sizes=(256 * KIB,),
        operations=(Operation.WRITE, Operation.RENAME),
        layers=3,
        depth=2,
        links=2,
        content=Content.SPARSE,
        samples=2,
        identity=False,
    )
    found = run(plan)
    # A file that is one hole has no data to move, and so no speed of moving it.
    assert {(each.data_path, each.mib_per_s) for each in found.cells} == {((DataPath.NONE,), None)}
    assert {(each.layers, each.depth) for each in found.cells} == {(3, 2)}
    assert all(sample.before.st_nlink == 2 for each in found.cells for sample in each.samples_raw)


@pytest.mark.parametrize("kind", capabilities.each_fs("ext4", "xfs", "btrfs"))
def test_cold_and_warm_caches_are_what_they_say(make_fs: MakeFs, kind: str) -> None:
    """Just before each sample the kernel counts all pages of the lower file, or none."""
    plan = Plan(
        directory=make_fs(kind, 64 * MIB),
        sizes=(256 * KIB,),
        caches=(Cache.WARM, Cache.COLD),
        samples=3,
        identity=False,
    )
    found = run(plan)
    shares = {each.cache: {sample.cache_checked for sample in each.samples_raw} for each in found.cells}
    assert shares == {Cache.WARM: {1.0}, Cache.COLD: {0.0}}
    assert found.warnings == ()


@needs_root
def test_an_overlay_is_no_place_for_an_upper(scratch: str) -> None:
    """It is said at once, with what works: a tmpfs made for the run, identity included."""
    lower = os.path.join(scratch, "lower")
    os.mkdir(lower)
    with stage.fresh((lower,), os.path.join(scratch, "base"), Options()) as mounted:
        plan = Plan(directory=mounted.merged, sizes=(4 * KIB,), samples=2)
        with pytest.raises(UpperOnOverlay, match="--fs tmpfs"):
            run(plan)
        assert run(replace(plan, file_systems=("tmpfs",))).identity
        assert os.listdir(mounted.merged) == []


@capabilities.needs_fs("xfs")
@capabilities.needs_fs("ext4")
def test_xfs_clones_where_ext4_copies(make_fs: MakeFs) -> None:
    """On xfs a copy-up of 64 MiB shares the lower's extents and dirties next to nothing; on ext4 it writes it all."""
    xfs = cell(_write(make_fs("xfs", 600 * MIB), 64 * MIB), Operation.WRITE, 64 * MIB)
    assert xfs.data_path == (DataPath.CLONED,)
    assert xfs.accounting.write_bytes is not None
    assert xfs.accounting.write_bytes < MIB
    ext4 = cell(_write(make_fs("ext4", 400 * MIB), 16 * MIB), Operation.WRITE, 16 * MIB)
    assert ext4.data_path == (DataPath.COPIED,)
    assert ext4.accounting.write_bytes is not None
    assert ext4.accounting.write_bytes >= 16 * MIB


def _write(directory: str, size: int) -> Result:
    return run(Plan(directory=directory, sizes=(size,), samples=2, identity=False))


@needs_root
def test_images_are_made_and_removed(scratch: str) -> None:
    """--fs makes each file system for the run: it is measured as itself, and no device is left."""
    kinds = [kind for kind in ("ext4", "xfs", "btrfs", "tmpfs") if capabilities.file_system(kind)]
    before = _loop_devices()
    found = run(Plan(directory=scratch, sizes=(4 * KIB,), file_systems=tuple(kinds), samples=2, identity=False))
    assert [each.fs for each in found.cells] == kinds
    assert [stored.image for stored in found.environment.storage] == [True] * len(kinds)
    assert os.listdir(scratch) == []
    assert _loop_devices() <= before


def _loop_devices() -> set[str]:
    found = set()
    for name in os.listdir("/sys/block"):
        backing = f"/sys/block/{name}/loop/backing_file"
        if os.path.exists(backing):
            with open(backing, encoding="utf-8", errors="replace") as file:
                found.add(file.read().strip())
    return {path for path in found if BENCH in path}


@capabilities.needs_userns
@capabilities.needs_userns_overlay
def test_an_ordinary_user_measures_too(ordinary_user: OrdinaryUser) -> None:
    """Without root it runs in a user namespace with userxattr, and says so; all else is the same."""
    done = ordinary_user.ovlctl(
        "bench-copyup", "--dir", ordinary_user.home, "--size", "4K", "--op", "all", "--samples", "3", "--json", "-"
    )
    assert done.status == 0, done.stderr
    environment = done.data["environment"]
    assert environment["privilege"] == Privilege.USER_NAMESPACE
    assert environment["xattr_prefix"] == "user.overlay."
    assert {each["op"] for each in done.data["cells"]} == set(Operation)
    # index=on is silently dropped there, so that hard links break, and the result says why.
    dropped = [case for case in done.data["identity"] if "index=on" in case["case"]]
    assert dropped
    assert all(case["options"]["index"] == "off" and "index=off" in case["note"] for case in dropped)
    assert not any(case["hardlink_kept"] for case in done.data["identity"])
    assert os.listdir(ordinary_user.home) == []


def test_an_ordinary_user_cannot_have_images(ordinary_user: OrdinaryUser) -> None:
    """It is said at once, with what works instead."""
    done = ordinary_user.ovlctl("bench-copyup", "--dir", ordinary_user.home, "--fs", "xfs", "--json", "-")
    assert done.status == MissingCapability.exit_status
    assert done.error["code"] == MissingCapability.code
    assert "--dir" in done.error["hint"]
    assert done.stdout == ""


def test_options_that_exclude_each_other_are_refused_before_anything_is_made(scratch: str) -> None:
    """The rules of overlay options hold for sweeps as well."""
    plan = Plan(directory=scratch, sweep=(Sweep.parse("metacopy=on"), Sweep.parse("redirect_dir=off")))
    with pytest.raises(OvlError):
        run(plan)
    assert os.listdir(scratch) == []
