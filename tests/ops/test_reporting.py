"""What a report gathers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ovlctl.ops import reading, reporting
from ovlctl.ops.atlas.atlas import Sign
from ovlctl.overlay.stack import Stack
from tests import trees
from tests.capabilities import needs_overlay
from tests.show.report import made

if TYPE_CHECKING:
    from ovlctl.ops.reporting import Report


@pytest.fixture
def report(scratch: str) -> Report:
    """Of a stack with something of everything, without a run."""
    stack = made.stack(scratch)
    with reading.opened(reading.of_directories(stack)) as view:
        return reporting.report(view, ("web",), run=False)


def test_what_is_told_in_full(report: Report) -> None:
    """Every changed path, and the largest that nobody sees; each once, and each at its row."""
    rows = [story.row for story in report.stories]
    assert len(rows) == len(set(rows))
    changed = {row for row, sign in enumerate(report.atlas.signs) if row and sign not in {Sign.SAME, Sign.HIDDEN}}
    assert changed <= set(rows)
    wasted = {each.path for layer in report.layers for each in layer.largest}
    assert wasted <= {story.explanation.path for story in report.stories}
    assert all(story.explanation.path == report.atlas.path(story.row) for story in report.stories)
    assert (report.recording, report.no_recording, report.troubles) == (None, None, ())


def test_many_changes(scratch: str) -> None:
    """Of any number of changed paths some are told in full, those that replace something before those that add."""
    names = [f"{number:04}" for number in range(300)]
    trees.make(f"{scratch}/low", {f"z/{name}": "old" for name in names[:50]})
    trees.make(f"{scratch}/up", {f"a/{name}": "new" for name in names} | {f"z/{name}": "newer" for name in names[:50]})
    stack = Stack([f"{scratch}/low"], upper=f"{scratch}/up", work=f"{scratch}/work", options=made.MINE)
    with reading.opened(reading.of_directories(stack)) as view:
        report = reporting.report(view, run=False)
    told = {story.explanation.path for story in report.stories}
    assert len(told) < 250
    assert {f"z/{name}" for name in names[:50]} <= told
    assert {"a", "a/0000"} <= told


@needs_overlay
def test_the_path_that_was_acted_on(scratch: str) -> None:
    """What the recorded run was done on is told in full, too."""
    trees.make(f"{scratch}/low", {"etc/app.conf": "port = 80\n" * 200, "etc/other": "o"})
    with reading.opened(reading.of_directories(Stack([f"{scratch}/low"], options=made.MINE))) as view:
        report = reporting.report(view)
    assert report.recording is not None
    assert [story.explanation.path for story in report.stories] == ["etc/app.conf"]
    assert not [name for name in os.listdir(scratch) if name != "low"]
