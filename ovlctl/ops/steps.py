"""A plan as a list of steps: each can say what it will do, do it, and take it back.

Law: a run that fails or is interrupted leaves what was there before, unless it is killed outright; the record
written first then tells the next command how far it came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ovlctl.errors import Note


class Step(Protocol):
    """One change to the machine."""

    def describe(self) -> Note:
        """What :meth:`apply` does, as a sentence or a command."""

    def apply(self) -> None:
        """Do it. When it raises, nothing of it is left."""

    def undo(self) -> None:
        """Take it back after a successful :meth:`apply`."""


def run(steps: Sequence[Step], watch: Callable[[Step], None] | None = None) -> None:
    """Apply *steps* in order; when one raises, undo those before it in reverse and let the error pass.

    Args:
        steps: What to do.
        watch: Called after each step, for progress and for tests that interrupt between steps.
    """
    done: list[Step] = []
    try:
        for step in steps:
            step.apply()
            done.append(step)
            if watch is not None:
                watch(step)
    except BaseException:
        for step in reversed(done):
            step.undo()
        raise
