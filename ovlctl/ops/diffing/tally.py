"""Changes counted: how many of each kind, and how large they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.overlay.change import ChangeKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ovlctl.ops.diffing.letters import Lettered
    from ovlctl.overlay.change import Change


@dataclass(frozen=True, slots=True)
class Count:
    """How many paths, and the sizes of the regular files among them in bytes."""

    change: ChangeKind
    paths: int
    bytes: int


class Tally:
    """Counts what goes through :meth:`counted`.

    Attributes:
        differs: Whether something did that differs.
    """

    def __init__(self) -> None:
        self._counts = {change: [0, 0] for change in ChangeKind}
        self.differs = False

    def counted(self, changes: Iterable[Change]) -> Iterator[Change]:
        """The same changes."""
        for change in changes:
            count = self._counts[change.change]
            count[0] += 1
            count[1] += change.bytes or 0
            self.differs = self.differs or change.differs
            yield change

    def noted(self, lettered: Iterable[Lettered]) -> Iterator[Lettered]:
        """The same; each differs, and is not counted."""
        for change in lettered:
            self.differs = True
            yield change

    def counts(self) -> tuple[Count, ...]:
        """What was counted, in the order of :class:`ChangeKind`; only changes that there are."""
        return tuple(Count(change, *count) for change, count in self._counts.items() if count[0])
