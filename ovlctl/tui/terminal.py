"""What the terminal can do: whether there is one, how many colours it has, and which signs."""

from __future__ import annotations

import os
import select
import sys
from enum import StrEnum
from typing import TYPE_CHECKING

from ovlctl import errors, extras

if TYPE_CHECKING:
    from ovlctl.tui.look import Look


class Colour(StrEnum):
    """When there are colours."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Theme(StrEnum):
    """Light letters on dark ground, or the other way round."""

    AUTO = "auto"
    DARK = "dark"
    LIGHT = "light"


def check(hint: str) -> None:
    """Make sure that there is a terminal, and what draws on it.

    Args:
        hint: The plain command to take otherwise, as a format string.

    Raises:
        NoTerminal: A standard stream is no terminal, or it cannot move its cursor.
        ExtraMissing: Textual or NumPy is not installed.
    """
    for number, name in enumerate(("input", "output", "error")):
        if not os.isatty(number):
            raise errors.NoTerminal(f"standard {name} is no terminal", hint=hint)
    if os.environ.get("TERM", "") in {"", "dumb", "unknown"}:
        raise errors.NoTerminal("this terminal cannot move its cursor, as TERM says", hint=hint)
    extras.require("the explorer", "textual", "numpy")


def is_gone() -> bool:
    """Whether the terminal was closed."""
    asking = select.poll()
    asking.register(0, 0)
    return any(seen & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, seen in asking.poll(0))


def look(colour: Colour, theme: Theme) -> Look:
    """The look that fits the terminal, and what the user wants.

    ``--color`` goes before NO_COLOR, and that before what TERM says. Textual reads NO_COLOR by itself, so that it is
    set or taken away here.
    """
    from ovlctl.tui.glyphs import ASCII, UNICODE
    from ovlctl.tui.look import Look
    from ovlctl.tui.palette import DARK, LIGHT, MONO, SIXTEEN

    colours = 0 if colour is Colour.NEVER or (colour is Colour.AUTO and os.environ.get("NO_COLOR")) else _colours()
    if colour is Colour.ALWAYS:
        colours = max(colours, 16)
    os.environ.pop("NO_COLOR", None)
    if not colours:
        os.environ["NO_COLOR"] = "1"
        palette = MONO
    elif colours <= 16:  # noqa: PLR2004 -- the terminal's own
        palette = SIXTEEN
    else:
        palette = LIGHT if theme is Theme.LIGHT or (theme is Theme.AUTO and _is_light()) else DARK
    return Look(palette=palette, glyphs=UNICODE if _has_unicode() else ASCII)


def _colours() -> int:
    # What the library that writes colours goes by, too; only it knows of no terminal without any.
    if os.environ.get("COLORTERM", "").lower() in {"truecolor", "24bit"}:
        return 1 << 24
    term = os.environ.get("TERM", "").lower()
    if term.endswith(("256color", "kitty")):
        return 256
    import curses

    try:
        curses.setupterm()
        return 16 if curses.tigetnum("colors") > 2 else 0  # noqa: PLR2004 -- black and white
    except curses.error:
        return 16


def _is_light() -> bool:
    # Set by some terminals: the numbers of the colours of letters and ground.
    return os.environ.get("COLORFGBG", "").rpartition(";")[2] in {"7", "15"}


def _has_unicode() -> bool:
    # Python takes the locales C and POSIX for UTF-8; a terminal that was set up so may not.
    if sys.flags.utf8_mode and not os.environ.get("PYTHONUTF8"):
        return False
    return (getattr(sys.stderr, "encoding", None) or "").lower().replace("-", "") == "utf8"
