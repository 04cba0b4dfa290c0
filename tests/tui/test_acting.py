"""Actions: asked for by key or from the list, foretold, done, drawn, and seen in the tree afterwards."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from ovlctl.ops.trying.values import Action
from ovlctl.tui.action_windows import ActionWindow, ErrorWindow, PreviewWindow, TypedWindow
from ovlctl.tui.choice_window import CommandWindow
from ovlctl.tui.glyphs import ASCII
from ovlctl.tui.keys import Where, keys_of
from ovlctl.tui.move_window import MoveWindow
from ovlctl.tui.palette import MONO
from tests.capabilities import needs_overlay
from tests.tui.scenes import HOSTILE, article, drive, hostile

if TYPE_CHECKING:
    from tests.tui.scenes import Driven

pytestmark = needs_overlay

_LETTERS = {
    key.action[5:-2]: key.keys for key in keys_of(Where.ACTIONS) if key.action.startswith("act(")
}


async def _window(it: Driven, kind: type[object]) -> None:
    """Wait until a window of a kind is over everything."""
    for _ in range(600):
        if isinstance(it.top(), kind):
            await it.pilot.pause()
            return
        await it.pilot.pause(0.02)
    raise AssertionError(it.text())


async def _do(it: Driven, letter: str, typed: str | None = None) -> str:
    """One action to its end; what its last picture says."""
    await it.pilot.press(letter)
    if typed is not None:
        await _window(it, TypedWindow)
        await it.pilot.pause()
        line = it.app.screen.query_one("#typed")
        line.value = typed  # type: ignore[attr-defined]  # an Input
        await it.pilot.press("enter")
    await _window(it, PreviewWindow)
    await it.pilot.press("enter")
    await _window(it, MoveWindow)
    await it.pilot.pause(0.1)
    drawn = it.text()
    await it.pilot.press("enter")
    await it.settle()
    return drawn


async def _go(it: Driven, path: str) -> None:
    row = it.session.page.atlas.find(path)
    assert row is not None, path
    it.session.page.reveal(row)
    it.app.main.tree_view.jumped()
    await it.settle()


def _upper(it: Driven) -> str:
    return it.app.main.acting.ground.layers[0].directory


def _line(it: Driven, name: str) -> str:
    return next(line for line in it.lines()[5:] if f" {name}" in line)


def test_every_letter_is_an_action() -> None:
    """The list has all of them, with the letters of the keys that do them at once."""
    assert set(_LETTERS) == set(Action)
    at_once = {key.action[5:-2]: key.keys for key in keys_of(Where.ACTING) if key.action.startswith("act(")}
    assert at_once == _LETTERS


def test_each_action(scratch: str) -> None:
    """All eight, one after the other on one scratch upper; the tree shows it at once, and the layers stay as they are."""
    stack = article(scratch)
    before = sorted(os.walk(f"{scratch}/upper"))

    async def play(it: Driven) -> None:
        await _go(it, "usr/share/doc/readme.txt")
        drawn = await _do(it, _LETTERS["read"])
        assert "as before" in drawn
        await _do(it, _LETTERS["modify"])
        assert os.path.exists(f"{_upper(it)}/usr/share/doc/readme.txt")
        assert _line(it, "readme.txt").startswith(" ~ ")
        await _do(it, _LETTERS["chmod"], "600")
        assert stat.S_IMODE(os.stat(f"{_upper(it)}/usr/share/doc/readme.txt").st_mode) == 0o600
        await _do(it, _LETTERS["create"], "/usr/share/doc/new")
        assert it.session.path == "usr/share/doc/new"
        assert _line(it, "new").startswith(" + ")
        await _do(it, _LETTERS["mkdir"], "/usr/more")
        assert it.session.path == "usr/more"
        await _go(it, "usr/share/doc/new")
        await _do(it, _LETTERS["rename"], "/usr/more/renamed")
        assert it.session.path == "usr/more/renamed"
        assert sorted(os.listdir(f"{_upper(it)}/usr/more")) == ["renamed"]
        await _do(it, _LETTERS["link"], "/usr/more/twice")
        assert os.stat(f"{_upper(it)}/usr/more/twice").st_nlink == 2
        await _go(it, "var/log/app.log")
        drawn = await _do(it, _LETTERS["delete"])
        assert "whiteout" in drawn
        assert _line(it, "app.log").startswith(" o ")
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
        await _window(it, ActionWindow)
        assert "Act on /etc, on a scratch upper" in it.text()
        await it.pilot.press("escape")
        await it.settle()
        assert not it.app.main.acting.ground.is_made
        await it.pilot.press("a")
        await _window(it, ActionWindow)
        await it.pilot.press("down", "down", "enter")
        await _window(it, PreviewWindow)
        assert "delete /etc: what the kernel will do" in it.text()
        assert "ENOTEMPTY" in it.text()
        await it.pilot.press("escape")
        await it.settle()
        await it.pilot.press("a")
        await _window(it, ActionWindow)
        await it.pilot.press(_LETTERS["mkdir"])
        await _window(it, TypedWindow)
        await it.pilot.press("escape")
        await it.settle()
        assert it.app.main.acting.ground.deeds == []
        assert it.session.home is None

    drive(article(scratch), play)


def test_undo_and_original(scratch: str) -> None:
    """The stack as it is and as it stands on the scratch upper; then the scratch upper is empty again."""

    async def play(it: Driven) -> None:
        await _go(it, "etc/app.conf")
        await it.press("O")
        assert "nothing was done on a scratch upper" in it.session.remark
        await it.press("R")
        assert "nothing was done yet" in it.session.remark
        labels, atlas = it.session.labels, it.session.merged.atlas
        await _do(it, _LETTERS["delete"])
        assert _line(it, "app.conf").startswith(" o ")
        await it.press("O")
        assert it.session.labels == labels
        assert it.session.merged.atlas is atlas
        assert _line(it, "app.conf").startswith(" ~ ")
        await it.press("O")
        assert _line(it, "app.conf").startswith(" o ")
        await it.press("O")
        await _go(it, "etc/new.conf")
        await _do(it, _LETTERS["modify"])  # goes on from there, not from the stack as it is
        assert _line(it, "app.conf").startswith(" o ")
        await it.press("right_square_bracket")
        assert it.session.labels[it.session.layer or 0] == "scratch"
        assert it.shown() == ["etc", "etc/app.conf", "etc/new.conf"]
        await it.press("ctrl+r")
        await it.settle()
        assert it.session.home is None
        assert it.session.labels == labels
        assert _line(it, "app.conf").startswith(" ~ ")
        assert os.listdir(_upper(it)) == []
        assert "undone: 2 actions" in it.text()

    drive(article(scratch), play)


def test_what_is_typed_is_checked(scratch: str) -> None:
    """Wrong paths and modes are said in one line, and the window stays; escapes stand for bytes."""

    async def play(it: Driven) -> None:
        await it.pilot.press(_LETTERS["create"])
        await _window(it, TypedWindow)
        for typed, says in (
            ("", "the last name of the path is missing"),
            ("/etc/", "the last name of the path is missing"),
            ("/etc/../x", "has a component `..`"),
            ("x" * 256, "255 bytes at the most"),
            ("a\\q", "after a backslash"),
            ("a\\x00", "null byte"),
        ):
            it.app.screen.query_one("#typed").value = typed  # type: ignore[attr-defined]  # an Input
            await it.pilot.press("enter")
            await it.pilot.pause()
            assert isinstance(it.top(), TypedWindow)
            assert says in it.text(), typed
        await it.pilot.press("escape")
        await it.settle()
        await _do(it, _LETTERS["create"], "/etc/a\\xff\\\\b")
        assert os.listdir(os.fsencode(f"{_upper(it)}/etc")) == [b"a\xff\\b"]
        await it.pilot.press(_LETTERS["chmod"])
        await _window(it, TypedWindow)
        await it.pilot.press("9", "enter")
        await it.pilot.pause()
        assert "`9` is no mode" in it.text()

    drive(article(scratch), play)


def test_commands_on_the_scratch_upper(scratch: str) -> None:
    """The last action as a command for the stack itself; the others name the directories of the scratch stack."""

    async def play(it: Driven) -> None:
        await _go(it, "etc/app.conf")
        await _do(it, _LETTERS["chmod"], "600")
        await it.press("y")
        assert isinstance(it.top(), CommandWindow)
        told = it.app.clipboard
        assert told.startswith("ovlctl try chmod etc/app.conf --mode 600 --lower ")
        assert _upper(it) not in told
        await it.press("down", "enter")
        assert it.app.clipboard.startswith("ovlctl tree etc --lower ")
        assert f"--upper {_upper(it)} " in it.app.clipboard

    drive(article(scratch), play)


def test_a_refusal_is_drawn(scratch: str) -> None:
    """What the kernel refuses is foretold, done all the same when wished, and told."""

    async def play(it: Driven) -> None:
        await _go(it, "usr/lib")
        drawn = await _do(it, _LETTERS["delete"])
        assert "Directory not empty (ENOTEMPTY)" in drawn
        assert "refused" in it.session.remark

    drive(article(scratch), play)


def test_what_cannot_be_prepared_is_said(scratch: str) -> None:
    """In one line, with a code; viewing goes on."""

    async def play(it: Driven) -> None:
        os.rename(f"{scratch}/lower-1", f"{scratch}/away")
        await it.pilot.press(_LETTERS["read"])
        await _window(it, ErrorWindow)
        assert "OVL-E" in it.text()
        assert "Traceback" not in it.text()
        await it.pilot.press("escape")
        os.rename(f"{scratch}/away", f"{scratch}/lower-1")
        await it.settle()
        await _do(it, _LETTERS["read"])

    drive(article(scratch), play)


def test_a_lost_stage_is_said(scratch: str) -> None:
    """When the process with the mount is gone, too."""

    async def play(it: Driven) -> None:
        await _go(it, "etc/app.conf")
        await _do(it, _LETTERS["read"])
        it.app.main.acting.ground._made._process.kill()  # type: ignore[union-attr]  # noqa: SLF001 -- as if somebody else had
        await it.pilot.press(_LETTERS["read"])
        await _window(it, PreviewWindow)
        await it.pilot.press("enter")
        await _window(it, ErrorWindow)
        assert "has ended" in it.text()
        await it.pilot.press("escape")
        await it.press("R")
        await it.settle()
        await _do(it, _LETTERS["modify"])
        assert _line(it, "app.conf").startswith(" ~ ")

    drive(article(scratch), play)


def test_the_move_plays_and_can_be_stepped_through(scratch: str) -> None:
    """It goes on by itself, pauses, goes forth and back, and ends; what is copied travels from lane to lane."""

    async def play(it: Driven) -> None:
        await _go(it, "usr/lib/lib.so")
        await it.pilot.press(_LETTERS["modify"])
        await _window(it, PreviewWindow)
        await it.pilot.press("enter")
        await _window(it, MoveWindow)
        window = it.top()
        assert isinstance(window, MoveWindow)
        seen = set()
        for _ in range(900):
            seen.add((window.at, window.gone))
            if not window.playing:
                break
            await it.pilot.pause(0.02)
        last = window.at
        assert {at for at, _ in seen} == set(range(last + 1))
        flights = {at for at, gone in seen if gone is not None}
        assert flights, "what is copied moves"
        await it.pilot.press("left", "h")
        assert window.at == last - 2
        await it.pilot.press("right")
        assert (window.at, window.playing) == (last - 1, False)
        await it.pilot.press("space")
        assert window.playing
        await it.pilot.press("space")
        assert "paused" in it.text()
        await it.pilot.press("enter")
        assert window.at == last
        await it.pilot.press("space")
        assert (window.at, window.playing) == (0, True)
        await it.pilot.press("escape")
        await it.settle()
        assert it.top() is it.app.main

    drive(article(scratch), play, animated=True)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(name: str, scratch: str) -> None:
    """Previews, pictures, prompts and the log show names of layers escaped."""

    async def play(it: Driven) -> None:
        await _go(it, f"bad/{name}")
        await it.pilot.press("a")
        await _window(it, ActionWindow)
        _harmless(it)
        await it.pilot.press("escape")
        await it.settle()
        for letter in (_LETTERS["modify"], _LETTERS["delete"]):
            await it.pilot.press(letter)
            await _window(it, PreviewWindow)
            _harmless(it)
            await it.pilot.press("enter")
            await _window(it, MoveWindow)
            for _ in range(5):
                await it.pilot.press("left")
                _harmless(it)
            await it.pilot.press("escape")
            await it.settle()
        await it.pilot.press(_LETTERS["rename"])
        await _window(it, TypedWindow)
        _harmless(it)
        await it.pilot.press("escape")
        await it.press("L", "y")
        _harmless(it)

    drive(hostile(scratch), play, size=(80, 24), palette=MONO, glyphs=ASCII)


def _harmless(it: Driven) -> None:
    for line in it.lines():
        assert all(char.isprintable() for char in line), line
        assert "\u202e" not in line


def test_nothing_is_left(scratch: str) -> None:
    """The scratch upper goes with the explorer."""

    async def play(it: Driven) -> None:
        await _go(it, "etc/app.conf")
        await _do(it, _LETTERS["modify"])
        assert len([name for name in os.listdir(scratch) if name.startswith("ovlctl-try-")]) == 1

    drive(article(scratch), play)
    assert sorted(os.listdir(scratch)) == ["lower-0", "lower-1", "upper"]
