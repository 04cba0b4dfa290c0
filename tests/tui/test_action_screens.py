"""The windows of actions, cell by cell: figures that no two runs have alike are replaced by others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ovlctl.tui.ground import Ground
from ovlctl.tui.move_window import MoveWindow
from tests.capabilities import needs_overlay, needs_root
from tests.tui import golden
from tests.tui.scenes import article, drive
from tests.tui.test_acting import LETTERS, go, window
from ovlctl.tui.action_windows import ActionWindow, PreviewWindow
from ovlctl.ops.trying.values import Action
from ovlctl.tui.glyphs import ASCII, UNICODE
from ovlctl.tui.palette import DARK, LIGHT, MONO, SIXTEEN

if TYPE_CHECKING:
    from ovlctl.ops.trying.values import Deed, Moment, Sight, Wish
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


async def _play(it: Driven, name: str, look: str) -> None:
    await go(it, "usr/lib/lib.so")
    await it.press("z")  # the story of a file names processes
    await it.pilot.press("a")
    await window(it, ActionWindow)
    golden.check(it, f"actions-{look}") if name == "all" else None
    await it.pilot.press(LETTERS[Action.MODIFY])
    await window(it, PreviewWindow)
    golden.check(it, f"preview-{look}")
    await it.pilot.press("enter")
    await window(it, MoveWindow)
    await it.settle()
    golden.check(it, f"move-{look}")
