"""Is one run slower than another? Cell by cell, with what both machines' noise allows to say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ovlctl.bench import noise, ranks, statistics
from ovlctl.errors import BadUsage, UnlikeRuns, literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.bench.values import Cell, CellKey, Result

SIGNIFICANT = 0.05
FEWEST = 6
"""Below this many samples a median has no 95 % interval, and nothing is said of it."""

THRESHOLD = 0.05
"""Differences smaller than this are of no interest unless somebody says so."""

NOISY_MARGIN = 0.15
"""The margin when either run was noisy: its own halves were disturbed alike, so they tell too little. Runs with
nothing changed between them were seen to differ by 11 % on a VM whose other tasks came and went."""


class Outcome(StrEnum):
    """What is said of the second run's cell. UNCLEAR: too few samples or too much noise to say SAME either."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "same"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedCell:
    """One cell in both runs.

    Attributes:
        cell: Which.
        base_ns: Median of the first run.
        other_ns: Median of the second run.
        ratio: other over base; above 1 the second run is slower.
        ratio_ci: Its 95 % interval.
        p: Of the Mann-Whitney test, adjusted by Holm over all cells.
        a12: How often a sample of the second run is larger than one of the first.
        margin: The relative difference that counts here: the largest of the threshold, the noise of this cell in
            either run, and NOISY_MARGIN if a run was noisy.
        outcome: The verdict.
    """

    cell: CellKey
    base_ns: int
    other_ns: int
    ratio: float
    ratio_ci: tuple[float, float]
    p: float
    a12: float
    margin: float
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two runs.

    Attributes:
        threshold: As asked.
        unlike: What differs between the runs though it should not, one line each; empty unless forced.
        missing: Cells that only one of them has.
        noisy: Whether either run was.
        cells: The cells that both have.
    """

    threshold: float
    unlike: tuple[str, ...]
    missing: int
    noisy: bool
    cells: tuple[ComparedCell, ...]

    @property
    def slower(self) -> bool:
        """Whether any cell is."""
        return any(cell.outcome is Outcome.SLOWER for cell in self.cells)


def compare(base: Result, other: Result, *, threshold: float = THRESHOLD, force: bool = False) -> Comparison:
    """Compare the first touches of *other* with those of *base*.

    A cell is slower (or faster) when the test says so after Holm's adjustment, the interval of the ratio leaves 1
    out, and the ratio is beyond the margin. It is the same when the whole interval lies within the margin.

    Args:
        base: What to compare with.
        other: What is judged.
        threshold: The smallest relative difference of interest.
        force: Compare runs that were made under different conditions too.

    Raises:
        UnlikeRuns: Kernel, file system, options or the like differ, and *force* is not set.
        BadUsage: They have no cell in common, or the threshold makes no sense.
    """
    if not 0 < threshold < 10:  # noqa: PLR2004 - tenfold: nobody means that
        raise BadUsage(f"a threshold of {100 * threshold:.0f} % makes no sense")
    unlike = tuple(differences(base, other))
    if unlike and not force:
        raise UnlikeRuns(
            f"these runs were not made alike: {literal('; '.join(unlike))}",
            hint="`--force` compares them all the same",
        )
    ours, theirs = ({cell.key: cell for cell in result.cells} for result in (base, other))
    common = [key for key in ours if key in theirs]
    if not common:
        raise BadUsage("these runs have no cell in common")
    disturbed = base.noise.noisy or other.noise.noisy
    least = max(threshold, NOISY_MARGIN) if disturbed else threshold
    adjusted = ranks.holm([ranks.mann_whitney(ours[key].samples_ns, theirs[key].samples_ns) for key in common])
    return Comparison(
        threshold=threshold,
        unlike=unlike,
        missing=len(set(ours) ^ set(theirs)),
        noisy=disturbed,
        cells=tuple(_compare_cell(ours[key], theirs[key], p, least) for key, p in zip(common, adjusted, strict=True)),
    )


def differences(base: Result, other: Result) -> Iterator[str]:
    """Everything that differs between the conditions of two runs and bears on their times."""
    one, two = base.environment, other.environment
    for name in ("kernel", "machine", "cpu_model", "cpus", "governor", "hypervisor", "privilege", "xattr_prefix"):
        yield from _differs(name, getattr(one, name), getattr(two, name))
    yield from _differs("module parameters", one.module_parameters, two.module_parameters)
    for name in ("fs", "mount_options", "rotational", "scheduler", "image"):
        yield from _differs(
            f"storage {name}",
            [getattr(stored, name) for stored in one.storage],
            [getattr(stored, name) for stored in two.storage],
        )
    for name in ("write_bytes", "content", "links", "sizes", "operations", "caches"):
        yield from _differs(name, getattr(base.method, name), getattr(other.method, name))
    theirs = {cell.key: cell.options for cell in other.cells}
    for cell in base.cells:
        if cell.key in theirs and cell.options != theirs[cell.key]:
            yield from _differs("mount options", cell.options, theirs[cell.key])
            break


def _differs(name: str, one: object, two: object) -> Iterator[str]:
    if one != two:
        yield f"{name.replace('_', ' ')} {_plain(one)} and {_plain(two)}"


def _plain(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_plain(item) for item in value) + "]"
    return str(value)


def _compare_cell(base: Cell, other: Cell, p: float, least: float) -> ComparedCell:
    interval = statistics.ratio_interval(base.samples_ns, other.samples_ns)
    ratio = statistics.median(other.samples_ns) / statistics.median(base.samples_ns)
    margin = max([least, *(noise.difference(cell.aa_ratio) for cell in (base, other) if cell.aa_ratio is not None)])
    return ComparedCell(
        cell=base.key,
        base_ns=base.first_ns.p50,
        other_ns=other.first_ns.p50,
        ratio=round(ratio, 4),
        ratio_ci=(round(interval[0], 4), round(interval[1], 4)),
        p=p,
        a12=round(ranks.probability_of_larger(base.samples_ns, other.samples_ns), 4),
        margin=round(margin, 4),
        outcome=_outcome(ratio, interval, p, margin) if min(base.samples, other.samples) >= FEWEST else Outcome.UNCLEAR,
    )


def _outcome(ratio: float, interval: tuple[float, float], p: float, margin: float) -> Outcome:
    low, high = interval
    if p < SIGNIFICANT and low > 1 and ratio > 1 + margin:
        return Outcome.SLOWER
    if p < SIGNIFICANT and high < 1 and ratio < 1 / (1 + margin):
        return Outcome.FASTER
    if 1 / (1 + margin) <= low and high <= 1 + margin:
        return Outcome.SAME
    return Outcome.UNCLEAR
