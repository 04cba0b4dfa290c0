"""Laws of the statistics, checked against formulations that do not share their code."""

from __future__ import annotations

import itertools
import math
import random
import statistics as standard

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovlctl.bench import ranks, statistics

times = st.lists(st.integers(min_value=1, max_value=10**9), min_size=1, max_size=40)
few_times = st.lists(st.integers(min_value=0, max_value=6), min_size=1, max_size=5)


@given(times)
def test_median_is_the_standard_one(samples: list[int]) -> None:
    """The median agrees with the standard library's."""
    assert statistics.median(samples) == standard.median(samples)


@given(times, st.floats(min_value=0, max_value=100))
def test_percentile_splits_the_samples(samples: list[int], percent: float) -> None:
    """A percentile lies between the extremes, 0 and 100 are the extremes, and 50 is the median."""
    value = statistics.percentile(samples, percent)
    assert min(samples) <= value <= max(samples)
    assert statistics.percentile(samples, 0) == min(samples)
    assert statistics.percentile(samples, 100) == max(samples)
    assert statistics.percentile(samples, 50) == pytest.approx(standard.median(samples))


def test_percentile_is_the_inclusive_quantile() -> None:
    """Percentiles agree with the standard library's inclusive quantiles, the same type 7."""
    samples = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0]
    expected = standard.quantiles(samples, n=20, method="inclusive")
    actual = [statistics.percentile(samples, 5 * step) for step in range(1, 20)]
    assert actual == pytest.approx(expected)


@given(times)
def test_deviation_is_never_larger_than_the_range(samples: list[int]) -> None:
    """The median absolute deviation is at most the range, and zero when all samples are equal."""
    assert 0 <= statistics.median_absolute_deviation(samples) <= max(samples) - min(samples)
    assert statistics.median_absolute_deviation([samples[0]] * 7) == 0


@given(times)
def test_interval_lies_within_the_samples(samples: list[int]) -> None:
    """The interval contains the median and lies within the samples; fewer than six samples have none."""
    interval = statistics.median_interval(samples)
    if len(samples) < 6:
        assert interval is None
        return
    assert interval is not None
    assert min(samples) <= interval[0] <= statistics.median(samples) <= interval[1] <= max(samples)


@pytest.mark.parametrize("count", [6, 8, 13, 19, 20, 30])
def test_interval_covers_the_median_of_a_skewed_distribution(count: int) -> None:
    """At least 95 % of the intervals contain the true median."""
    source = random.Random(count)
    true_median = math.log(2)
    runs = 1000
    hits = 0
    for _ in range(runs):
        interval = statistics.median_interval([source.expovariate(1) for _ in range(count)])
        assert interval is not None
        hits += interval[0] <= true_median <= interval[1]
    assert hits / runs > 0.94


@pytest.mark.parametrize(("count", "low", "high"), [(10, 2, 9), (30, 10, 21), (100, 40, 61)])
def test_interval_is_the_one_of_the_tables(count: int, low: int, high: int) -> None:
    """The ranks are those of the published tables of the sign test."""
    assert statistics.median_interval(range(1, count + 1)) == (low, high)


@pytest.mark.parametrize(("few", "many"), [(6, 6), (8, 10), (10, 30), (40, 40)])
def test_ratio_interval_covers_the_true_ratio(few: int, many: int) -> None:
    """About 95 % of the intervals contain the ratio of the true medians."""
    source = random.Random(few * many)
    runs, hits = 100, 0
    for _ in range(runs):
        base = [source.lognormvariate(0, 0.3) for _ in range(few)]
        low, high = statistics.ratio_interval(base, [2 * source.lognormvariate(0, 0.3) for _ in range(many)])
        hits += low <= 2 <= high
    assert hits / runs > 0.9


@given(
    st.lists(st.integers(min_value=1, max_value=10**9), min_size=1, max_size=12),
    st.lists(st.integers(min_value=1, max_value=10**9), min_size=1, max_size=12),
)
def test_ratio_interval_swaps_to_its_reciprocal(base: list[int], other: list[int]) -> None:
    """Neither set comes first: swapped, the interval is the reciprocal one; the same samples give the same one."""
    low, high = statistics.ratio_interval(base, other)
    if base != other:
        assert statistics.ratio_interval(other, base) == pytest.approx((1 / high, 1 / low))
    assert statistics.ratio_interval(base, other) == (low, high)


@given(st.floats(min_value=0, max_value=1e6), st.floats(min_value=0, max_value=1e6))
def test_line_through_exact_points_is_found(fixed: float, slope: float) -> None:
    """Points that lie on a line give that line."""
    points = [(x, fixed + slope * x) for x in (0.00390625, 0.0625, 1.0, 16.0, 64.0)]
    line = statistics.weighted_theil_sen(points)
    assert line is not None
    assert line.slope == pytest.approx(slope, abs=1e-3)
    assert line.fixed == pytest.approx(fixed, rel=1e-6, abs=1e-2)


def test_line_survives_wild_points_and_noisy_small_sizes() -> None:
    """A tenth of wild samples, and fixed-cost noise larger than all small slopes, move the line by a few percent."""
    source = random.Random(7)
    points = []
    for x in (1 / 256, 1 / 16, 1.0, 16.0, 64.0):
        for index in range(20):
            y = 300_000 + source.uniform(-100_000, 100_000) + 700_000 * x
            points.append((x, y * 20 if index % 10 == 0 else y))
    line = statistics.weighted_theil_sen(points)
    assert line is not None
    assert line.slope == pytest.approx(700_000, rel=0.05)
    assert line.fixed == pytest.approx(300_000, rel=0.25)


def test_line_needs_two_sizes() -> None:
    """One size has no slope."""
    assert statistics.weighted_theil_sen([(1.0, 5.0), (1.0, 7.0)]) is None


def brute_force_p(first: list[int], second: list[int]) -> float:
    """The definition: the share of all regroupings whose U lies at least as far from its mean."""
    pooled = first + second

    def u_of(chosen: tuple[int, ...]) -> float:
        others = [index for index in range(len(pooled)) if index not in chosen]
        return sum((pooled[i] > pooled[j]) + (pooled[i] == pooled[j]) / 2 for i in chosen for j in others)

    mean = len(first) * len(second) / 2
    observed = abs(u_of(tuple(range(len(first)))) - mean)
    splits = list(itertools.combinations(range(len(pooled)), len(first)))
    return sum(1 for chosen in splits if abs(u_of(chosen) - mean) >= observed - 1e-9) / len(splits)


@given(few_times, few_times)
def test_mann_whitney_is_exact_for_few_samples(first: list[int], second: list[int]) -> None:
    """For few samples, ties included, the p-value is that of counting all regroupings."""
    assert ranks.mann_whitney(first, second) == pytest.approx(brute_force_p(first, second))


@given(st.integers(min_value=0, max_value=10**6))
def test_mann_whitney_approximation_meets_the_exact_value(seed: int) -> None:
    """Where both apply, the approximation is close to the exact value."""
    source = random.Random(seed)
    first = [source.randint(0, 50) for _ in range(20)]
    second = [source.randint(5, 55) for _ in range(20)]
    pooled = ranks.midranks([*first, *second])
    exact = ranks.mann_whitney(first, second)
    assert ranks.normal_p(pooled, 20) == pytest.approx(exact, abs=0.01)


@given(times, times)
def test_mann_whitney_is_symmetric(first: list[int], second: list[int]) -> None:
    """Swapping the sets changes nothing; a set against itself is no difference."""
    p = ranks.mann_whitney(first, second)
    assert 0 <= p <= 1
    assert p == pytest.approx(ranks.mann_whitney(second, first))
    assert ranks.mann_whitney(first, first) == pytest.approx(1)


def test_mann_whitney_sees_separated_sets() -> None:
    """Two sets without overlap differ beyond doubt."""
    assert ranks.mann_whitney(range(30), range(100, 130)) < 1e-9
    assert ranks.mann_whitney(range(4), range(10, 14)) == pytest.approx(2 / math.comb(8, 4))


@given(st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=20))
def test_holm_is_monotone_and_no_larger_than_bonferroni(p_values: list[float]) -> None:
    """Adjusted values keep the order, are at least the raw ones and at most Bonferroni's."""
    adjusted = ranks.holm(p_values)
    for raw, new in zip(p_values, adjusted, strict=True):
        assert raw <= new <= min(1.0, raw * len(p_values)) + 1e-12
    by_raw = [new for _, new in sorted(zip(p_values, adjusted, strict=True))]
    assert by_raw == sorted(by_raw)


def test_holm_example() -> None:
    """The textbook example."""
    assert ranks.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(few_times, few_times)
def test_effect_size_is_the_share_of_larger_pairs(first: list[int], second: list[int]) -> None:
    """A12 is the share of pairs in which the second is larger, ties half."""
    pairs = list(itertools.product(first, second))
    expected = sum((b > a) + (a == b) / 2 for a, b in pairs) / len(pairs)
    assert ranks.probability_of_larger(first, second) == pytest.approx(expected)
