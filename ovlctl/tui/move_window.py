"""The window in which a deed is drawn, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ovlctl.show.trying import wish_text
from ovlctl.tui.bars import Bar
from ovlctl.tui.binding import bindings
from ovlctl.tui.keys import Where
from ovlctl.tui.lanes import Lanes
from ovlctl.tui.lines_view import TextView
from ovlctl.tui.moves import move_of
from ovlctl.tui.palette import Role
from ovlctl.tui.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.widget import Widget

    from ovlctl.ops.trying.values import Deed, GroundLayer
    from ovlctl.tui.look import Look
    from ovlctl.tui.tree_lines import Line

#: Seconds between two looks at what moves.
TICK: Final = 0.07
# Ticks that a picture stays: a short look, a step, and what moves before it leaves.
_BRIEF, _LONG, _LEAVING = 10, 24, 7
_KEYS: Final = "Space pauses   Left Right step   Enter to the end   Esc closes"
_KEYS_AT_END: Final = "Left Right step   Space plays again   Enter Esc close"


class MoveWindow(Window[None]):
    """Replays a deed: nothing is done any more while it is drawn.

    Args:
        look: Of everything.
        deed: What was done.
        ground: What its numbers of layers mean.
        role: The colour of a layer, by its number.

    Attributes:
        at: The picture that is shown.
        gone: How many lines what moves has gone; None when it has arrived.
        playing: Whether it goes on by itself.
    """

    BINDINGS = bindings(Where.MOVE)

    def __init__(self, look: Look, deed: Deed, ground: Sequence[GroundLayer], role: Callable[[int], Role]) -> None:
        done = "done on the real mount" if deed.live else "done"
        super().__init__(look, f"{wish_text(deed.wish)}, {done}", _KEYS)
        self._deed, self._role = deed, role
        self._move = move_of(deed, ground, look.glyphs.arrow)
        self._text = TextView(look, "lanes")
        self._lanes: Lanes | None = None
        self._stayed = 0
        self.at = 0
        self.gone: int | None = None
        self.playing = True

    def body(self) -> tuple[Widget, ...]:
        """The lanes."""
        return (self._text,)

    def on_mount(self) -> None:
        """Begin, or show how it ended where nothing is to move."""
        self.query_one("#window").add_class("full")
        self._text.focus()
        if self.app.animation_level == "none":
            self.at, self.playing = self._last, False
        self.set_interval(TICK, self._tick)
        self.call_after_refresh(self._lay_out)

    def on_resize(self) -> None:
        """The lanes are as wide as the window."""
        self.call_after_refresh(self._lay_out)

    @property
    def _last(self) -> int:
        return len(self._move.pictures) - 1

    def _lay_out(self) -> None:
        self._lanes = Lanes(self._deed, self._move, self.look.glyphs, self._role, self._text.wide)
        self.query_one("#window").styles.height = min(
            len(self._lanes.lines(self._move.pictures[0])) + 4, self.size.height
        )
        self._draw()

    def _draw(self) -> None:
        if self._lanes is not None:
            self._keys = _KEYS_AT_END if self.at == self._last else _KEYS
            self._text.lines = self._lanes.lines(self._move.pictures[self.at], self.gone)
            self._text.changed()
            for bar in self.query(Bar):
                bar.refresh()

    def _caption(self, width: int) -> tuple[Line, Line]:
        left, _ = super()._caption(width)
        paused = "" if self.playing or self.at == self._last else "paused, "
        step = f"{paused}{self.at}/{self._last}" if self.at < self._last else "the end"
        return left, ((f"  {step} ", Role.CAPTION_HERE),)

    def _tick(self) -> None:
        if not self.playing or self._lanes is None:
            return
        self._stayed += 1
        picture = self._move.pictures[self.at]
        if self.gone is not None:
            if self._stayed > _LEAVING:
                way = self._lanes.way(picture)
                self.gone = self.gone + 1 if self.gone + 1 < way else None
                self._stayed = _LEAVING if self.gone is not None else 0
                self._draw()
        elif self._stayed >= (_BRIEF if picture.brief else _LONG):
            self._show(self.at + 1)

    def _show(self, at: int, *, moving: bool = True) -> None:
        self.at = max(0, min(at, self._last))
        picture = self._move.pictures[self.at]
        full = self.app.animation_level == "full"
        self.gone = 0 if picture.flight is not None and moving and full else None
        self._stayed = 0
        if self.at == self._last:
            self.playing = False
        self._draw()

    def action_pause(self) -> None:
        """Pause or go on; at the end, from the beginning."""
        if self.at == self._last:
            self.playing = True
            self._show(0)
        else:
            self.playing = not self.playing
            self._draw()

    def action_step(self, steps: int) -> None:
        """Another picture, which then stays."""
        self.playing = False
        self._show(self.at + steps, moving=False)

    def action_end(self) -> None:
        """The last picture; from there, close."""
        if self.at == self._last:
            self.dismiss(None)
        else:
            self.playing = False
            self._show(self._last)
