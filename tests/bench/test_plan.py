"""Plans, schedules and estimates: pure values."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovlctl.bench import estimate
from ovlctl.bench.plan import KIB, MIB, Plan, Sweep, cell_keys, parse_operations, tasks_of_round, variants
from ovlctl.bench.terms import Cache, Operation
from ovlctl.errors import BadUsage, NotEnoughSpace, RunTooLong

FAST = estimate.Speed(bytes_per_s=1e9, sync_s=0.0003)
SLOW = estimate.Speed(bytes_per_s=5e7, sync_s=0.01)


@given(st.integers(), st.integers(min_value=-1, max_value=20), st.integers(min_value=1, max_value=40))
def test_a_round_holds_every_task_once(seed: int, number: int, samples: int) -> None:
    """Shuffling changes the order and nothing else, and the same seed gives the same order."""
    plan = Plan(directory="/", seed=seed, samples=samples, operations=(Operation.WRITE, Operation.CHMOD))
    schedule = estimate.schedule(plan, FAST)
    tasks = tasks_of_round(schedule, number)
    assert tasks == tasks_of_round(schedule, number)
    expected = Counter(
        (index, slot, bare)
        for index, cell in enumerate(schedule.cells)
        for slot in range(1 if number < 0 else cell.per_round)
        for bare in (False, True)
    )
    assert Counter((task.cell, task.slot, task.bare) for task in tasks) == expected


def test_the_order_depends_on_the_seed() -> None:
    """Another seed, or another round, is another order."""
    first, second = (estimate.schedule(Plan(directory="/", seed=seed), FAST) for seed in (1, 2))
    assert tasks_of_round(first, 0) != tasks_of_round(second, 0)
    assert tasks_of_round(first, 0) != tasks_of_round(first, 1)


@pytest.mark.parametrize("samples", [1, 2, 7, 30, 100])
def test_every_cell_gets_at_least_the_samples_asked(samples: int) -> None:
    """Rounds times files a round is at least what was asked, and less than one round more."""
    schedule = estimate.schedule(Plan(directory="/", samples=samples), FAST)
    for cell in schedule.cells:
        assert samples <= cell.per_round * schedule.rounds < samples + schedule.rounds


@pytest.mark.parametrize("speed", [FAST, SLOW], ids=["fast", "slow"])
def test_the_default_run_is_short_small_and_has_enough_samples(speed: estimate.Speed) -> None:
    """By itself a run takes less than 30 s on an ordinary disk, fits in 2 GiB, and has an interval for each median."""
    plan = Plan(directory="/")
    schedule = estimate.schedule(plan, speed)
    needed = estimate.needs(schedule, speed)
    assert needed.disk_bytes < 2 << 30
    assert needed.seconds < 30 or speed is SLOW
    for cell in schedule.cells:
        assert cell.per_round * schedule.rounds >= (30 if cell.key.size <= MIB else 8)


def test_sweeps_multiply() -> None:
    """Every combination of swept values is one variant, each with its own options."""
    sweeps = (Sweep.parse("metacopy=on,off"), Sweep.parse("fsync=auto,volatile"))
    plan = Plan(directory="/", sweep=sweeps, file_systems=("xfs", "tmpfs"))
    ways = variants(plan)
    assert len(ways) == 8
    assert len({(way.fs, way.sweep) for way in ways}) == 8
    assert {str(way.options.metacopy) for way in ways} == {"on", "off"}


def test_tmpfs_has_no_cold_cache() -> None:
    """What lives in the page cache only cannot be cold; other file systems have both."""
    plan = Plan(directory="/", file_systems=("xfs", "tmpfs"), caches=(Cache.WARM, Cache.COLD), sizes=(4 * KIB,))
    found = {(key.fs, key.cache) for _, key in cell_keys(plan, variants(plan))}
    assert found == {("xfs", Cache.WARM), ("xfs", Cache.COLD), ("tmpfs", Cache.WARM)}


@pytest.mark.parametrize("text", ["", "metacopy", "metacopy=", "bogus=on", "metacopy=maybe", "metacopy=on,", "=on"])
def test_bad_sweeps_are_usage_errors(text: str) -> None:
    """A sweep names a real option and real values of it."""
    with pytest.raises(BadUsage):
        Sweep.parse(text)


def test_operations_are_parsed() -> None:
    """A list of names, `all`, and nothing else."""
    assert parse_operations("write, chmod,write") == (Operation.WRITE, Operation.CHMOD)
    assert parse_operations("all") == tuple(Operation)
    with pytest.raises(BadUsage):
        parse_operations("write,fly")


@pytest.mark.parametrize(
    "wrong",
    [
        {"layers": 0},
        {"layers": 501},
        {"depth": -1},
        {"samples": 0},
        {"sizes": (0,)},
        {"sizes": ()},
        {"links": 3},
        {"file_systems": ("vfat",)},
        {"file_systems": ("tmpfs",), "caches": (Cache.COLD,)},
        {"own_type": "tmpfs", "caches": (Cache.COLD,)},
    ],
    ids=str,
)
def test_senseless_plans_are_refused(wrong: dict[str, Any]) -> None:
    """A plan that exists can be tried."""
    with pytest.raises(BadUsage):
        Plan(directory="/", **wrong)


def test_a_run_that_does_not_fit_is_refused_with_both_figures(scratch: str) -> None:
    """What is needed and what is free are both in the message."""
    free = os.statvfs(scratch).f_bavail * os.statvfs(scratch).f_frsize
    schedule = estimate.schedule(Plan(directory=scratch, sizes=(64 << 30,), samples=100), FAST)
    with pytest.raises(NotEnoughSpace) as caught:
        estimate.check(schedule, estimate.needs(schedule, FAST), scratch)
    assert f"{-(-free // MIB)} MiB are free" in str(caught.value)
    assert caught.value.paths == (scratch,)


def test_a_run_that_takes_too_long_is_refused() -> None:
    """The hint says how long to allow."""
    plan = Plan(directory="/", sizes=(4 * KIB,), samples=100_000, max_time_s=10)
    schedule = estimate.schedule(plan, SLOW)
    with pytest.raises(RunTooLong, match="--max-time"):
        estimate.check(schedule, estimate.Needs(seconds=11, layers={"": 1}), "/")
