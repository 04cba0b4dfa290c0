"""What ends a lookup without an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovlctl.overlay.resolution import Place, Rule


class RefusedError(Exception):
    """The kernel ends the lookup with an error."""

    def __init__(self, number: int, rule: Rule) -> None:
        super().__init__(number, rule)
        self.errno = number
        self.rule = rule


class UnreadableError(Exception):
    """Something that decides cannot be read by us, whatever the kernel's own rights are."""

    def __init__(self, place: Place, number: int) -> None:
        super().__init__(place, number)
        self.place = place
        self.errno = number
