"""What a test needs of the machine, as a mark that is read before it runs: tests/vm looks for a machine that has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The name of the mark.
NEEDS = "needs"


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether something works here, and why not."""

    able: bool
    reason: str = ""

    def __bool__(self) -> bool:
        """Whether it works."""
        return self.able

    def __str__(self) -> str:
        """For the header of the test run."""
        return "yes" if self.able else f"no ({self.reason})"


def needs(answer: Answer, what: str) -> pytest.MarkDecorator:
    """A mark for what root on another kernel may have: a test with it runs here only if *answer* is yes."""
    return pytest.mark.needs(what, answer)


def unless(answer: object, reason: str) -> pytest.MarkDecorator:
    """A mark that skips a test for want of something that no other machine would be better at, such as a browser."""
    return pytest.mark.skipif(not answer, reason=reason)


def needed_by_fixtures(item: pytest.Item, **fixtures: Iterable[pytest.MarkDecorator]) -> None:
    """What a fixture needs, each test needs that asks for it: fixtures cannot have marks themselves.

    Args:
        item: A test that was collected; from ``pytest_itemcollected``.
        fixtures: Marks by the name of the fixture.
    """
    for name in fixtures.keys() & set(getattr(item, "fixturenames", ())):
        for mark in fixtures[name]:
            item.add_marker(mark)


def unmet(item: pytest.Item) -> str | None:
    """What a test needs and this machine lacks, ``needs WHAT: WHY``; None if it can run here."""
    for mark in item.iter_markers(NEEDS):
        what, answer = mark.args
        if not answer:
            return f"needs {what}: {answer.reason}"
    return None
