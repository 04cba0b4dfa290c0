"""How everything looks at the moment: one object that all widgets hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.strip import Strip

from ovlctl.tui.palette import DARK, LIGHT, Ground, Palette, Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ovlctl.tui.glyphs import Glyphs


@dataclass(slots=True, kw_only=True)
class Look:
    """Colours and signs."""

    palette: Palette
    glyphs: Glyphs

    def turn(self) -> bool:
        """From dark to light and back; False where there is only one look, that of the terminal."""
        if self.palette not in {DARK, LIGHT}:
            return False
        self.palette = LIGHT if self.palette is DARK else DARK
        return True

    def strip(
        self, line: Iterable[tuple[str, Role]], width: int, ground: Ground = Ground.PLAIN, fill: Role = Role.TEXT
    ) -> Strip:
        """A line of the screen, exactly *width* cells wide."""
        style = self.palette.style
        strip = Strip([Segment(text, style(role, ground)) for text, role in line if text])
        return strip.adjust_cell_length(width, style(fill, ground))
