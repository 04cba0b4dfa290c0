"""Actions: asked for by key or from the list, foretold, done, drawn, and seen in the tree afterwards."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input

from ovlctl.ops.trying.values import Action
from ovlctl.tui import move_window
from ovlctl.tui.action_windows import ActionWindow, ErrorWindow, PreviewWindow, TypedWindow
from ovlctl.tui.choice_window import CommandWindow
from ovlctl.tui.glyphs import ASCII
from ovlctl.tui.keys import Where, keys_of
from ovlctl.tui.move_window import MoveWindow
from ovlctl.tui.palette import MONO
from tests import trees
from tests.capabilities import needs_overlay
from tests.tui.doing import LETTERS, chosen, do, go, line, upper, window
from tests.tui.scenes import HOSTILE, article, drive, hostile

if TYPE_CHECKING:
    from tests.tui.scenes import Driven

pytestmark = needs_overlay


def _named(part: str) -> str:
    (name,) = (name for name in HOSTILE if part in name)
    return name


def test_every_letter_is_an_action() -> None:
    """The list has all of them; none is done by one key of the main screen."""
    assert set(LETTERS) == set(Action)
    assert not [key for key in keys_of(Where.ACTING, Where.SCREEN) if key.action.startswith("act(")]
    assert len(set(LETTERS.values())) == len(LETTERS)


def test_each_action(scratch: str) -> None:
    """All eight, one after the other on one scratch upper; the tree shows each, and the layers stay as they are."""
    stack = article(scratch)
    before = sorted(os.walk(f"{scratch}/upper"))

    async def play(it: Driven) -> None:
        await go(it, "usr/share/doc/readme.txt")
        drawn = await do(it, LETTERS["read"])
        assert "as before" in drawn
        await do(it, LETTERS["modify"])
        assert os.listdir(f"{upper(it)}/usr/share/doc") == ["readme.txt"]
        assert line(it, "readme.txt").startswith(" ~ ")
        await do(it, LETTERS["chmod"], "600")
        assert stat.S_IMODE(os.stat(f"{upper(it)}/usr/share/doc/readme.txt").st_mode) == 0o600
        await do(it, LETTERS["create"], "/usr/share/doc/new")
        assert it.session.path == "usr/share/doc/new"
        assert line(it, "new").startswith(" + ")
        await do(it, LETTERS["mkdir"], "/usr/more")
        assert it.session.path == "usr/more"
        await go(it, "usr/share/doc/new")
        await do(it, LETTERS["rename"], "/usr/more/renamed")
        assert it.session.path == "usr/more/renamed"
        assert sorted(os.listdir(f"{upper(it)}/usr/more")) == ["renamed"]
        await do(it, LETTERS["link"], "/usr/more/twice")
        assert os.stat(f"{upper(it)}/usr/more/twice").st_nlink == 2
        await go(it, "var/log/app.log")
        drawn = await do(it, LETTERS["delete"])
        assert "whiteout" in drawn
        assert line(it, "app.log").startswith(" o ")
        assert [deed.wish.action for deed in it.app.main.acting.ground.deeds] == [
            Action.READ, Action.MODIFY, Action.CHMOD, Action.CREATE, Action.MKDIR, Action.RENAME, Action.LINK,
            Action.DELETE,
        ]  # fmt: skip
        assert it.session.labels == ("scratch", "upper", "lower:0", "lower:1")
        assert "SCRATCH" in it.lines()[-2]
        assert "below a scratch upper" in it.lines()[0]
        await it.press("L")
        assert sum(line.startswith(" ") and "/usr/more" in line for line in it.lines()[-10:]) >= 2

    drive(stack, play, size=(160, 50))
    assert sorted(os.walk(f"{scratch}/upper")) == before


def test_the_list_of_actions(scratch: str) -> None:
    """One is chosen by its letter or with the cursor; nothing is done without a yes, and no scratch upper is made."""

    async def play(it: Driven) -> None:
        await it.pilot.press("a")
        await window(it, ActionWindow)
        assert "Act on /etc, on a scratch upper" in it.text()
        await it.pilot.press("escape")
        await it.settle()
        assert not it.app.main.acting.ground.is_made
        await it.pilot.press("a")
        await window(it, ActionWindow)
        await it.pilot.press("down", "down", "enter")
        await window(it, PreviewWindow)
        assert "delete /etc: what the kernel will do" in it.text()
        assert "ENOTEMPTY" in it.text()
        await it.pilot.press("escape")
        await it.settle()
        await it.pilot.press("a")
        await window(it, ActionWindow)
        await it.pilot.press(LETTERS["mkdir"])
        await window(it, TypedWindow)
        await it.pilot.press("escape")
        await it.settle()
        assert it.app.main.acting.ground.deeds == []
        assert it.session.home is None

    drive(article(scratch), play)


def test_undo_and_original(scratch: str) -> None:
    """The stack as it is and as it stands on the scratch upper; then the scratch upper is empty again."""

    async def play(it: Driven) -> None:
        await go(it, "etc/app.conf")
        await it.press("O")
        assert "nothing was done on a scratch upper" in it.session.remark
        await it.press("R")
        assert "nothing was done yet" in it.session.remark
        labels, atlas = it.session.labels, it.session.merged.atlas
        await do(it, LETTERS["delete"])
        assert line(it, "app.conf").startswith(" o ")
        await it.press("O")
        assert it.session.labels == labels
        assert it.session.merged.atlas is atlas
        assert line(it, "app.conf").startswith(" ~ ")
        await it.press("O")
        assert line(it, "app.conf").startswith(" o ")
        await it.press("O")
        await go(it, "etc/new.conf")
        await do(it, LETTERS["modify"])  # goes on from there, not from the stack as it is
        assert line(it, "app.conf").startswith(" o ")
        await it.press("right_square_bracket")
        assert it.session.labels[it.session.layer or 0] == "scratch"
        assert it.shown() == ["etc", "etc/app.conf", "etc/new.conf"]
        await it.press("ctrl+r")
        await it.settle()
        assert it.session.home is None
        assert it.session.labels == labels
        assert line(it, "app.conf").startswith(" ~ ")
        assert os.listdir(upper(it)) == []
        assert "undone: 2 actions" in it.text()

    drive(article(scratch), play)


def test_what_is_typed_is_checked(scratch: str) -> None:
    """Wrong paths and modes are said in one line, and the window stays; escapes stand for bytes."""

    async def play(it: Driven) -> None:
        await chosen(it, LETTERS["create"])
        await window(it, TypedWindow)
        for typed, says in (
            ("", "the last name of the path is missing"),
            ("/etc/", "the last name of the path is missing"),
            ("/etc/../x", "has a component `..`"),
            ("x" * 256, "255 bytes at the most"),
            ("a\\q", "after a backslash"),
            ("a\\x00", "null byte"),
        ):
            it.app.screen.query_one("#typed", Input).value = typed
            await it.pilot.press("enter")
            await it.pilot.pause()
            assert isinstance(it.top(), TypedWindow)
            assert says in it.text(), typed
        await it.pilot.press("escape")
        await it.settle()
        await do(it, LETTERS["create"], "/etc/a\\xff\\\\b")
        assert os.listdir(os.fsencode(f"{upper(it)}/etc")) == [b"a\xff\\b"]
        await chosen(it, LETTERS["chmod"])
        await window(it, TypedWindow)
        await it.pilot.press("9", "enter")
        await it.pilot.pause()
        assert "`9` is no mode" in it.text()

    drive(article(scratch), play)


def test_commands_on_the_scratch_upper(scratch: str) -> None:
    """The last action as a command for the stack itself; the others name the directories of the scratch stack."""

    async def play(it: Driven) -> None:
        await go(it, "etc/app.conf")
        await do(it, LETTERS["chmod"], "600")
        await it.press("y")
        assert isinstance(it.top(), CommandWindow)
        told = it.app.clipboard
        assert told.startswith("ovlctl try chmod etc/app.conf --mode 600 --lower ")
        assert upper(it) not in told
        await it.press("down", "enter")
        assert it.app.clipboard.startswith("ovlctl tree etc --lower ")
        assert f"--upper {upper(it)} " in it.app.clipboard

    drive(article(scratch), play)


def test_a_refusal_is_drawn(scratch: str) -> None:
    """What the kernel refuses is foretold, done all the same when wished, and told."""

    async def play(it: Driven) -> None:
        await go(it, "usr/lib")
        drawn = await do(it, LETTERS["delete"])
        assert "Directory not empty (ENOTEMPTY)" in drawn
        assert "refused" in it.session.remark

    drive(article(scratch), play)


def test_what_cannot_be_prepared_is_said(scratch: str) -> None:
    """In one line, with a code; viewing goes on."""

    async def play(it: Driven) -> None:
        os.rename(f"{scratch}/lower-1", f"{scratch}/away")
        await chosen(it, LETTERS["read"])
        await window(it, ErrorWindow)
        assert "OVL-E" in it.text()
        assert "Traceback" not in it.text()
        await it.pilot.press("escape")
        os.rename(f"{scratch}/away", f"{scratch}/lower-1")
        await it.settle()
        await do(it, LETTERS["read"])

    drive(article(scratch), play)


def test_a_lost_stage_is_said(scratch: str) -> None:
    """When the process with the mount is gone, too."""

    async def play(it: Driven) -> None:
        await go(it, "etc/app.conf")
        await do(it, LETTERS["read"])
        it.app.main.acting.ground._made._process.kill()  # type: ignore[union-attr]  # noqa: SLF001 -- as if somebody else had
        await chosen(it, LETTERS["read"])
        await window(it, PreviewWindow)
        await it.pilot.press("enter")
        await window(it, ErrorWindow)
        assert "has ended" in it.text()
        await it.pilot.press("escape")
        await it.press("R")
        await it.settle()
        await do(it, LETTERS["modify"])
        assert line(it, "app.conf").startswith(" ~ ")

    drive(article(scratch), play)


def test_the_move_plays_and_can_be_stepped_through(scratch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on by itself, pauses, goes forth and back, and ends; what is copied travels from lane to lane."""
    drawn: list[tuple[int, int | None]] = []
    goes_on = True
    draw, tick = MoveWindow._draw, MoveWindow._tick  # noqa: SLF001 -- no picture is missed by looking too late

    def note(move: MoveWindow) -> None:
        drawn.append((move.at, move.gone))
        draw(move)

    def while_time_passes(move: MoveWindow) -> None:
        if goes_on:
            tick(move)

    monkeypatch.setattr(MoveWindow, "_draw", note)
    monkeypatch.setattr(MoveWindow, "_tick", while_time_passes)
    monkeypatch.setattr(move_window, "TICK", 0.01)

    async def play(it: Driven) -> None:
        await go(it, "usr/lib/lib.so")
        await chosen(it, LETTERS["modify"])
        await window(it, PreviewWindow)
        await it.pilot.press("enter")
        await window(it, MoveWindow)
        move = it.top()
        assert isinstance(move, MoveWindow)
        await it.until(lambda: not move.playing)
        nonlocal goes_on
        goes_on = False
        last = move.at
        pictures = [at for at, _ in drawn]
        assert pictures == sorted(pictures)
        assert set(pictures) == set(range(last + 1))
        flights = {at for at, gone in drawn if gone is not None}
        assert flights, "what is copied moves"
        await it.pilot.press("left", "h")
        assert move.at == last - 2
        await it.pilot.press("right")
        assert (move.at, move.playing) == (last - 1, False)
        await it.pilot.press("space")
        assert move.playing
        await it.pilot.press("space")
        assert "paused" in it.text()
        await it.pilot.press("enter")
        assert move.at == last
        await it.pilot.press("space")
        assert (move.at, move.playing) == (0, True)
        await it.pilot.press("escape")
        await it.settle()
        assert it.top() is it.app.main

    drive(article(scratch), play, animated=True)


@pytest.mark.parametrize(
    "name",
    [
        f"{_named('red')}{_named('[bold]')}{_named('right')}",
        f"{_named('[/b]')}{_named('<script>')}",
        f"{_named('two')}{_named('not-utf8')}{_named('de-')}",
        _named("x" * 255),
    ],
    ids=["escape markup bidi", "markup script", "newline bytes wide", "long"],
)
def test_hostile_names(name: str, scratch: str) -> None:
    """Previews, pictures, prompts and the log show names of layers escaped."""
    stack = hostile(scratch)
    trees.make(f"{scratch}/lower-0", {f"bad/{name}": "x\n"})

    async def play(it: Driven) -> None:
        await go(it, f"bad/{name}")
        await it.pilot.press("a")
        await window(it, ActionWindow)
        _harmless(it)
        await it.pilot.press("escape")
        await it.settle()
        for letter in (LETTERS["modify"], LETTERS["delete"]):
            await chosen(it, letter)
            await window(it, PreviewWindow)
            _harmless(it)
            await it.pilot.press("enter")
            await window(it, MoveWindow)
            for _ in range(5):
                await it.pilot.press("left")
                _harmless(it)
            await it.pilot.press("escape")
            await it.settle()
        await chosen(it, LETTERS["rename"])
        await window(it, TypedWindow)
        _harmless(it)
        await it.pilot.press("escape")
        await it.press("L", "y")
        _harmless(it)

    drive(stack, play, size=(80, 24), palette=MONO, glyphs=ASCII)


def _harmless(it: Driven) -> None:
    for each in it.lines():
        assert all(char.isprintable() for char in each), each
        assert "\u202e" not in each


def test_nothing_is_left(scratch: str) -> None:
    """The scratch upper goes with the explorer."""

    async def play(it: Driven) -> None:
        await go(it, "etc/app.conf")
        await do(it, LETTERS["modify"])
        assert len([name for name in os.listdir(scratch) if name.startswith("ovlctl-try-")]) == 1

    drive(article(scratch), play)
    assert sorted(os.listdir(scratch)) == ["lower-0", "lower-1", "upper"]
