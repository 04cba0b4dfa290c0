"""Many names in little memory."""

from __future__ import annotations

import os
import sys
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from ovlctl.overlay.sorted_names import SortedNames

_names = st.binary(min_size=1, max_size=8).map(os.fsdecode).filter(lambda name: "/" not in name)


@given(names=st.lists(_names, max_size=40, unique=True), run=st.integers(min_value=1, max_value=50))
def test_they_come_out_sorted(names: list[str], run: int) -> None:
    """The law of the class, for names of any bytes, packed or not."""
    sorting = SortedNames(run)
    for name in names:
        sorting.add(name)
    assert list(sorting) == sorted(names)


def test_they_take_little() -> None:
    """Names with much in common take a small part of what a list of them takes, also while they come out."""
    tracemalloc.start()
    sorting = SortedNames(1 << 13)
    for at in range(120_000):
        sorting.add(f"a-name-as-programs-make-them-{at * 7919 % 120_000:07}")
    count = sum(1 for _ in sorting)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 120_000
    assert peak < 120_000 * sys.getsizeof("a-name-as-programs-make-them-0000000") / 4
