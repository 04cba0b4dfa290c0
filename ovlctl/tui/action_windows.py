"""Windows of actions: which one, with what, what it will do, and whether it is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from textual.widgets import Input

from ovlctl.errors import BadUsage
from ovlctl.ops.trying.values import Action
from ovlctl.show.names import show_name
from ovlctl.tui.binding import bindings
from ovlctl.tui.cells import folded
from ovlctl.tui.choice_window import Choices
from ovlctl.tui.keys import Where, keys_of
from ovlctl.tui.lines_view import TextView, words
from ovlctl.tui.palette import Role
from ovlctl.tui.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.widget import Widget

    from ovlctl.tui.look import Look
    from ovlctl.tui.tree_lines import Line

_T = TypeVar("_T")


class ActionWindow(Window[Action]):
    """Gives the action that was chosen.

    Args:
        look: Of everything.
        path: That it will be done to.
        where: On what it will be done.
    """

    BINDINGS = bindings(Where.ACTIONS)

    def __init__(self, look: Look, path: str, where: str) -> None:
        title = f"Act on {show_name(f'/{path}')}, {where}"
        super().__init__(look, title, "a letter, or Up Down and Enter   Esc closes")
        self._choices = Choices(look, self.action_choose, lambda: None)
        # Its own keys are letters, too: here every letter is an action.
        self._choices.can_focus = False
        self._choices.acting = True

    def body(self) -> tuple[Widget, ...]:
        """One line for each."""
        return (self._choices,)

    def on_mount(self) -> None:
        """The first is chosen."""
        keys = [key for key in keys_of(Where.ACTIONS) if key.action.startswith("act(")]
        self._choices.show([words(f" {key.shown}  {key.says}") for key in keys])
        self.query_one("#window").add_class("small")
        self.query_one("#window").styles.height = len(keys) + 4

    def action_move(self, lines: int) -> None:
        """Choose another."""
        self._choices.action_move(lines)

    def action_choose(self) -> None:
        """The one under the cursor."""
        self.dismiss(tuple(_ORDER)[self._choices.cursor])

    def action_act(self, name: str) -> None:
        """The one of a letter."""
        self.dismiss(Action(name))


_ORDER = tuple(Action(key.action[5:-2]) for key in keys_of(Where.ACTIONS) if key.action.startswith("act("))


class TypedWindow(Window[_T]):
    """Gives what was typed, once it can be read.

    Args:
        look: Of everything.
        title: What is asked; names have passed ``show_name``.
        suggestion: What stands there first.
        says: What can be typed.
        read: Makes a value of it; raises BadUsage.
    """

    def __init__(self, look: Look, title: str, suggestion: str, says: str, read: Callable[[str], _T]) -> None:
        super().__init__(look, title, "Enter goes on   Esc closes")
        self._input = Input(suggestion, id="typed", compact=True, select_on_focus=False)
        self._note = TextView(look, "note")
        self._note.can_focus = False
        self._says = says
        self._read = read
        self._trouble = ""

    def body(self) -> tuple[Widget, ...]:
        """The line, and below it what is wrong with it, or what it is for."""
        return self._input, self._note

    def on_mount(self) -> None:
        """Typing begins at once, at the end of what stands there."""
        self.query_one("#window").add_class("small")
        self._input.focus()
        self._input.cursor_position = len(self._input.value)
        self._tell()

    def on_resize(self) -> None:
        """Sentences are wrapped at the width of the window."""
        self._tell()

    def on_input_changed(self, event: Input.Changed) -> None:
        """What was wrong may be right now."""
        event.stop()
        self._trouble = ""
        self._tell()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take it, or say what is wrong."""
        event.stop()
        try:
            value = self._read(event.value)
        except BadUsage as error:
            self._trouble = error.message(show_name)
            self._tell()
            return
        self.dismiss(value)

    def _tell(self) -> None:
        text, role = (self._trouble, Role.ODD) if self._trouble else (self._says, Role.DIM)
        self._note.show([words(line, role) for line in folded(f" {text}", max(20, self._note.wide))])


class LinesWindow(Window[_T]):
    """A window with lines that are made for its width."""

    def __init__(self, look: Look, title: str, keys: str, make: Callable[[int], list[Line]]) -> None:
        super().__init__(look, title, keys)
        self._make = make
        self._text = TextView(look, "window-text")

    def body(self) -> tuple[Widget, ...]:
        """The lines."""
        return (self._text,)

    def on_mount(self) -> None:
        """They can be scrolled at once."""
        self._text.focus()
        self.call_after_refresh(self._fill)

    def on_resize(self) -> None:
        """Sentences are wrapped at the width of the window."""
        self.call_after_refresh(self._fill)

    def _fill(self) -> None:
        lines = self._make(max(20, self._text.wide))
        # As high as there is something to read, where there is room.
        window = self.query_one("#window")
        if not window.has_class("full"):
            window.styles.height = min(len(lines) + 4, self.size.height)
        self._text.show(lines)


class PreviewWindow(LinesWindow[bool]):
    """Tells what will be done; True to do it."""

    BINDINGS = bindings(Where.PREVIEW)

    def __init__(self, look: Look, title: str, make: Callable[[int], list[Line]], *, live: bool) -> None:
        word = "Enter asks once more" if live else "Enter does it"
        super().__init__(look, title, f"{word}   Esc leaves everything as it is", make)

    def action_accept(self) -> None:
        """Do it."""
        self.dismiss(True)  # noqa: FBT003 -- Textual's


class ConfirmWindow(LinesWindow[bool]):
    """Asks whether something is to be done for good; No unless Yes is chosen."""

    BINDINGS = bindings(Where.CONFIRM)

    def __init__(self, look: Look, title: str, make: Callable[[int], list[Line]]) -> None:
        super().__init__(look, title, "n no   y yes   Up Down and Enter choose", make)
        self._choices = Choices(look, self.action_choose, lambda: None)

    def body(self) -> tuple[Widget, ...]:
        """What is asked, and the two answers."""
        self._text.can_focus = False
        return self._text, self._choices

    def on_mount(self) -> None:
        """No is chosen."""
        self._choices.styles.height = 2
        self._choices.show([words(" No, leave everything as it is"), words(" Yes, do it on the real mount", Role.ODD)])
        self._choices.focus()

    def action_choose(self) -> None:
        """The one under the cursor."""
        self.dismiss(self._choices.cursor == 1)

    def action_answer(self, yes: bool) -> None:  # noqa: FBT001 -- as a binding writes it
        """One of both, by its letter."""
        self.dismiss(yes)

    def _fill(self) -> None:
        super()._fill()
        self.query_one("#window").styles.height = min(len(self._text.lines) + 6, self.size.height)


class ErrorWindow(LinesWindow[None]):
    """Tells why something could not be done.

    Args:
        look: Of everything.
        message: In one line.
        hint: What can be done; None for nothing.
        code: That `ovlctl why` explains; None when there is none.
    """

    def __init__(self, look: Look, message: str, hint: str | None, code: str | None) -> None:
        def make(width: int) -> list[Line]:
            lines: list[Line] = [words(line, Role.ODD) for line in folded(f" {message}", width)]
            for text in filter(None, (hint, code and f"{code}: `ovlctl why {code}` tells more")):
                lines += [(), *(words(line) for line in folded(f" {text}", width))]
            return lines

        super().__init__(look, "That cannot be done", "Esc closes", make)
