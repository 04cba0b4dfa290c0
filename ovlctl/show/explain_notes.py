"""What an explanation has to warn of: one line for each thing that could not be read, or does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.errors import Note
from ovlctl.ops.explain.terms import Verdict
from ovlctl.ops.reading.troubles import UNSEEN_MARKS
from ovlctl.overlay.resolution import Outcome
from ovlctl.show.explain_lines import named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ovlctl.ops.explain.values import Explanation


def notes(explanations: Iterable[Explanation], stack: str) -> list[Note]:
    """The warnings that come with *explanations*, each once.

    Args:
        explanations: Of paths of one stack.
        stack: How to call it in a command.
    """
    return list(dict.fromkeys(note for each in explanations for note in _notes(each, stack)))


def _notes(explanation: Explanation, stack: str) -> Iterator[Note]:
    found = explanation.resolution
    if explanation.kernel.verdict is Verdict.DISAGREES:
        text = "the kernel shows something else at {} than the layers have: `ovlctl refresh {}` mounts them anew"
        yield Note(text, ("/" + explanation.path, stack))
    for lost in found.unreadable:
        yield Note(f"cannot read {{}} in {{}}: {named(lost.errno)}", (lost.place.path, lost.place.layer.directory))
    for look in explanation.layers:
        if look.errno:
            place = look.candidate.place
            yield Note(f"cannot read {{}} in {{}}: {named(look.errno)}", (place.path, place.layer.directory))
    if not found.certain and found.outcome is not Outcome.UNKNOWN:
        yield UNSEEN_MARKS
