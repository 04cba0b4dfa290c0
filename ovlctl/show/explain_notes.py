"""What an explanation has to warn of: one line for each thing that could not be read, or does not fit."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ovlctl.errors import Note
from ovlctl.ops.explain.values import Verdict
from ovlctl.overlay.resolution import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.explain.values import Explanation


def notes(explanation: Explanation) -> list[Note]:
    """The warnings that come with *explanation*."""
    return list(dict.fromkeys(_notes(explanation)))


def _notes(explanation: Explanation) -> Iterator[Note]:
    found = explanation.resolution
    if explanation.kernel.verdict is Verdict.DISAGREES:
        yield Note("the kernel shows something else at {} than the layers have", ("/" + explanation.path,))
    for lost in found.unreadable:
        yield Note(f"cannot read {{}} in {{}}: {_named(lost.errno)}", (lost.place.path, lost.place.layer.directory))
    for look in explanation.layers:
        if look.errno:
            place = look.candidate.place
            yield Note(f"cannot read {{}} in {{}}: {_named(look.errno)}", (place.path, place.layer.directory))
    if not found.certain and found.outcome is not Outcome.UNKNOWN:
        yield Note("marks in trusted.overlay.* cannot be read without root: a directory may be opaque or renamed")


def _named(number: int) -> str:
    return f"{os.strerror(number)} ({errno.errorcode.get(number, number)})"
