"""Where a sample's time went: what is charged to it and what is not."""

from __future__ import annotations

import time

import pytest

from ovlctl.bench.accounting import Meter
from ovlctl.kernel.taskstats import Source

_LONG_NS = 5_000_000
_EVER_NS = 10**15


def _compute() -> None:
    end = time.thread_time_ns() + _LONG_NS
    while time.thread_time_ns() < end:
        pass


def test_only_the_timed_part_is_charged() -> None:
    """CPU time between start and begin is nobody's; between begin and stop it is the sample's."""
    with Meter() as meter:
        meter.start()
        _compute()
        began = time.thread_time_ns()
        meter.begin()
        meter.stop()
        assert meter.result(_EVER_NS).cpu_ns <= time.thread_time_ns() - began
        meter.start()
        meter.begin()
        _compute()
        meter.stop()
        assert meter.result(_EVER_NS).cpu_ns >= _LONG_NS


@pytest.mark.parametrize("source", [None, Source.PROC])
def test_waiting_is_told_to_the_nanosecond_or_not_at_all(source: Source | None) -> None:
    """Ticks of 10 ms from /proc say nothing of one sample."""
    with Meter(source) as meter:
        meter.start()
        meter.begin()
        meter.stop()
        waited = meter.result(_EVER_NS).blkio_ns
        assert waited is None or (meter.source == "taskstats" and waited >= 0)
