"""What means what in which colour: the same roles in four looks.

Colour is never the only carrier: a sign or a word always says the same. The colours of the two full looks have a
contrast of at least 4.5:1 with every ground that they stand on, which a test works out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from rich.style import Style

from ovlctl.ops.atlas.atlas import Sign

if TYPE_CHECKING:
    from collections.abc import Mapping


class Role(Enum):
    """What a piece of text is."""

    TEXT = auto()
    STRONG = auto()
    DIM = auto()
    ADDED = auto()
    CHANGED = auto()
    UNCHANGED = auto()
    WHITEOUT = auto()
    HIDDEN = auto()
    ODD = auto()
    LAYER_A = auto()
    LAYER_B = auto()
    LAYER_C = auto()
    LAYER_D = auto()
    CAPTION = auto()
    CAPTION_HERE = auto()
    BAR = auto()
    BAR_DIM = auto()
    BAR_KEY = auto()
    BAR_TROUBLE = auto()
    LIVE = auto()


class Ground(Enum):
    """What a line of a pane lies on."""

    PLAIN = auto()
    CURSOR = auto()
    CURSOR_ELSEWHERE = auto()


#: Roles that bring their own ground.
ON_BAR: Final = frozenset(
    {Role.CAPTION, Role.CAPTION_HERE, Role.BAR, Role.BAR_DIM, Role.BAR_KEY, Role.BAR_TROUBLE, Role.LIVE}
)
OF_SIGN: Final = {
    Sign.SAME: Role.TEXT,
    Sign.ADDED: Role.ADDED,
    Sign.CHANGED: Role.CHANGED,
    Sign.UNCHANGED: Role.UNCHANGED,
    Sign.WHITEOUT: Role.WHITEOUT,
    Sign.HIDDEN: Role.HIDDEN,
    Sign.ODD: Role.ODD,
}
_LOWERS: Final = (Role.LAYER_B, Role.LAYER_C, Role.LAYER_D)


def of_layer(number: int, *, has_upper: bool) -> Role:
    """The colour of a layer: the upper has its own, lowers take turns."""
    if number < 0:
        return Role.DIM
    if has_upper and number == 0:
        return Role.LAYER_A
    return _LOWERS[(number - has_upper) % len(_LOWERS)]


@dataclass(frozen=True, kw_only=True, eq=False)
class Palette:
    """One look.

    Attributes:
        name: Of the Textual theme that goes with it.
        dark: Whether its ground is.
        plain: Of what stands on no other ground.
        roles: What each role adds to its ground.
        grounds: What a line lies on.
    """

    name: str
    dark: bool
    roles: Mapping[Role, Style]
    grounds: Mapping[Ground, Style]
    _known: dict[tuple[Role, Ground], Style] = field(default_factory=dict, repr=False)

    def style(self, role: Role, ground: Ground = Ground.PLAIN) -> Style:
        """How a piece of text looks there."""
        known = self._known.get((role, ground))
        if known is None:
            own = self.roles[role]
            known = (
                own
                if role in ON_BAR
                else self.grounds[ground] + own
                if ground is Ground.PLAIN
                else (own + self.grounds[ground])
            )
            self._known[role, ground] = known
        return known


def _full(name: str, *, dark: bool, colours: Mapping[str, str]) -> Palette:
    ink, ground, bar = colours["ink"], colours["ground"], colours["bar"]

    def on(colour: str, below: str | None = None, *, bold: bool | None = None) -> Style:
        return Style(color=colour, bgcolor=below, bold=bold)

    return Palette(
        name=name,
        dark=dark,
        roles={
            Role.TEXT: on(ink),
            Role.STRONG: on(colours["strong"], bold=True),
            Role.DIM: on(colours["dim"]),
            Role.ADDED: on(colours["added"]),
            Role.CHANGED: on(colours["changed"]),
            Role.UNCHANGED: on(colours["unchanged"]),
            Role.WHITEOUT: on(colours["whiteout"]),
            Role.HIDDEN: on(colours["dim"]),
            Role.ODD: on(colours["odd"], bold=True),
            Role.LAYER_A: on(colours["a"]),
            Role.LAYER_B: on(colours["b"]),
            Role.LAYER_C: on(colours["c"]),
            Role.LAYER_D: on(colours["d"]),
            Role.CAPTION: on(colours["bar_ink"], bar),
            Role.CAPTION_HERE: on(colours["here_ink"], colours["here"], bold=True),
            Role.BAR: on(colours["bar_ink"], bar),
            Role.BAR_DIM: on(colours["bar_dim"], bar),
            Role.BAR_KEY: on(colours["bar_key"], bar, bold=True),
            Role.BAR_TROUBLE: on(colours["bar_odd"], bar, bold=True),
            Role.LIVE: on(colours["live_ink"], colours["live"], bold=True),
        },
        grounds={
            Ground.PLAIN: on(ink, ground),
            Ground.CURSOR: on(colours["cursor_ink"], colours["cursor"]),
            Ground.CURSOR_ELSEWHERE: Style(bgcolor=colours["elsewhere"]),
        },
    )


DARK: Final = _full(
    "ovlctl-dark",
    dark=True,
    colours={
        "ink": "#d3d9e0",
        "strong": "#f2f5f8",
        "dim": "#93a0ae",
        "ground": "#11151a",
        "added": "#7fd18b",
        "changed": "#e3c553",
        "unchanged": "#6fc3d9",
        "whiteout": "#d39bd6",
        "odd": "#ff8478",
        "a": "#ffa36b",
        "b": "#8fb8f0",
        "c": "#a9c98a",
        "d": "#c9b0e8",
        "bar": "#222a33",
        "bar_ink": "#c8d0d9",
        "bar_dim": "#9aa7b5",
        "bar_key": "#e8b85c",
        "bar_odd": "#ff8f84",
        "here": "#2f5f96",
        "here_ink": "#ffffff",
        "cursor": "#27466a",
        "cursor_ink": "#ffffff",
        "elsewhere": "#1e2833",
        "live": "#b3261e",
        "live_ink": "#ffffff",
    },
)
LIGHT: Final = _full(
    "ovlctl-light",
    dark=False,
    colours={
        "ink": "#24292f",
        "strong": "#0b0e11",
        "dim": "#5b6570",
        "ground": "#fcfbf8",
        "added": "#17692a",
        "changed": "#775a00",
        "unchanged": "#0b6478",
        "whiteout": "#8a2f90",
        "odd": "#b3261e",
        "a": "#a8430f",
        "b": "#1f5aa8",
        "c": "#4a6420",
        "d": "#6a3fa0",
        "bar": "#e4e1d9",
        "bar_ink": "#31373d",
        "bar_dim": "#4f5860",
        "bar_key": "#7a4700",
        "bar_odd": "#a3211a",
        "here": "#2a5d96",
        "here_ink": "#ffffff",
        "cursor": "#c5dbf5",
        "cursor_ink": "#0b0e11",
        "elsewhere": "#eceae3",
        "live": "#b3261e",
        "live_ink": "#ffffff",
    },
)
#: The terminal's own sixteen colours, on its own ground.
SIXTEEN: Final = Palette(
    name="ovlctl-16",
    dark=True,
    roles={
        Role.TEXT: Style(),
        Role.STRONG: Style(bold=True),
        Role.DIM: Style(dim=True),
        Role.ADDED: Style(color="green"),
        Role.CHANGED: Style(color="yellow"),
        Role.UNCHANGED: Style(color="cyan"),
        Role.WHITEOUT: Style(color="magenta"),
        Role.HIDDEN: Style(dim=True),
        Role.ODD: Style(color="red", bold=True),
        Role.LAYER_A: Style(color="yellow", bold=True),
        Role.LAYER_B: Style(color="cyan"),
        Role.LAYER_C: Style(color="green"),
        Role.LAYER_D: Style(color="magenta"),
        Role.CAPTION: Style(color="black", bgcolor="white"),
        Role.CAPTION_HERE: Style(color="bright_white", bgcolor="blue", bold=True),
        Role.BAR: Style(color="black", bgcolor="white"),
        Role.BAR_DIM: Style(color="black", bgcolor="white"),
        Role.BAR_KEY: Style(color="black", bgcolor="white", bold=True),
        Role.BAR_TROUBLE: Style(color="red", bgcolor="white", bold=True),
        Role.LIVE: Style(color="bright_white", bgcolor="red", bold=True),
    },
    grounds={
        Ground.PLAIN: Style(color="default", bgcolor="default"),
        Ground.CURSOR: Style(color="bright_white", bgcolor="blue", dim=False),
        Ground.CURSOR_ELSEWHERE: Style(underline=True),
    },
)
#: No colour at all.
MONO: Final = Palette(
    name="ovlctl-mono",
    dark=True,
    roles={
        **dict.fromkeys(Role, Style()),
        Role.STRONG: Style(bold=True),
        Role.DIM: Style(dim=True),
        Role.HIDDEN: Style(dim=True),
        Role.ODD: Style(bold=True),
        Role.CAPTION: Style(color="default", bgcolor="default", underline=True),
        Role.CAPTION_HERE: Style(color="default", bgcolor="default", reverse=True, bold=True),
        Role.BAR: Style(color="default", bgcolor="default"),
        Role.BAR_DIM: Style(color="default", bgcolor="default"),
        Role.BAR_KEY: Style(color="default", bgcolor="default", bold=True),
        Role.BAR_TROUBLE: Style(color="default", bgcolor="default", bold=True, reverse=True),
        Role.LIVE: Style(color="default", bgcolor="default", bold=True, reverse=True),
    },
    grounds={
        Ground.PLAIN: Style(color="default", bgcolor="default"),
        Ground.CURSOR: Style(color="default", bgcolor="default", reverse=True, dim=False),
        Ground.CURSOR_ELSEWHERE: Style(color="default", bgcolor="default", underline=True),
    },
)
