"""How far a long look is: one line on a terminal that is written over, and gone at the end; nothing elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class Counting:
    """Draws a number on stderr when that is a terminal.

    Args:
        what: Is counted.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._shown = False
        self._on = sys.stderr.isatty()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __call__(self, count: int) -> None:
        """Show *count*."""
        if self._on:
            sys.stderr.write(f"\r{count:,} {self._what} \x1b[K")
            sys.stderr.flush()
            self._shown = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wipe the line."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
