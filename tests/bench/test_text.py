"""What a person reads: every line fits a terminal of 80 columns, and qualifications are told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ovlctl.bench import summary
from ovlctl.bench.comparison import compare
from ovlctl.bench.terms import DataPath, Settings
from ovlctl.show.bench import result_text
from ovlctl.show.bench_comparison import comparison_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from ovlctl.bench.values import Result


def wide(result: Result) -> Result:
    """*result* with everything as long as it gets: sizes, times, counts, options, notes, warnings."""
    cells = []
    for cell in result.cells:
        samples = [
            replace(each, first_ns=987_654_321 + index, second_ns=123_456_789, data_path=list(DataPath)[index % 2])
            for index, each in enumerate(cell.samples_raw * 1000)
        ]
        sweep = Settings(tuple((f"some_long_option{index}", "and_its_value") for index in range(5)))
        key = replace(cell.key, size=cell.size * 1023 + (1 << 29), sweep=sweep, layers=499, depth=63)
        cells.append(
            replace(summary.cell(key, cell.options, "test", samples, cell.bare_raw), ratio=123456.0, noisy=True)
        )
    environment = replace(
        result.environment, storage=tuple(replace(one, path="/very-long" * 9) for one in result.environment.storage)
    )
    identity = tuple(
        replace(case, note=("the kernel made this index=off", "the kernel made this xino=off")[index % 2])
        for index, case in enumerate(result.identity)
    )
    warnings = ("the kernel made xino=off of xino=auto, because it could not do what was asked of it here",)
    return replace(
        result,
        cells=tuple(cells),
        fit=summary.fits(cells),
        environment=environment,
        identity=identity,
        warnings=warnings,
        partial=True,
        interrupted="SIGTERM",
    )


@pytest.mark.parametrize("change", [lambda result: result, wide], ids=["as it is", "wide"])
def test_no_line_is_longer_than_a_terminal(result: Result, change: Callable[[Result], Result]) -> None:
    """At most 79 columns, but for a path that is longer by itself."""
    found = change(result)
    lines = [*result_text(found).splitlines(), *comparison_text(compare(found, found)).splitlines()]
    assert [line for line in lines if len(line) > 79 and "/very-long" not in line] == []


def test_what_qualifies_a_result_is_told(result: Result) -> None:
    """That it is partial and why, what the kernel made of the options, and which cases are not what was asked."""
    text = " ".join(result_text(wide(result)).split())
    assert "PARTIAL: ended by SIGTERM" in text
    assert "warning: the kernel made xino=off of xino=auto" in text
    assert "** the kernel made this xino=off" in text


def test_a_cost_is_never_negative(result: Result) -> None:
    """A slope below zero is noise, and told as none."""
    fit = tuple(replace(one, fixed_ns=1000, ns_per_mib=-500_000) for one in result.fit)
    assert "fit: 1 us, whatever the size" in result_text(replace(result, fit=fit))
