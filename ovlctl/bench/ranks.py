"""Comparing two sets of samples by rank: is one slower, how often, and by chance or not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

Samples = Sequence[float]

EXACT_LIMIT = 40
"""Up to this many samples together the null distribution is counted out; beyond, the normal approximation."""


def midranks(samples: Samples) -> list[float]:
    """Rank of every sample, from 1; equal samples share the mean of their ranks."""
    order = sorted(range(len(samples)), key=samples.__getitem__)
    ranks = [0.0] * len(samples)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and samples[order[end]] == samples[order[start]]:
            end += 1
        for position in order[start:end]:
            ranks[position] = (start + 1 + end) / 2
        start = end
    return ranks


def mann_whitney(first: Samples, second: Samples) -> float:
    """Two-sided p-value of the Mann-Whitney U test that neither of two sets of samples tends to be larger.

    With at most :data:`EXACT_LIMIT` samples it is exact, ties included: the share of all ways to split the pooled
    ranks whose rank sum lies at least as far from its expectation. Above, the normal approximation with correction
    for ties and for continuity.

    Raises:
        ValueError: one of the sets is empty.
    """
    if not first or not second:
        msg = "no samples"
        raise ValueError(msg)
    ranks = midranks([*first, *second])
    if len(ranks) <= EXACT_LIMIT:
        return _exact_p(ranks, len(first))
    return normal_p(ranks, len(first))


def _exact_p(ranks: list[float], taken: int) -> float:
    # ways[k][s]: how many choices of k ranks have the doubled sum s. Doubling makes midranks whole numbers.
    doubled = [round(2 * rank) for rank in ranks]
    ways: list[dict[int, int]] = [{} for _ in range(taken + 1)]
    ways[0][0] = 1
    for rank in doubled:
        for k in range(taken, 0, -1):
            row = ways[k]
            for total, count in ways[k - 1].items():
                row[total + rank] = row.get(total + rank, 0) + count
    expected = taken * (len(ranks) + 1)
    observed = abs(sum(doubled[:taken]) - expected)
    extreme = sum(count for total, count in ways[taken].items() if abs(total - expected) >= observed)
    return extreme / math.comb(len(ranks), taken)


def normal_p(ranks: list[float], taken: int) -> float:
    """The approximation: two-sided p-value of the first *taken* of pooled *ranks*, corrected for ties."""
    count, rest = len(ranks), len(ranks) - taken
    u = sum(ranks[:taken]) - taken * (taken + 1) / 2
    tied = sum(times**3 - times for times in Counter(ranks).values())
    variance = taken * rest / 12 * (count + 1 - tied / (count * (count - 1)))
    if variance <= 0:
        return 1.0
    distance = max(0.0, abs(u - taken * rest / 2) - 0.5)
    return math.erfc(distance / math.sqrt(2 * variance))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: p-values that stay honest when many cells are looked at together.

    Law: same order as given; never smaller than the raw value, never above 1; the smallest is multiplied by how
    many there are.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - place) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def probability_of_larger(first: Samples, second: Samples) -> float:
    """Vargha and Delaney's A12: how often a sample of *second* is larger than one of *first*, ties counting half.

    0.5 means no difference; 1.0 that every sample of *second* is larger.
    """
    ranks = midranks([*first, *second])
    u = sum(ranks[len(first) :]) - len(second) * (len(second) + 1) / 2
    return u / (len(first) * len(second))
