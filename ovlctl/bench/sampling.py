"""Taking samples: one round mounts every variant afresh and touches its files in shuffled order."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from resource import RUSAGE_THREAD, getrusage
from time import perf_counter_ns
from typing import TYPE_CHECKING

from ovlctl.bench import stage, verify
from ovlctl.bench.actions import name_after, payload, perform
from ovlctl.bench.baseline import copy_plain
from ovlctl.bench.layers import relative_path, set_cache, sync
from ovlctl.bench.plan import tasks_of_round
from ovlctl.bench.terms import Cache, DataPath, Operation
from ovlctl.bench.values import BareSample, FileStat, Sample
from ovlctl.ops.workspace import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ovlctl.bench.accounting import Meter
    from ovlctl.bench.plan import PlannedCell, Schedule, Task
    from ovlctl.bench.stage import Stage

WARMUP = -1
BARE = "bare"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Touched:
    """A sample that is still to be checked, and what for."""

    cell: int
    op: Operation
    sample: Sample
    stage: Stage
    upper: str
    lower: str
    links: int


class Sampler:
    """Runs the rounds of a schedule.

    Args:
        schedule: What to measure.
        roots: The directory of each file system.
        lowers: The lowers built on each, topmost first.
        meter: Accounting of this thread.
    """

    def __init__(
        self, schedule: Schedule, roots: Mapping[str, str], lowers: Mapping[str, tuple[str, ...]], meter: Meter
    ) -> None:
        self._schedule = schedule
        self._roots = roots
        self._lowers = lowers
        self._meter = meter
        self._stages: tuple[Stage, ...] = ()
        self._data_paths: dict[int, DataPath | None] = {}

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The variants as they were mounted last, in order; what tells how they really are."""
        return self._stages

    def round(self, number: int, before_each: Callable[[int], bool]) -> list[tuple[int, Sample | BareSample]]:
        """Run one round and give its samples, each with the index of its cell.

        All are checked when the last one is taken: reading files back in between would push out of the caches what
        the next sample needs.

        Args:
            number: Which, from 0, or WARMUP.
            before_each: Called before each sample with how many were taken; False ends the round early.

        Raises:
            NoCopyUp: A sample did not do what it should.
            OSError: A system call failed, such as ENOSPC.
        """
        found: list[tuple[int, Sample | BareSample]] = []
        unchecked: list[_Touched] = []
        with ExitStack() as stack:
            for root in self._roots.values():
                stack.enter_context(_bare_directory(root))
            variants = range(len(self._schedule.variants))
            stages = self._stages = tuple(stack.enter_context(self._fresh(index)) for index in variants)
            for position, task in enumerate(tasks_of_round(self._schedule, number)):
                if not before_each(position):
                    break
                cell = self._schedule.cells[task.cell]
                if task.bare:
                    found.append((task.cell, self._bare(cell, task, number, position)))
                else:
                    unchecked.append(self._touch(stages[cell.variant], cell, task, number, position))
            found += [(touched.cell, self._checked(touched)) for touched in unchecked]
        return found

    def _fresh(self, index: int) -> AbstractContextManager[Stage]:
        variant = self._schedule.variants[index]
        base = os.path.join(self._roots[variant.fs], f"variant{index}")
        return stage.fresh(self._lowers[variant.fs], base, variant.options)

    def _touch(self, mounted: Stage, cell: PlannedCell, task: Task, number: int, position: int) -> _Touched:
        key, meter = cell.key, self._meter
        relative = relative_path(key, task.slot)
        merged, upper = os.path.join(mounted.merged, relative), os.path.join(mounted.upper, relative)
        lower = os.path.join(self._lowers[key.fs][-1], relative)
        share = set_cache(lower, key.cache)
        start = perf_counter_ns()
        before = os.stat(merged)
        lookup_ns = perf_counter_ns() - start
        if number == WARMUP and key.op in {Operation.WRITE, Operation.APPEND, Operation.MMAP}:
            self._data_paths[task.cell] = _open_only(merged, upper)
        data = payload(key.size)
        switches = getrusage(RUSAGE_THREAD).ru_nivcsw
        meter.start()
        _rehearse(merged)
        meter.begin()
        timing = perform(key.op, merged, data, meter.stop)
        usage = meter.result(timing.first_ns)
        switches = getrusage(RUSAGE_THREAD).ru_nivcsw - switches
        after = None if key.op is Operation.UNLINK else os.stat(name_after(key.op, merged))
        again = None if key.op is Operation.UNLINK else perform(key.op, merged, data, _nothing, turn=1)
        settle(name_after(key.op, upper, turn=1) if again else os.path.dirname(upper))
        sample = Sample(
            round=number,
            position=position,
            lookup_ns=lookup_ns,
            first_ns=timing.first_ns,
            open_ns=timing.open_ns,
            write_ns=timing.write_ns,
            fsync_ns=timing.fsync_ns,
            close_ns=timing.close_ns,
            second_ns=again.first_ns if again else None,
            second_write_ns=again.write_ns if again else None,
            cpu_ns=usage.cpu_ns,
            blkio_ns=usage.blkio_ns,
            read_bytes=usage.read_bytes,
            write_bytes=usage.write_bytes,
            involuntary=switches,
            cache_checked=share,
            data_path=DataPath.NONE,
            before=_file_stat(before),
            after=_file_stat(after) if after else None,
        )
        return _Touched(
            cell=task.cell, op=key.op, sample=sample, stage=mounted, upper=upper, lower=lower, links=before.st_nlink
        )

    def _checked(self, touched: _Touched) -> Sample:
        data_path = verify.check(
            touched.op,
            upper=touched.upper,
            lower=touched.lower,
            prefix=touched.stage.xattr_prefix,
            metacopy=touched.stage.metacopy,
            has_origin=touched.links == 1 or touched.stage.index,
        )
        # A small file has been written over as a whole: what became of its data was seen in the warm-up.
        return replace(touched.sample, data_path=data_path or self._data_paths.get(touched.cell) or DataPath.COPIED)

    def _bare(self, cell: PlannedCell, task: Task, number: int, position: int) -> BareSample:
        key = cell.key
        source = os.path.join(self._lowers[key.fs][-1], relative_path(key, task.slot))
        directory = os.path.join(self._roots[key.fs], BARE)
        target = os.path.join(directory, str(position))
        set_cache(source, key.cache)
        copied = copy_plain(source, target)
        if key.cache is Cache.COLD:
            set_cache(target, Cache.COLD)
        os.stat(target)
        _rehearse(target)
        timing = perform(key.op, target, payload(key.size), _nothing)
        settle(directory)
        return BareSample(
            round=number,
            position=position,
            copy_ns=copied.copy_ns,
            copy_sync_ns=copied.copy_sync_ns,
            bare_ns=timing.first_ns,
        )


@contextmanager
def _bare_directory(root: str) -> Iterator[None]:
    # Removed with all files at the end of the round only: freeing their blocks between samples would make the
    # journal (and with `discard` the device) work into the next sample's time. Written out before the next round.
    path = os.path.join(root, BARE)
    os.mkdir(path, 0o755)
    try:
        yield
    finally:
        remove_tree(path)
        sync(root)


def _rehearse(path: str) -> None:
    # The accounting has pushed the kernel's and the interpreter's way to a file out of the CPU's caches. Walk it
    # once more, without opening the file for writing, as a program that works on files would just have done.
    os.stat(path)
    os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))


def _nothing() -> None:
    return


def _open_only(merged: str, upper: str) -> DataPath | None:
    # The warm-up looks at a file that was opened for writing and not yet written: a write of a whole small file
    # would leave nothing of what the copy-up did.
    os.close(os.open(merged, os.O_WRONLY | os.O_CLOEXEC))
    return verify.opened_only(upper)


def settle(path: str) -> None:
    """Write out what a sample left dirty at *path* in the upper itself, or the next sample's fsync pays for it."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _file_stat(found: os.stat_result) -> FileStat:
    return FileStat(st_ino=found.st_ino, st_dev=found.st_dev, st_nlink=found.st_nlink, st_blocks=found.st_blocks)
