"""The help: every key, from the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ovlctl.ops.atlas.atlas import Sign
from ovlctl.tui.glyphs import KIND_MARKS
from ovlctl.tui.keys import TABLE, Where
from ovlctl.tui.palette import OF_SIGN, Role
from ovlctl.tui.window import TextWindow

if TYPE_CHECKING:
    from ovlctl.tui.look import Look
    from ovlctl.tui.tree_lines import Line

_SHOWN: Final = 13
_SIGNS: Final = {
    Sign.SAME: "a lower's, as it is (in a layer's own tree: seen as it is)",
    Sign.ADDED: "added: nothing was there below",
    Sign.CHANGED: "changed: it covers something of a layer below",
    Sign.UNCHANGED: "copied up, and equal to what it covers",
    Sign.WHITEOUT: "a whiteout: the name is gone",
    Sign.HIDDEN: "hidden by something above",
    Sign.ODD: "refused by the kernel, or it cannot be known",
}
_FILTERS: Final = (
    ("conf", "paths with these letters"),
    ("size:>1M", "at least, at most: size:<4K"),
    ("kind:dir", "file, dir, symlink, ..."),
    ("sign:+", "one of the signs above"),
    ("layer:upper", "what this layer supplies"),
)


def help_lines() -> list[Line]:
    """All that there is to know."""
    lines: list[Line] = []
    for where in Where:
        keys = [key for key in TABLE if key.where is where]
        lines += [((f" {where}", Role.STRONG),)]
        lines += [((f"   {key.shown:<{_SHOWN}}", Role.CHANGED), (key.says, Role.TEXT)) for key in keys]
        lines.append(())
    lines.append(((" Signs before a name", Role.STRONG),))
    lines += [((f"   {sign.glyph:<{_SHOWN}}", OF_SIGN[sign]), (says, Role.TEXT)) for sign, says in _SIGNS.items()]
    lines += [(), ((" Signs behind a name", Role.STRONG),)]
    lines += [
        ((f"   {mark:<{_SHOWN}}", Role.CHANGED), (f"{kind}", Role.TEXT)) for kind, mark in KIND_MARKS.items() if mark
    ]
    lines += [(), ((" Filters, also several with blanks between", Role.STRONG),)]
    lines += [((f"   {text:<{_SHOWN}}", Role.CHANGED), (says, Role.TEXT)) for text, says in _FILTERS]
    return lines


class HelpWindow(TextWindow):
    """The window with it."""

    def __init__(self, look: Look) -> None:
        super().__init__(look, "Help", help_lines())
