"""What an action did, in words: a sentence for each step, as the report page tells it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ovlctl.ops.trying.values import StepKind
from ovlctl.overlay.marks import Mark
from ovlctl.show.names import show_name
from ovlctl.show.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.ops.trying.values import Deed, Step


def step_text(step: Step, labels: Sequence[str]) -> str:
    """One sentence without a full stop.

    Args:
        step: What happened.
        labels: What the numbers of layers mean.
    """
    text = _SENTENCES[step.kind].format(
        name=show_name(os.path.basename(step.path) or "/"),
        here=labels[step.layer] if step.layer is not None else "the upper",
        there=f" from {labels[step.source]}" if step.source is not None else "",
        size=format_size(step.bytes),
        amount=_amount(step),
    )
    marks = [_MARKS[mark] for mark in step.marks if mark in _MARKS]
    return text + (f" ({'; '.join(marks)})" if marks else "")


def error_words(number: int) -> str | None:
    """An error number in words; None for none."""
    return f"{os.strerror(number)} ({errno.errorcode.get(number, number)})" if number else None


def outcome_text(deed: Deed) -> str:
    """What came of it, in a few words."""
    if (words := error_words(deed.errno)) is not None:
        return f"refused: {words}"
    copied = sum(step.bytes for step in deed.steps if step.kind is StepKind.COPIED)
    whiteouts = sum(step.kind is StepKind.WHITEOUT for step in deed.steps)
    if copied:
        return f"{format_size(copied)} copied up"
    if whiteouts:
        return "a whiteout"
    return "new in the upper" if any(step.kind is StepKind.CREATED for step in deed.steps) else "nothing copied"


_SENTENCES = {
    StepKind.LOOKED: "The kernel looks for {name} in {here}: not there",
    StepKind.FOUND: "It finds {name} in {here}",
    StepKind.READ: "{size} are read where they lie, in {here}; nothing is copied",
    StepKind.PARENT: "The directory {name} comes into {here}{there}, without what is in it",
    StepKind.COPIED: "{name} comes into {here}{there}: {amount}",
    StepKind.METADATA: "{name} comes into {here}{there} without its data, which stay below",
    StepKind.WRITTEN: "The change is made to {name} in {here}; what lies below stays as it is",
    StepKind.CREATED: "{name} is made in {here}",
    StepKind.WHITEOUT: "A whiteout for {name} is put into {here}: it hides what lies below, which stays as it is",
    StepKind.REMOVED: "{name} is removed from {here}",
    StepKind.MOVED: "{name} is what it is called in {here} now",
    StepKind.LINKED: "{name} is one more name of it in {here}",
    StepKind.REFUSED: "The kernel refuses, and nothing has changed",
}
# What is worth a word where it appears; a whiteout's own mark is told by its step.
_MARKS = {
    Mark.ORIGIN: "it is marked with its origin",
    Mark.METACOPY: "it is marked as metadata only",
    Mark.OPAQUE: "it is marked opaque: nothing below shows through",
    Mark.REDIRECT: "it is marked with the name it had",
}


def _amount(step: Step) -> str:
    size = format_size(step.bytes)
    if step.cloned:
        return f"{size}, cloned: both share their blocks"
    return f"{size} copied" if step.bytes else "no data to copy"
