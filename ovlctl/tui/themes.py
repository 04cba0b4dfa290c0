"""The looks of :mod:`ovlctl.tui.palette`, for what Textual itself draws: borders, scrollbars, lines to type in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual.theme import BUILTIN_THEMES, Theme

from ovlctl.tui.palette import DARK, LIGHT, MONO, SIXTEEN, Ground, Role

if TYPE_CHECKING:
    from ovlctl.tui.palette import Palette


def _full(palette: Palette) -> Theme:
    def ink(role: Role) -> str:
        return _hex(palette.style(role).color)

    def ground(role: Role) -> str:
        return _hex(palette.style(role).bgcolor)

    background, panel, here = ground(Role.TEXT), ground(Role.BAR), ground(Role.CAPTION_HERE)
    cursor = palette.style(Role.TEXT, Ground.CURSOR)
    return Theme(
        name=palette.name,
        dark=palette.dark,
        primary=here,
        background=background,
        foreground=ink(Role.TEXT),
        surface=background,
        panel=panel,
        variables={
            "scrollbar": ink(Role.DIM),
            "scrollbar-hover": ink(Role.TEXT),
            "scrollbar-active": ink(Role.TEXT),
            "scrollbar-background": panel,
            "scrollbar-background-hover": panel,
            "scrollbar-background-active": panel,
            "scrollbar-corner-color": panel,
            "input-cursor-background": ink(Role.TEXT),
            "input-cursor-foreground": background,
            "input-selection-background": _hex(cursor.bgcolor),
        },
    )


def _hex(colour: object) -> str:
    triplet = getattr(colour, "triplet", None)
    return "ansi_default" if triplet is None else triplet.hex


def _of_terminal(palette: Palette, primary: str) -> Theme:
    return Theme(
        name=palette.name,
        ansi=True,
        primary=primary,
        background="ansi_default",
        foreground="ansi_default",
        surface="ansi_default",
        panel="ansi_default",
        variables={
            **BUILTIN_THEMES["ansi-dark"].variables,
            "scrollbar": primary,
            "scrollbar-background": "ansi_default",
            "input-cursor-text-style": "reverse",
            "input-cursor-background": "ansi_default",
            "input-cursor-foreground": "ansi_default",
        },
    )


THEMES: Final = (_full(DARK), _full(LIGHT), _of_terminal(SIXTEEN, "ansi_blue"), _of_terminal(MONO, "ansi_default"))
