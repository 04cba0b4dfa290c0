"""From samples to cells, lines and a result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.bench import statistics
from ovlctl.bench.noise import halves_ratio, is_noisy
from ovlctl.bench.plan import MIB
from ovlctl.bench.terms import DataPath, Settings
from ovlctl.bench.values import Accounting, BareSample, Cell, Fit, Sample, Summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ovlctl.bench.values import CellKey


FIT_POINTS = 41


def summarize(times_ns: Sequence[int]) -> Summary:
    """Describe one distribution of times.

    Raises:
        ValueError: *times_ns* is empty.
    """
    interval = statistics.median_interval(times_ns)
    enough = len(times_ns) >= statistics.P99_MINIMUM
    return Summary(
        p50=round(statistics.median(times_ns)),
        p50_ci=None if interval is None else (round(interval[0]), round(interval[1])),
        p5=round(statistics.percentile(times_ns, 5)),
        p25=round(statistics.percentile(times_ns, 25)),
        p75=round(statistics.percentile(times_ns, 75)),
        p95=round(statistics.percentile(times_ns, 95)),
        p99=round(statistics.percentile(times_ns, 99)) if enough else None,
        min=min(times_ns),
        max=max(times_ns),
        mad=round(statistics.median_absolute_deviation(times_ns)),
        outliers=statistics.outliers(times_ns),
    )


def cell(key: CellKey, options: Settings, source: str, samples: Sequence[Sample], bare: Sequence[BareSample]) -> Cell:
    """One cell from its samples, in time order.

    Args:
        key: What it is.
        options: The mount options that were in effect.
        source: Where the accounting comes from.
        samples: At least one.
        bare: The same files without an overlay; may be fewer when the run was interrupted.
    """
    first = [sample.first_ns for sample in samples]
    first_summary = summarize(first)
    bare_summary = _of(sample.bare_ns for sample in bare)
    moves_data = any(sample.data_path is DataPath.COPIED for sample in samples)
    return Cell(
        op=key.op,
        size=key.size,
        fs=key.fs,
        options=options,
        sweep=key.sweep,
        layers=key.layers,
        depth=key.depth,
        cache=key.cache,
        samples=len(samples),
        data_path=tuple(sorted({sample.data_path for sample in samples})),
        first_ns=first_summary,
        open_ns=_of(sample.open_ns for sample in samples),
        write_ns=_of(sample.write_ns for sample in samples),
        fsync_ns=_of(sample.fsync_ns for sample in samples),
        close_ns=_of(sample.close_ns for sample in samples),
        lookup_ns=summarize([sample.lookup_ns for sample in samples]),
        second_ns=_of(sample.second_ns for sample in samples),
        second_write_ns=_of(sample.second_write_ns for sample in samples),
        bare_ns=bare_summary,
        copy_ns=_of(sample.copy_ns for sample in bare),
        copy_sync_ns=_of(sample.copy_sync_ns for sample in bare),
        ratio=round(first_summary.p50 / bare_summary.p50, 3) if bare_summary and bare_summary.p50 else None,
        mib_per_s=round(key.size / MIB / (first_summary.p50 / 1e9), 3) if moves_data and first_summary.p50 else None,
        aa_ratio=halves_ratio(first),
        noisy=is_noisy(first),
        accounting=_accounting(samples, source),
        samples_ns=tuple(first),
        samples_raw=tuple(samples),
        bare_raw=tuple(bare),
    )


def fits(cells: Sequence[Cell]) -> tuple[Fit, ...]:
    """A line over the sizes for every operation, file system, set of options and cache with at least two sizes.

    All pairs of points are looked at, so a cell with more samples than FIT_POINTS goes in by that many percentiles.
    """
    groups: dict[tuple[object, ...], list[Cell]] = {}
    for each in cells:
        groups.setdefault((each.op, each.fs, each.sweep, each.cache), []).append(each)
    found = []
    for members in groups.values():
        points = [(each.size / MIB, time) for each in members for time in _thinned(each.samples_ns)]
        line = statistics.weighted_theil_sen(points)
        if line is not None:
            one = members[0]
            found.append(
                Fit(
                    op=one.op,
                    fs=one.fs,
                    sweep=one.sweep,
                    cache=one.cache,
                    fixed_ns=round(line.fixed),
                    ns_per_mib=round(line.slope),
                )
            )
    return tuple(found)


def _thinned(times_ns: Sequence[int]) -> Sequence[float]:
    if len(times_ns) <= FIT_POINTS:
        return times_ns
    return [statistics.percentile(times_ns, 100 * (index + 0.5) / FIT_POINTS) for index in range(FIT_POINTS)]


def _of(times_ns: Iterable[int | None]) -> Summary | None:
    known = [time for time in times_ns if time is not None]
    return summarize(known) if known else None


def _accounting(samples: Sequence[Sample], source: str) -> Accounting:
    rest = [
        max(0, sample.first_ns - sample.cpu_ns - sample.blkio_ns)
        for sample in samples
        if sample.cpu_ns is not None and sample.blkio_ns is not None
    ]
    return Accounting(
        cpu_ns=_median(sample.cpu_ns for sample in samples),
        off_cpu_ns=_median(sample.first_ns - sample.cpu_ns for sample in samples if sample.cpu_ns is not None),
        blkio_ns=_median(sample.blkio_ns for sample in samples),
        rest_ns=_median(rest),
        read_bytes=_median(sample.read_bytes for sample in samples),
        write_bytes=_median(sample.write_bytes for sample in samples),
        source=source,
    )


def _median(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return round(statistics.median(known)) if known else None
