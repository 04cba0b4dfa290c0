"""How panes share the screen: side by side or one above the other, all of them or one alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual.containers import Container, Vertical

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.screen import Screen
    from textual.widget import Widget

    from ovlctl.tui.bars import Caption
    from ovlctl.tui.lines_view import LinesView

#: From so many columns on details stand beside the tree.
WIDE: Final = 110
#: Below so many lines there is room for the tree, and hardly for anything else.
_LOW: Final = 16
#: Lines of the log at most, of the stack of layers at least, and columns and lines of the details at least.
_LOG: Final = 8
_LAYERS: Final = 4
_DETAILS: Final = (44, 6)


class Pane(Vertical):
    """A caption, what is below it, and perhaps a line at its bottom."""

    def __init__(self, caption: Caption, view: LinesView, *more: Widget) -> None:
        super().__init__(caption, view, *more, classes="pane")
        self.caption = caption
        self.view = view


class Panes:
    """The panes of the main screen.

    Args:
        screen: That has them.
        layers: The stack.
        tree: The tree.
        details: The story of the chosen path.
        log: What was done; not to be seen at first.
    """

    def __init__(self, screen: Screen[None], *, layers: Pane, tree: Pane, details: Pane, log: Pane) -> None:
        self._screen = screen
        self._layers, self._tree, self._details, self._log = layers, tree, details, log
        self._body = Container(tree, details, id="body")
        self._logs = False
        self._room_for_details = True
        log.display = False
        details.add_class("details")

    def compose(self) -> ComposeResult:
        """Them, from above to below."""
        yield self._layers
        yield self._body
        yield self._log

    def mark(self, acting: Pane | None) -> None:
        """Show which pane has the keys; *acting* has them through a line that is typed in."""
        for pane in self._all:
            pane.caption.mark(here=pane.view.has_focus or pane is acting)

    def share(self) -> None:
        """Share the screen as it is now."""
        width, height = self._screen.size
        alone, wide = self._screen.has_class("zoomed"), width >= WIDE
        self._screen.set_class(wide, "wide")
        layers = min(self._layers.view.count, max(_LAYERS, height // 5) if height >= _LOW else _LAYERS // 2)
        self._layers.styles.height = "1fr" if alone else layers + 1
        rest = height - layers - 3
        self._room_for_details = alone or wide or rest >= _LOW - _LAYERS
        details = self._details.styles
        details.width = max(_DETAILS[0], width * 2 // 5) if wide and not alone else "100%"
        details.height = "100%" if wide or alone else max(_DETAILS[1], rest * 2 // 5)
        if self._room_for_details:
            details.clear_rule("display")
        else:
            self._details.display = False
        self._log.styles.height = "1fr" if alone else min(_LOG, height // 3)

    def turn(self, step: int) -> None:
        """Give the keys to the next pane, or the one before."""
        shown = [
            pane
            for pane in self._all
            if (pane is not self._log or self._logs) and (pane is not self._details or self._room_for_details)
        ]
        at = next((number for number, pane in enumerate(shown) if pane.view.has_focus), shown.index(self._tree))
        pane = shown[(at + step) % len(shown)]
        pane.view.focus()
        if self._screen.has_class("zoomed"):
            self._alone(pane)

    def zoom(self) -> None:
        """Give the pane that has the keys the whole screen, or share it again."""
        if self._screen.has_class("zoomed"):
            self._screen.remove_class("zoomed")
            self.share()
        else:
            self._alone(next((pane for pane in self._all if pane.view.has_focus), self._tree))

    def show_log(self) -> None:
        """Show the log, or hide it."""
        self._logs = not self._logs
        self._log.display = self._logs
        if self._log.view.has_focus and not self._logs:
            self._tree.view.focus()

    @property
    def _all(self) -> tuple[Pane, ...]:
        return self._layers, self._tree, self._details, self._log

    def _alone(self, pane: Pane) -> None:
        self._screen.add_class("zoomed")
        self.share()
        for each in self._all:
            each.set_class(each is pane, "here")
        self._body.set_class(pane in {self._tree, self._details}, "here")
