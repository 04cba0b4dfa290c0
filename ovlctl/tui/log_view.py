"""The log of what was done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from ovlctl.tui.cells import folded
from ovlctl.tui.lines_view import TextView, words
from ovlctl.tui.palette import Role

if TYPE_CHECKING:
    from textual import events

    from ovlctl.tui.look import Look

#: As many lines are kept.
_KEPT: Final = 1000


class LogView(TextView):
    """Lines with the time, the latest last."""

    def __init__(self, look: Look) -> None:
        super().__init__(look, "log")
        self._said: list[tuple[str, Role]] = []

    def say(self, text: str, *, trouble: bool = False) -> None:
        """Add a line; names in *text* have passed ``show_name``."""
        stamp = time.strftime("%H:%M:%S")
        self._said = [*self._said, (f"{stamp} {text}", Role.ODD if trouble else Role.TEXT)][-_KEPT:]
        self._fill()

    def on_resize(self, event: events.Resize) -> None:
        """Sentences are wrapped at the width of the pane."""
        self._fill()
        super().on_resize(event)

    def _fill(self) -> None:
        width = max(1, self.wide)
        self.lines = [words(part, role) for text, role in self._said for part in folded(f" {text}", width)]
        self.changed()
        self.scroll_to(y=len(self.lines), animate=False)
