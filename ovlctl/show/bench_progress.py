"""How far a run is: one line on a terminal that is written over, and gone at the end; nothing elsewhere."""

from __future__ import annotations

import sys
from time import monotonic

_BAR = 30


class Progress:
    """Draws on stderr when that is a terminal. The run waits while it draws, so no sample is timed beside it."""

    def __init__(self) -> None:
        self._shown = False
        self._begin: float | None = None
        self._on = sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        """Show that *done* of *total* samples are taken."""
        if not self._on:
            return
        now = monotonic()
        self._begin = self._begin or now
        left = (now - self._begin) * (total - done) / done
        bar = "#" * (_BAR * done // total)
        sys.stderr.write(f"\r[{bar:<{_BAR}}] {done}/{total} samples, {left:.0f} s left \x1b[K")
        sys.stderr.flush()
        self._shown = True

    def close(self) -> None:
        """Wipe the line."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
