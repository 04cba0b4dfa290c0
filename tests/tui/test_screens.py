"""The main screens, cell by cell, in the sizes that count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ovlctl.tui.glyphs import ASCII, UNICODE
from ovlctl.tui.palette import DARK, LIGHT, MONO, SIXTEEN
from tests.capabilities import needs_mounting, needs_root, needs_userxattr
from tests.tui import golden
from tests.tui.scenes import article, drive, hostile

if TYPE_CHECKING:
    from ovlctl.tui.palette import Palette
    from tests.tui.scenes import Driven

# Of files that belong to root.
pytestmark = [needs_mounting, needs_root]

# The story of a file names processes that may not be looked into, which no two machines have alike: the cursor is on a
# whiteout, a directory or a link.
_SCENES = {
    "merged": ("E", "n"),
    "layer": ("right_square_bracket", "right_square_bracket", "E", "end", "left"),
    "filter": ("slash", "l", "i", "b"),
    "sizes": ("S", "slash", "l", "i", "n", "k", "enter"),
    "finder": ("f", "d", "o", "c"),
    "command": ("E", "n", "y", "down"),
    "help": ("question_mark",),
    "log": ("E", "n", "v", "L"),
}
_SIZES = {"80x24": (80, 24), "160x50": (160, 50)}


@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize(
    "scene", [pytest.param(scene, marks=[needs_userxattr] if scene == "command" else []) for scene in _SCENES]
)
def test_a_screen(scene: str, size: str, same_place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every main screen is as it was judged, at 80x24 and at 160x50."""
    monkeypatch.setattr("time.strftime", lambda form, *_: "12:00:00" if form == "%H:%M:%S" else "2023-11-14 22:13:20")

    async def play(it: Driven) -> None:
        await it.press(*_SCENES[scene])
        golden.check(it, f"{scene}-{size}")

    drive(article(same_place), play, size=_SIZES[size])


@pytest.mark.parametrize("palette", [LIGHT, SIXTEEN, MONO], ids=lambda palette: palette.name)
def test_a_look(palette: Palette, same_place: str) -> None:
    """The same with dark letters, in sixteen colours and in none, and there without letters beyond ASCII."""

    async def play(it: Driven) -> None:
        await it.press("E", "n")
        golden.check(it, palette.name)

    drive(article(same_place), play, size=(80, 24), palette=palette, glyphs=ASCII if palette is MONO else UNICODE)


def test_hostile_names(same_place: str) -> None:
    """Names with escapes, markup, overrides, line ends and bytes that are no text are escaped, and on one line each."""

    async def play(it: Driven) -> None:
        await it.press("E", "home")
        golden.check(it, "hostile")

    drive(hostile(same_place), play, size=(80, 30), palette=DARK)
