"""The few signs that are no letters, for terminals that can show them and for those that cannot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ovlctl.overlay.tree import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """Signs; every one is a single cell wide.

    Attributes:
        folded: Before a directory that can be unfolded.
        unfolded: Before one that can be folded.
        cut: Where a name was cut.
        chosen: Before the layer whose tree is shown.
        between: Between two parts of a line.
        rule: Between two panes side by side.
        line: Between two lanes, one above the other.
        arrow: Between before and after.
        up: Beside what is on its way up.
    """

    folded: str
    unfolded: str
    cut: str
    chosen: str
    between: str
    rule: str
    line: str
    arrow: str
    up: str


UNICODE: Final = Glyphs(
    folded="\u25b8",
    unfolded="\u25be",
    cut="\u2026",
    chosen="\u25b8",
    between="\u00b7",
    rule="\u2502",
    line="\u2500",
    arrow="\u2192",
    up="\u2191",
)
ASCII: Final = Glyphs(
    folded=">", unfolded="v", cut="~", chosen=">", between="|", rule="|", line="-", arrow="->", up="^"
)

#: What stands behind a name, as ``ls -F`` writes it; a file has nothing.
KIND_MARKS: Final = {
    Kind.FILE: "",
    Kind.DIRECTORY: "/",
    Kind.SYMLINK: "@",
    Kind.FIFO: "|",
    Kind.SOCKET: "=",
    Kind.CHARACTER: "%",
    Kind.BLOCK: "#",
}
