"""Windows in which one of several lines is chosen: paths that were looked for, and commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import Input

from ovlctl.ops.atlas.atlas import Sign
from ovlctl.show.names import show_name
from ovlctl.tui.binding import bindings
from ovlctl.tui.cells import cell_len, cut_middle, folded
from ovlctl.tui.keys import Where
from ovlctl.tui.lines_view import ChoiceView, TextView, words
from ovlctl.tui.palette import OF_SIGN, Role
from ovlctl.tui.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.widget import Widget

    from ovlctl.tui.command_lines import Command
    from ovlctl.tui.look import Look
    from ovlctl.tui.page import Page
    from ovlctl.tui.tree_lines import Line


class Choices(ChoiceView):
    """Lines to choose from.

    Args:
        look: Of everything.
        chosen: Called for two clicks.
        moved: Called when another one is under the cursor.
    """

    def __init__(self, look: Look, chosen: Callable[[], None], moved: Callable[[], None]) -> None:
        super().__init__(look, "choices")
        self.lines: list[Line] = []
        self._cursor = 0
        self._chosen = chosen
        self._moved = moved

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.lines)

    def line(self, at: int, width: int) -> Line:
        """What one says."""
        return self.lines[at] if sum(cell_len(text) for text, _ in self.lines[at]) <= width else self._cut(at, width)

    @property
    def cursor(self) -> int:
        """The one that is chosen."""
        return self._cursor

    def go(self, line: int) -> None:
        """Choose another."""
        self._cursor = max(0, min(line, self.count - 1))
        self._moved()

    def chosen(self) -> None:
        """Two clicks."""
        self._chosen()

    def show(self, lines: list[Line]) -> None:
        """Show others, of which the first is chosen."""
        self.lines = lines
        self.go(0)
        self.changed()
        self.follow()

    def _cut(self, at: int, width: int) -> Line:
        # The end of a path tells more than its middle.
        (text, role), *_ = self.lines[at]
        return ((cut_middle(text, width, self.look.glyphs.cut), role),)


class Finder(Window[int]):
    """Looks for a path by some of its letters; gives its row."""

    BINDINGS = bindings(Where.FINDER)

    def __init__(self, look: Look, page: Page) -> None:
        super().__init__(look, "Find a path by some of its letters", "Enter goes there   Up Down choose   Esc closes")
        self._page = page
        self._rows: tuple[int, ...] = ()
        self._looked_for = ""
        self._input = Input(id="finder", compact=True, placeholder="letters of the path, in their order")
        self._choices = Choices(look, self.action_accept, lambda: None)
        self._choices.can_focus = False
        self._choices.acting = True

    def body(self) -> tuple[Widget, ...]:
        """What is typed, and what was found."""
        return self._input, self._choices

    def on_mount(self) -> None:
        """Typing begins at once."""
        self._input.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Look again."""
        event.stop()
        self._look(event.value)

    def _look(self, text: str) -> None:
        if text == self._looked_for:
            return
        atlas, self._looked_for = self._page.atlas, text
        self._rows = self._page.fuzzy(text) if text else ()
        self._choices.show(
            [words(f" {show_name(atlas.path(row))}", OF_SIGN[Sign(atlas.signs[row])]) for row in self._rows]
        )

    def action_move(self, lines: int) -> None:
        """Choose another."""
        self._choices.action_move(lines)

    def action_accept(self) -> None:
        """Go there."""
        # What was typed last may not have come as a message yet.
        self._look(self._input.value)
        if self._rows:
            self.dismiss(self._rows[self._choices.cursor])


class CommandWindow(Window[str]):
    """Shows commands; gives the one to be copied."""

    BINDINGS = bindings(Where.COMMANDS)

    def __init__(self, look: Look, commands: tuple[Command, ...]) -> None:
        super().__init__(look, "The same as a command", "Enter copies   Up Down choose   Esc closes")
        self._commands = commands
        self._choices = Choices(look, self.action_copy, self._tell)
        self._whole = TextView(look, "whole")
        self._whole.can_focus = False

    def body(self) -> tuple[Widget, ...]:
        """What they tell, and below it the chosen one in full."""
        return self._choices, self._whole

    def on_mount(self) -> None:
        """The first is chosen."""
        self._choices.show([words(f" {each.says}") for each in self._commands])
        self._choices.styles.height = len(self._commands) + 1
        self.query_one("#window").add_class("low")
        self._choices.focus()

    def on_resize(self) -> None:
        """Commands are wrapped at the width of the window."""
        self._tell()

    def action_copy(self) -> None:
        """Copy it."""
        self.dismiss(self._commands[self._choices.cursor].text)

    def _tell(self) -> None:
        text = self._commands[self._choices.cursor].text
        self._whole.show([words(part, Role.STRONG) for part in folded(f" {text}", max(1, self._whole.wide))])
