"""Lines of their own: captions of panes, the status line, and the line of hints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widget import Widget

from ovlctl.tui.cells import cell_len, cut, padded
from ovlctl.tui.keys import Where, keys_of
from ovlctl.tui.palette import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.geometry import Size
    from textual.strip import Strip

    from ovlctl.tui.look import Look
    from ovlctl.tui.tree_lines import Line


class Bar(Widget):
    """One line.

    Args:
        look: Of everything.
        says: Makes it, for a width; what stands at the left, and what at the right.
    """

    def __init__(self, look: Look, says: Callable[[int], tuple[Line, Line]]) -> None:
        super().__init__()
        self._look = look
        self._says = says

    fill = Role.BAR

    def _on(self, line: Line) -> Line:
        return line

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002 -- Textual's
        """One line."""
        return 1

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 -- there is only one
        """What Textual asks for."""
        width = self.size.width
        left, right = map(self._on, self._says(width))
        room = width - sum(cell_len(text) for text, _ in right)
        return self._look.strip((*_within(left, room, self._look.glyphs.cut, self.fill), *right), width, fill=self.fill)


class Caption(Bar):
    """The line above a pane; it shows which pane has the keys."""

    here = False

    @property
    def fill(self) -> Role:  # type: ignore[override]  # it depends
        """What the line is on."""
        return Role.CAPTION_HERE if self.here else Role.CAPTION

    def _on(self, line: Line) -> Line:
        return tuple((text, self.fill) for text, _ in line)

    def mark(self, *, here: bool) -> None:
        """The pane has the keys now, or has them no longer."""
        if here is not self.here:
            self.here = here
            self.refresh()


def hints(width: int) -> tuple[Line, Line]:
    """As many keys as there is room for."""
    told = [(key.shown.split(" ")[0], key.hint) for key in keys_of(Where.SCREEN, Where.ACTING) if key.hint is not None]
    # The last one, which ends the program, is there in any case.
    *most, last = told
    room = width - _taken(*last)
    shown = []
    for name, hint in most:
        room -= _taken(name, hint)
        if room < 0:
            break
        shown.append((name, hint))
    pieces = (((f" {name} ", Role.BAR_KEY), (f"{hint}  ", Role.BAR)) for name, hint in (*shown, last))
    return tuple(piece for pair in pieces for piece in pair), ()


def _taken(name: str, hint: str) -> int:
    return len(name) + len(hint) + 4


def _within(line: Line, room: int, sign: str, fill: Role) -> Line:
    shown = []
    for text, role in line:
        part = cut(text, room, sign)
        room -= cell_len(part)
        shown.append((part, role))
        if part != text:
            break
    return (*shown, (padded("", room), fill))
