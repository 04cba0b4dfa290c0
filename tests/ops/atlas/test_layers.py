"""Layers in figures and as columns: what the survey says of every object, once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings

from ovlctl.ops import reading
from ovlctl.ops.atlas import layers, scan, summaries
from ovlctl.ops.atlas.atlas import KINDS, Sign
from ovlctl.ops.atlas.met import NEEDED, survey
from ovlctl.ops.atlas.summary import Wasted
from ovlctl.overlay.fates import Fate
from ovlctl.overlay.options import Options
from ovlctl.overlay.resolution import Place
from ovlctl.overlay.stack import Stack
from ovlctl.overlay.tree import Kind
from tests import trees
from tests.overlay import made
from tests.overlay.made import Case, new_directory
from tests.overlay.test_fuzz import EXAMPLES, cases
from tests.overlay.test_survey import Notes

if TYPE_CHECKING:
    from ovlctl.ops.reading import View

_EXPECTED = {
    Fate.VISIBLE: {Sign.SAME, Sign.ADDED, Sign.CHANGED},
    Fate.WHITEOUT: {Sign.WHITEOUT},
    Fate.UNCHANGED: {Sign.UNCHANGED},
}


def _notes(view: View) -> Notes:
    notes = Notes()
    survey(view, notes)
    return notes


@settings(max_examples=EXAMPLES // 2, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(case=cases())
def test_figures_and_signs_are_what_the_survey_says(room: str, case: Case) -> None:
    """Whatever is entered twice counts once, with the best that is said of it."""
    with new_directory(room) as base, reading.opened(reading.of_directories(case.write(base))) as view:
        notes = _notes(view)
        found = summaries.summaries(view, scan.merged(view)[0])
        for number, layer in enumerate(layers.every(view)):
            mine = {place.path: fate for place, fate in notes.fates.items() if place.layer is layer and place.path}
            kinds = {path: notes.kinds[Place(layer, path)] for path in mine}
            files = {path for path in mine if kinds[path] is not Kind.DIRECTORY and mine[path] is not Fate.WHITEOUT}
            said = found[number]
            assert said.files == len(files)
            assert said.directories == [*kinds.values()].count(Kind.DIRECTORY)
            assert said.whiteouts == [*mine.values()].count(Fate.WHITEOUT)
            assert said.wasted_files == sum(mine[path] not in NEEDED for path in files)
            sizes = {path: os.lstat(f"{layer.directory}/{path}").st_size for path in files if kinds[path] is Kind.FILE}
            assert said.size == sum(sizes.values())
            assert said.wasted == sum(size for path, size in sizes.items() if mine[path] not in NEEDED)
            atlas = layers.of_layer(view, number)
            rows = {atlas.path(row): row for row in range(1, len(atlas))}
            assert {path: KINDS[atlas.kinds[row]] for path, row in rows.items()} == kinds
            for path, row in rows.items():
                sign = Sign(atlas.signs[row])
                expected = _EXPECTED.get(mine[path], {Sign.HIDDEN})
                assert sign in expected, path


def test_a_layer_in_figures(room: str) -> None:
    """What it adds and hides, and the largest of what is wasted; hard links count once."""
    lower = {
        "kept": made.file(b"1"),
        "old": made.file(b"22"),
        "gone/a": made.file(b"333"),
        "linked": made.file(b"55555"),
    }
    upper = {"old": made.file(b"4444"), "gone": made.whiteout(), "new": made.file(b"x"), "stray": made.whiteout()}
    with new_directory(room) as base:
        stack = Case(lowers=(lower,), upper=upper, options=Options()).write(base)
        os.link(f"{base}/lower0/linked", f"{base}/lower0/other")
        with reading.opened(reading.of_directories(stack)) as view:
            above, below = summaries.summaries(view, scan.merged(view)[0])
            assert layers.labels(view) == ("upper", "lower:0")
    assert (above.files, above.size, above.adds, above.hides, above.whiteouts) == (2, 5, 1, 2, 2)
    assert (above.wasted_files, above.wasted) == (0, 0)
    assert (below.files, below.directories, below.size) == (5, 1, 11)
    assert (below.adds, below.hides, below.whiteouts) == (3, 0, 0)
    assert (below.wasted_files, below.wasted) == (2, 5)
    assert below.largest == (Wasted(path="gone/a", size=3), Wasted(path="old", size=2))


def test_signs_of_a_layer(room: str) -> None:
    """Added and changed by what is below, hidden by what is above, equal, and whiteouts."""
    bottom = {"a": made.file(b"1"), "b": made.file(b"2"), "d/x": made.file(b"3"), "e": made.file(b"4")}
    middle = {"a": made.file(b"5"), "c": made.file(b"6"), "d/x": made.whiteout(), "d/y": made.file(b"7")}
    top = {"a": made.file(b"8"), "e": made.file(b"4")}
    with new_directory(room) as base:
        stack = Case(lowers=(middle, bottom), upper=top, options=Options()).write(base)
        for name in ("upper/e", "lower1/e"):
            os.utime(f"{base}/{name}", ns=(7, 7))
        with reading.opened(reading.of_directories(stack)) as view:
            signs = [
                {atlas.path(row): Sign(atlas.signs[row]).glyph for row in range(1, len(atlas))}
                for atlas in (layers.of_layer(view, number) for number in range(3))
            ]
    assert signs == [
        {"a": "~", "e": "="},
        {"a": "-", "c": "+", "d": "~", "d/x": "o", "d/y": "+"},
        {"a": "-", "b": "+", "d": "+", "d/x": "-", "e": "+"},
    ]


def test_progress_is_told(scratch: str) -> None:
    """Now and then, with the number of objects."""
    trees.make(f"{scratch}/low", {f"{at // 100}/{at}": "" for at in range(9000)})
    told: list[int] = []
    with reading.opened(reading.of_directories(Stack([f"{scratch}/low"]))) as view:
        layers.of_layer(view, 0, tick=told.append)
        scan.merged(view, tick=told.append)
    assert len(told) > 2
    assert all(count <= 9100 for count in told)
