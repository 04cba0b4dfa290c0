"""Screens as text, compared with what they looked like when somebody last judged them.

A file has the letters of the screen, then for every cell a letter for its style, then what these mean. After a change
that is meant, ``OVLCTL_UPDATE_GOLDEN=1 pytest tests/tui`` writes the files anew; look at the difference.
"""

from __future__ import annotations

import os
import re
from string import ascii_letters
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.style import Style

    from tests.tui.scenes import Driven

_HERE = os.path.join(os.path.dirname(__file__), "golden")
_BY_CHANCE = re.compile(r"(ovlctl-try-)(\w+)")
_UPDATE = "OVLCTL_UPDATE_GOLDEN" in os.environ


def check(it: Driven, name: str) -> None:
    """The screen is the one of the file *name*; the letters that chance gives to scratch directories do not count."""
    path = os.path.join(_HERE, f"{name}.txt")
    found = _BY_CHANCE.sub(lambda match: match[1] + "#" * len(match[2]), picture(it))
    if _UPDATE:
        with open(path, "w", encoding="utf-8") as file:
            file.write(found)
    with open(path, encoding="utf-8") as file:
        assert found == file.read()


def picture(it: Driven) -> str:
    """The screen as text."""
    letters: dict[str, str] = {}
    text, styles = [], []
    for strip in it.app.screen._compositor.render_strips():  # noqa: SLF001 -- Textual has no public way
        text.append(strip.text.rstrip())
        styles.append(
            "".join(
                letters.setdefault(_told(segment.style), ascii_letters[len(letters) % len(ascii_letters)])
                * segment.cell_length
                for segment in strip
            )
        )
    legend = [f"{letter} {told}" for told, letter in letters.items()]
    return "\n".join((*text, "", *styles, "", *legend, ""))


def _told(style: Style | None) -> str:
    if style is None:
        return "plain"
    marks = [name for name in ("bold", "dim", "underline", "reverse") if getattr(style, name)]
    ink, ground = (None if colour is None else colour.name for colour in (style.color, style.bgcolor))
    return " ".join((f"{ink or 'default'} on {ground or 'default'}", *marks))
