"""What went wrong on the way through a stack without ending it, kept for the end."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ovlctl.errors import Note
from ovlctl.ops.reading.layer_names import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.overlay.resolution import Unreadable

#: As many are named; the others are counted.
_NAMED = 1000


class Troubles:
    """What an answer that is given all the same has to say: what could not be read, foremost.

    Law: memory is bounded, however much goes wrong.

    Attributes:
        certain: False once an answer depended on marks in trusted.* that this process cannot see.
    """

    def __init__(self, *, certain: bool = True) -> None:
        self.certain = certain
        self._named: dict[Note, None] = {}
        self._more = 0

    def add(self, unreadable: Unreadable) -> None:
        """Take something that could not be read; the same again counts once."""
        layer = unreadable.place.layer
        path = os.path.join(layer.directory, unreadable.place.path).rstrip("/")
        self.tell(Note(f"{{}} in {name_of(layer)} could not be read{_because(unreadable.errno)}", (path,)))

    def tell(self, note: Note) -> None:
        """Take anything else that makes the answer a partial one."""
        if len(self._named) < _NAMED:
            self._named[note] = None
        elif note not in self._named:
            self._more += 1

    @property
    def any(self) -> bool:
        """Whether the answer is partial."""
        return bool(self._named) or not self.certain

    def notes(self) -> Iterator[Note]:
        """One sentence for each, and one for marks that cannot be seen."""
        yield from self._named
        if self._more:
            yield Note(f"and {self._more} more of the kind")
        if not self.certain:
            yield Note(
                "marks in trusted.overlay.* cannot be seen without root: what they hide, rename or merge is not known"
            )


def _because(number: int) -> str:
    return f": {os.strerror(number)} ({errno.errorcode.get(number, number)})" if number else ""
