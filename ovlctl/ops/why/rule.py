"""How a message and its cause are tied together: one typed row per message."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovlctl.errors import OvlError

#: The longest piece of a line that a pattern is tried on: a path may have 4095 bytes, and one message has two.
PIECE_MAX = 9000


@dataclass(frozen=True, slots=True)
class Rule:
    """One message that somebody may paste.

    Attributes:
        pattern: Matches the message; each group is a path that it names, in the order *says* speaks of them. A
            group that took no part is left out of the paths, and *says* must do without it.
        causes: What it means; more than one where the message alone does not decide, the likeliest first.
        says: The cause in a sentence, a template as of :class:`~ovlctl.errors.OvlError`.
        fix: What to do, a template too.
    """

    pattern: re.Pattern[str]
    causes: tuple[type[OvlError], ...]
    says: str
    fix: str

    def match(self, piece: str) -> tuple[str, ...] | None:
        """The paths in *piece* when it is this message, else None."""
        found = self.pattern.match(piece[:PIECE_MAX])
        return None if found is None else tuple(group for group in found.groups() if group is not None)


def rule(pattern: str, causes: type[OvlError] | tuple[type[OvlError], ...], says: str, fix: str) -> Rule:
    """A row of a table; *pattern* is anchored at the beginning of the message and ignores case."""
    several = causes if isinstance(causes, tuple) else (causes,)
    return Rule(re.compile(pattern, re.IGNORECASE), several, says, fix)
