"""What is called noise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ovlctl.bench import noise

if TYPE_CHECKING:
    from ovlctl.bench.values import Result


def quiet() -> tuple[noise.Reading, noise.Reading]:
    """Two readings a second apart on a machine with nothing to do."""
    now = noise.read()
    pressure = replace(now.pressure, cpu_avg10=0.0, io_avg10=0.0, load1=0.0, available_bytes=1 << 40)
    before = replace(now, pressure=pressure, clock_ns=0, cpu_stall_us=0, cpu_ticks=0, steal_ticks=0)
    return before, replace(before, clock_ns=10**9, cpu_ticks=200)


def judge(before: noise.Reading, after: noise.Reading) -> str:
    """The warnings as one text."""
    return "\n".join(noise.judge(before, after, (), cpu=0, working_set=1 << 20, overhead_ns=50).warnings)


def test_a_quiet_machine_is_quiet() -> None:
    """Nothing stolen, nobody waiting: at most the governor is worth a word."""
    assert all("governor" in line or "battery" in line for line in judge(*quiet()).splitlines())


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"cpu_stall_us": 200_000}, "waited for a CPU 20 %"),
        ({"steal_ticks": 10}, "hypervisor took 5.0 %"),
    ],
)
def test_what_happens_during_the_run_counts(changed: dict[str, int], words: str) -> None:
    """Waiting for CPUs and steal are taken over the run."""
    before, after = quiet()
    assert words in judge(before, replace(after, **changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"cpu_avg10": 30.0}, "before the run"),
        ({"io_avg10": 30.0}, "waited for I/O 30 %"),
        ({"load1": 1000.0}, "load 1000.0"),
        ({"available_bytes": 1024}, "memory"),
    ],
)
def test_what_was_there_before_counts(changed: dict[str, float], words: str) -> None:
    """Pressure, load and short memory before the first sample."""
    before, after = quiet()
    before = replace(before, pressure=replace(before.pressure, **changed))  # type: ignore[arg-type]
    assert words in judge(before, after)


def test_halves_tell_of_drift() -> None:
    """The later half over the earlier half; a few samples tell nothing."""
    assert noise.halves_ratio([100] * 10 + [150] * 10) == 1.5
    assert noise.halves_ratio([100] * 20) == 1.0
    assert noise.halves_ratio([100] * 7) is None
    assert noise.is_noisy([100] * 10 + [150] * 10)
    assert not noise.is_noisy([100, 101, 99, 100] * 5)


def test_differences_have_no_direction() -> None:
    """Half as long is as far from the same as twice as long."""
    assert noise.difference(2.0) == noise.difference(0.5) == 1.0
    assert noise.difference(1.0) == 0.0


def test_a_reading_is_of_this_machine(result: Result) -> None:
    """The judgement of a real run has every figure in its range."""
    found = result.noise
    assert found.before.available_bytes > 0
    assert 0 <= found.involuntary_share <= 1
    assert found.clock_overhead_ns > 0
    assert found.noisy == bool(found.warnings)
    assert found.aa_floor is not None
    assert found.aa_worst is not None
    assert 0 <= found.aa_floor <= found.aa_worst
