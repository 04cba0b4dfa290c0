"""The windows of actions, cell by cell: figures that no two runs have alike are replaced by others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ovlctl.ops.trying.values import Action
from ovlctl.tui.action_windows import ActionWindow, PreviewWindow, TypedWindow
from ovlctl.tui.glyphs import ASCII, UNICODE
from ovlctl.tui.ground import Ground
from ovlctl.tui.move_window import MoveWindow
from ovlctl.tui.palette import LIGHT, MONO, SIXTEEN
from tests.capabilities import needs_overlay, needs_root
from tests.tui import golden
from tests.tui.doing import LETTERS, chosen, go, window
from tests.tui.scenes import article, drive

if TYPE_CHECKING:
    from ovlctl.ops.trying.values import Deed, Moment, Sight
    from ovlctl.tui.palette import Palette
    from tests.tui.scenes import Driven

pytestmark = [needs_overlay, needs_root]

_SIZES = {"80x24": (80, 24), "160x50": (160, 50)}


@pytest.fixture(autouse=True)
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times, inode and device numbers that are the same in every run."""
    do = Ground.do
    monkeypatch.setattr(Ground, "do", lambda self, wish: _steady(do(self, wish)))
    monkeypatch.setattr("time.strftime", lambda form, *_: "12:00:00" if form == "%H:%M:%S" else "2023-11-14 22:13:20")


def _steady(deed: Deed) -> Deed:
    numbers: dict[tuple[int, int], int] = {}

    def sight(seen: Sight | None) -> Sight | None:
        if seen is None:
            return None
        return replace(seen, ino=numbers.setdefault((seen.dev, seen.ino), 1000 + len(numbers)), dev=64)

    def moment(seen: Moment) -> Moment:
        layers = tuple(replace(each, sight=sight(each.sight)) for each in seen.layers)
        return replace(seen, merged=sight(seen.merged), layers=layers)

    return replace(
        deed,
        calls=tuple(replace(call, ns=4_000 * at) for at, call in enumerate(deed.calls, 1)),
        before=tuple(map(moment, deed.before)),
        after=tuple(map(moment, deed.after)),
    )


async def _modify(it: Driven, look: str) -> None:
    await go(it, "usr/lib/lib.so")
    await it.press("z")  # the story of a file names processes
    await chosen(it, LETTERS[Action.MODIFY])
    await window(it, PreviewWindow)
    await _settled(it)
    golden.check(it, f"preview-{look}")
    await it.pilot.press("enter")
    await window(it, MoveWindow)
    await _settled(it)
    golden.check(it, f"move-{look}")


async def _settled(it: Driven) -> None:
    # What is waited for here waits for a key itself.
    while it.session.read is not None:
        await it.pilot.pause(0.01)
    await it.drawn()


@pytest.mark.parametrize("size", _SIZES)
def test_windows_of_an_action(size: str, same_place: str) -> None:
    """The list, a prompt, a preview, the last picture, the tree afterwards, and the log."""

    async def play(it: Driven) -> None:
        await it.press("z")
        await it.pilot.press("a")
        await window(it, ActionWindow)
        await _settled(it)
        golden.check(it, f"actions-{size}")
        await chosen(it, LETTERS[Action.CREATE])
        await window(it, TypedWindow)
        await it.pilot.press("slash", "enter")
        await _settled(it)
        golden.check(it, f"prompt-{size}")
        await it.pilot.press("escape")
        await it.settle()
        await it.press("z")
        await _modify(it, size)
        await it.pilot.press("enter")
        await it.settle()
        golden.check(it, f"afterwards-{size}")
        await it.press("z", "C", "home", "L")
        golden.check(it, f"deeds-{size}")

    drive(article(same_place), play, size=_SIZES[size])


@pytest.mark.parametrize("palette", [LIGHT, SIXTEEN, MONO], ids=lambda palette: palette.name)
def test_a_look(palette: Palette, same_place: str) -> None:
    """The same with dark letters, in sixteen colours and in none, and there without letters beyond ASCII."""

    async def play(it: Driven) -> None:
        await _modify(it, palette.name)

    drive(article(same_place), play, size=(80, 24), palette=palette, glyphs=ASCII if palette is MONO else UNICODE)
