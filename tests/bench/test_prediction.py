"""Times predicted from a real run: by its line, by its nearest size, or not at all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ovlctl.bench.plan import KIB, MIB
from ovlctl.bench.prediction import Basis, Prediction, predict
from ovlctl.bench.storage import without_samples
from ovlctl.bench.terms import Cache, DataPath
from ovlctl.ops import reading
from ovlctl.ops.explain import explain
from ovlctl.ops.explain.terms import Act
from ovlctl.overlay.options import Fsync, Options, Switch
from ovlctl.overlay.stack import Stack
from tests import trees
from tests.capabilities import needs_overlay

if TYPE_CHECKING:
    from ovlctl.bench.values import Result
    from ovlctl.ops.explain import Explanation

pytestmark = needs_overlay


def _explanation(scratch: str, size: int, options: Options | None = None) -> tuple[Explanation, Options]:
    trees.make(scratch, {"upper/": None, "work/": None, "lower/d/f": b"x" * size})
    stack = Stack([f"{scratch}/lower"], upper=f"{scratch}/upper", work=f"{scratch}/work", options=options)
    subject = reading.of_directories(stack)
    with reading.opened(subject) as view:
        return explain(view, "d/f"), subject.options


def _write(result: Result, scratch: str, size: int, options: Options | None = None) -> list[Prediction]:
    return [each for each in predict(result, *_explanation(scratch, size, options)) if each.act is Act.WRITE]


def test_by_the_line(result: Result, scratch: str) -> None:
    """Between the sizes measured it is the line through all samples, also without the samples themselves."""
    (fit,) = result.fit
    for kept in (result, without_samples(result)):
        (told,) = _write(kept, scratch, 32 * KIB)
        least = min(cell.first_ns.min for cell in result.cells)
        assert told.ns == max(least, round(fit.fixed_ns + fit.ns_per_mib * 32 * KIB / MIB))
        assert (told.basis, told.cache) == (Basis.LINE, Cache.WARM)
        assert (told.smallest, told.largest) == (4 * KIB, 64 * KIB)
        assert told.measured == result.method.started


def test_past_what_was_measured(result: Result, scratch: str) -> None:
    """A much larger file is said to be."""
    (told,) = _write(result, scratch, MIB)
    assert told.basis is Basis.BEYOND


def test_by_the_nearest_size(result: Result, scratch: str) -> None:
    """With one size there is no line: near it its median counts, and far from it there is nothing to say."""
    cell = next(cell for cell in result.cells if cell.size == 64 * KIB)
    one = replace(result, cells=(cell,), fit=())
    (told,) = _write(one, scratch, 100 * KIB)
    assert (told.ns, told.basis) == (cell.first_ns.p50, Basis.SIZE)
    assert _write(one, scratch, 4 * KIB) == []


@pytest.mark.parametrize(
    "options",
    [Options(metacopy=Switch.ON), Options(fsync=Fsync.VOLATILE)],
    ids=["metacopy", "volatile"],
)
def test_other_settings_are_no_basis(result: Result, scratch: str, options: Options) -> None:
    """What was measured with other settings for metadata or syncing says nothing."""
    assert _write(result, scratch, 32 * KIB, options) == []


def test_another_file_system_is_no_basis(result: Result, scratch: str) -> None:
    """Nor does another file system, or data that went another way there."""
    cells = tuple(replace(cell, fs="zfs") for cell in result.cells)
    assert _write(replace(result, cells=cells), scratch, 32 * KIB) == []
    cells = tuple(replace(cell, data_path=(DataPath.METADATA,)) for cell in result.cells)
    assert _write(replace(result, cells=cells), scratch, 32 * KIB) == []


def test_what_was_not_measured_is_not_predicted(result: Result, scratch: str) -> None:
    """The run did not rename, change modes or remove."""
    assert {each.act for each in predict(result, *_explanation(scratch, 32 * KIB))} == {Act.WRITE}


def test_each_state_of_the_cache(result: Result, scratch: str) -> None:
    """Where both were measured, both are told."""
    cold = tuple(replace(cell, cache=Cache.COLD) for cell in result.cells)
    fits = tuple(replace(fit, cache=Cache.COLD) for fit in result.fit)
    both = replace(result, cells=(*result.cells, *cold), fit=(*result.fit, *fits))
    assert [each.cache for each in _write(both, scratch, 32 * KIB)] == [Cache.WARM, Cache.COLD]
