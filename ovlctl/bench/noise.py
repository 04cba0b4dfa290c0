"""How quiet the machine is: read before and after, never during, and turned into warnings.

The run itself writes and waits, so the pressure of I/O *during* the run says nothing about others; only what was
there before it made its first file does. The pressure on CPUs is taken over the run as well: the run is one task at
a time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING

from ovlctl.bench import statistics
from ovlctl.bench.conditions import Noise, Pressure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.bench.values import Cell

CPU_PRESSURE_PERCENT = 5.0
RUN_PRESSURE_PERCENT = 10.0
"""During the run its own write-back threads wait for its CPU, and it for them: up to 7 % were seen without others."""

IO_PRESSURE_PERCENT = 5.0
STEAL_PERCENT = 1.0
INVOLUNTARY_SHARE = 0.10
SHORT_NS = 5_000_000
"""A sample that takes longer is interrupted on any machine: by the kernel's threads that write out its own data."""

SPREAD = 0.25
AA_FLOOR = 0.05
FIRST_SAMPLE_DEVIATIONS = 14.8
"""The modified Z-score from which hyperfine calls a sample an outlier: 14.8 median absolute deviations."""
_FEW = 8
"""Below this many samples neither spread nor halves mean anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The counters at one moment."""

    pressure: Pressure
    clock_ns: int
    cpu_stall_us: int | None
    cpu_ticks: int
    steal_ticks: int


def read(pressure: Pressure | None = None) -> Reading:
    """Look at the machine now.

    Args:
        pressure: What to take for the pressure instead: that of an earlier moment, before the run itself did I/O.
    """
    cpu = _psi("cpu")
    ticks = [int(word) for word in _first_line("/proc/stat").split()[1:9]]
    return Reading(
        pressure=pressure or read_pressure(),
        clock_ns=perf_counter_ns(),
        cpu_stall_us=int(cpu["total"]) if "total" in cpu else None,
        cpu_ticks=sum(ticks),
        steal_ticks=ticks[7] if len(ticks) > 7 else 0,  # noqa: PLR2004 - the eighth column, proc_stat(5)
    )


def read_pressure() -> Pressure:
    """How busy the machine is now, and has been for the last ten seconds."""
    return Pressure(
        cpu_avg10=_psi("cpu").get("avg10"),
        io_avg10=_psi("io").get("avg10"),
        memory_avg10=_psi("memory").get("avg10"),
        load1=os.getloadavg()[0],
        available_bytes=available_bytes(),
    )


def available_bytes() -> int:
    """MemAvailable: what can be had without swapping."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def clock_overhead_ns() -> int:
    """The median distance between two readings of the clock with nothing in between."""
    distances = []
    for _ in range(1000):
        start = perf_counter_ns()
        distances.append(perf_counter_ns() - start)
    return round(statistics.median(distances))


def governor(cpu: int) -> str | None:
    """The frequency governor of *cpu*; None where the machine has none, as in most VMs."""
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor").read_text(encoding="ascii").strip()
    except OSError:
        return None


def judge(
    before: Reading, after: Reading, cells: Sequence[Cell], *, cpu: int, working_set: int, overhead_ns: int
) -> Noise:
    """Everything that makes the times less believable than they look.

    Args:
        before: Before the first sample.
        after: After the last.
        cells: What was measured.
        cpu: The CPU that the samples ran on.
        working_set: Bytes of all files of the run.
        overhead_ns: :func:`clock_overhead_ns`.
    """
    elapsed_us = max(1, (after.clock_ns - before.clock_ns) // 1000)
    stalled = None
    if before.cpu_stall_us is not None and after.cpu_stall_us is not None:
        stalled = 100 * (after.cpu_stall_us - before.cpu_stall_us) / elapsed_us
    ticks = after.cpu_ticks - before.cpu_ticks
    steal = 100 * (after.steal_ticks - before.steal_ticks) / ticks if ticks else None
    short = [sample for cell in cells for sample in cell.samples_raw if sample.first_ns < SHORT_NS]
    switched = [sample.involuntary > 0 for sample in short]
    share = sum(switched) / len(switched) if switched else 0.0
    apart = [difference(cell.aa_ratio) for cell in cells if cell.aa_ratio is not None]
    floor = statistics.median(apart) if apart else None
    warnings = (
        *_machine_warnings(before.pressure, stalled, steal, cpu, working_set),
        *_sample_warnings(share, floor, cells),
    )
    return Noise(
        before=before.pressure,
        after=after.pressure,
        steal_percent=None if steal is None else round(steal, 2),
        cpu_pressure_percent=None if stalled is None else round(stalled, 2),
        involuntary_share=round(share, 3),
        aa_floor=None if floor is None else round(floor, 4),
        aa_worst=round(max(apart), 4) if apart else None,
        clock_overhead_ns=overhead_ns,
        noisy=bool(warnings),
        warnings=warnings,
    )


def halves_ratio(samples_ns: Sequence[int]) -> float | None:
    """Median of the later half over median of the earlier half of the same cell's samples, in time order.

    An A/A comparison without extra samples: nothing differs but the moment, as between two runs.
    """
    if len(samples_ns) < _FEW:
        return None
    middle = len(samples_ns) // 2
    return round(statistics.median(samples_ns[middle:]) / statistics.median(samples_ns[:middle]), 4)


def difference(ratio: float) -> float:
    """How far *ratio* is from 1, the same for a ratio and its reciprocal: 0.5 for 1.5 and for 1 / 1.5."""
    return max(ratio, 1 / ratio) - 1


def spread(cell_ns: Sequence[int]) -> float | None:
    """Interquartile range over median; None for a few samples."""
    if len(cell_ns) < _FEW:
        return None
    width = statistics.percentile(cell_ns, 75) - statistics.percentile(cell_ns, 25)
    return width / statistics.median(cell_ns)


def is_noisy(samples_ns: Sequence[int]) -> bool:
    """Whether one cell's own samples scatter too much, or its halves differ too much."""
    width, ratio = spread(samples_ns), halves_ratio(samples_ns)
    return (width is not None and width > SPREAD) or (ratio is not None and difference(ratio) > SPREAD)


def _machine_warnings(
    before: Pressure, stalled: float | None, steal: float | None, cpu: int, working_set: int
) -> Iterator[str]:
    if before.cpu_avg10 is not None and before.cpu_avg10 > CPU_PRESSURE_PERCENT:
        yield f"tasks already waited for a CPU {before.cpu_avg10:.0f} % of the time before the run"
    if stalled is not None and stalled > RUN_PRESSURE_PERCENT:
        yield f"tasks waited for a CPU {stalled:.0f} % of the time during the run"
    if before.io_avg10 is not None and before.io_avg10 > IO_PRESSURE_PERCENT:
        yield f"other tasks waited for I/O {before.io_avg10:.0f} % of the time before the run"
    if steal is not None and steal > STEAL_PERCENT:
        yield f"the hypervisor took {steal:.1f} % of the CPU time away"
    cpus = os.cpu_count() or 1
    if before.load1 > cpus:
        yield f"load {before.load1:.1f} on {cpus} CPUs before the run"
    found = governor(cpu)
    if found not in {None, "performance"}:
        yield f"CPU {cpu} runs under the frequency governor `{found}`, not `performance`"
    if _on_battery():
        yield "the machine runs on battery"
    if before.available_bytes < working_set:
        yield f"{before.available_bytes >> 20} MiB of memory are available for {working_set >> 20} MiB of files"


def _sample_warnings(share: float, floor: float | None, cells: Sequence[Cell]) -> Iterator[str]:
    if share > INVOLUNTARY_SHARE:
        yield f"{100 * share:.0f} % of the short samples were interrupted by other tasks"
    if floor is not None and floor > AA_FLOOR:
        yield f"two halves of the same samples differ by {100 * floor:.0f} %: smaller differences mean nothing here"
    wide = [width for cell in cells if (width := spread(cell.samples_ns)) is not None and width > SPREAD]
    if wide:
        yield (
            f"the middle half of the samples spreads over more than {100 * SPREAD:.0f} % of the median "
            f"in {len(wide)} of {len(cells)} cells"
        )
    slow = sum(_first_is_outlier(cell.samples_ns) for cell in cells)
    if slow:
        yield f"the first sample is an outlier in {slow} of {len(cells)} cells"


def _first_is_outlier(samples_ns: Sequence[int]) -> bool:
    if len(samples_ns) < _FEW:
        return False
    deviation = statistics.median_absolute_deviation(samples_ns)
    return samples_ns[0] - statistics.median(samples_ns) > FIRST_SAMPLE_DEVIATIONS * deviation > 0


def _psi(kind: str) -> dict[str, float]:
    try:
        words = _first_line(f"/proc/pressure/{kind}").split()
    except OSError:
        return {}
    return {key: float(value) for key, _, value in (word.partition("=") for word in words[1:])}


def _first_line(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.readline()


def _on_battery() -> bool:
    for supply in Path("/sys/class/power_supply").glob("*/online"):
        try:
            if (supply.parent / "type").read_text(encoding="ascii").strip() == "Mains":
                return supply.read_text(encoding="ascii").strip() == "0"
        except OSError:
            continue
    return False
