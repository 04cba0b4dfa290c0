"""Colours can be read, and say nothing that a sign does not say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ovlctl.ops.atlas.atlas import Sign
from ovlctl.tui.palette import DARK, LIGHT, MONO, OF_SIGN, SIXTEEN, Ground, Role

if TYPE_CHECKING:
    from rich.color import Color
    from rich.style import Style

    from ovlctl.tui.palette import Palette

LEAST = 4.5


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=lambda palette: palette.name)
@pytest.mark.parametrize("ground", Ground, ids=lambda ground: ground.name)
def test_contrast(palette: Palette, ground: Ground) -> None:
    """Every role on every ground has the contrast that WCAG 2 asks for (level AA, 4.5:1)."""
    for role in Role:
        style = palette.style(role, ground)
        assert _contrast(style) >= LEAST, (role, ground, round(_contrast(style), 2))


@pytest.mark.parametrize("palette", [DARK, LIGHT, SIXTEEN, MONO], ids=lambda palette: palette.name)
def test_every_role_and_ground_has_a_look(palette: Palette) -> None:
    """Nothing is left to chance; the cursor always stands out, by more than colour where there is none."""
    for role in Role:
        for ground in Ground:
            assert palette.style(role, ground) is palette.style(role, ground)
    plain, cursor = palette.style(Role.TEXT), palette.style(Role.TEXT, Ground.CURSOR)
    assert plain != cursor
    if palette is MONO:
        assert cursor.reverse
        assert all(palette.style(role).color is None or palette.style(role).color.is_default for role in Role)  # type: ignore[union-attr]  # None was excluded


def test_signs_differ_without_colour() -> None:
    """Each sign has a letter of its own, and a role."""
    assert len({sign.glyph for sign in Sign}) == len(Sign)
    assert set(OF_SIGN) == set(Sign)


def _contrast(style: Style) -> float:
    assert style.color is not None
    assert style.bgcolor is not None
    light, dark = sorted((_luminance(style.color), _luminance(style.bgcolor)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Color) -> float:
    # WCAG 2.2, relative luminance.
    def linear(part: int) -> float:
        value = part / 255
        return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)

    red, green, blue = colour.get_truecolor()
    return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
