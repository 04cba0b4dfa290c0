"""Comparing two runs: what counts as slower, faster, the same, and as not comparable."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ovlctl.bench import summary
from ovlctl.bench.comparison import Outcome, compare
from ovlctl.errors import BadUsage, UnlikeRuns

if TYPE_CHECKING:
    from ovlctl.bench.values import Result


def scaled(result: Result, factor: float, *, copies: int = 4) -> Result:
    """*result* as a quiet run with all first touches *factor* times as long, and more of them."""
    cells = []
    for cell in result.cells:
        # Around the median within 2 %, so that the noise of the machine that ran the tests does not decide.
        base = cell.first_ns.p50
        samples = [
            replace(sample, first_ns=round(base * factor * (1 + (index % 5 - 2) / 100)))
            for index, sample in enumerate(cell.samples_raw * copies)
        ]
        cells.append(summary.cell(cell.key, cell.options, "test", samples, cell.bare_raw))
    return replace(result, cells=tuple(cells), noise=replace(result.noise, noisy=False, warnings=()))


@pytest.mark.parametrize(
    ("factor", "outcome"), [(1.0, Outcome.SAME), (1.01, Outcome.SAME), (1.5, Outcome.SLOWER), (0.5, Outcome.FASTER)]
)
def test_verdicts(result: Result, factor: float, outcome: Outcome) -> None:
    """A clear difference is found, a tiny one is the same, and the ratio is the factor."""
    found = compare(scaled(result, 1), scaled(result, factor))
    for cell in found.cells:
        assert cell.outcome is outcome
        assert cell.ratio == pytest.approx(factor, rel=0.01)
        assert cell.ratio_ci[0] <= cell.ratio <= cell.ratio_ci[1]
    assert found.slower == (outcome is Outcome.SLOWER)


def test_swapping_runs_turns_the_verdict_round(result: Result) -> None:
    """What is slower one way is faster the other way, with the complementary effect size."""
    one, other = scaled(result, 1), scaled(result, 2)
    for there, back in zip(compare(one, other).cells, compare(other, one).cells, strict=True):
        assert (there.outcome, back.outcome) == (Outcome.SLOWER, Outcome.FASTER)
        assert there.a12 == pytest.approx(1 - back.a12)
        assert there.p == pytest.approx(back.p)


@pytest.mark.parametrize("factor", [1.02, 1.04, 1.05, 1.06, 1.1])
def test_verdicts_near_the_threshold_do_not_depend_on_the_order(result: Result, factor: float) -> None:
    """Swapped runs get the mirrored verdict, and the reciprocal ratio and interval, wherever the border lies."""
    mirror = {Outcome.SLOWER: Outcome.FASTER, Outcome.FASTER: Outcome.SLOWER}
    one, other = scaled(result, 1), scaled(result, factor)
    for there, back in zip(compare(one, other).cells, compare(other, one).cells, strict=True):
        assert back.outcome is mirror.get(there.outcome, there.outcome)
        assert (1 / back.ratio_ci[1], 1 / back.ratio_ci[0]) == pytest.approx(there.ratio_ci, rel=1e-3)


def test_few_samples_say_nothing(result: Result) -> None:
    """Two samples a cell are no ground for a verdict, however far apart."""
    short = scaled(result, 1)
    short = replace(
        short,
        cells=tuple(
            summary.cell(cell.key, cell.options, "test", cell.samples_raw[:2], cell.bare_raw) for cell in short.cells
        ),
    )
    assert {cell.outcome for cell in compare(scaled(result, 3), short).cells} == {Outcome.UNCLEAR}


def test_noise_widens_the_margin(result: Result) -> None:
    """A noisy run needs a larger difference before anything is called slower."""
    one, other = scaled(result, 1), scaled(result, 1.1)
    assert compare(one, other).slower
    noisy = replace(other, noise=replace(other.noise, noisy=True))
    assert not compare(one, noisy).slower
    assert compare(one, scaled(result, 1.5)).slower


def test_the_threshold_decides_what_is_of_interest(result: Result) -> None:
    """A difference of a tenth counts for 5 %, not for 20 %."""
    one, other = scaled(result, 1), scaled(result, 1.1)
    assert compare(one, other, threshold=0.05).slower
    assert not compare(one, other, threshold=0.2).slower
    with pytest.raises(BadUsage):
        compare(one, other, threshold=0)


def test_unlike_runs_are_refused(result: Result) -> None:
    """Another kernel or another option is named; force compares all the same and says so."""
    other = replace(result, environment=replace(result.environment, kernel="1.0"))
    with pytest.raises(UnlikeRuns, match=r"kernel .* and 1\.0"):
        compare(result, other)
    assert any("kernel" in line for line in compare(result, other, force=True).unlike)
    with pytest.raises(BadUsage):
        compare(result, replace(result, cells=()), force=True)


def test_a_run_is_like_itself(result: Result) -> None:
    """No difference in conditions, nothing slower, nothing faster."""
    found = compare(result, result)
    assert found.unlike == ()
    assert {cell.outcome for cell in found.cells} <= {Outcome.SAME, Outcome.UNCLEAR}
