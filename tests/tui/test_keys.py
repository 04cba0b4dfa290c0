"""Every key of the table does what the help says."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ovlctl.tui.action_windows import ActionWindow, ConfirmWindow, PreviewWindow
from ovlctl.tui.app import Explorer
from ovlctl.tui.choice_window import CommandWindow, Finder
from ovlctl.tui.file_window import FileWindow
from ovlctl.tui.filter_line import FilterLine
from ovlctl.tui.help_window import HelpWindow, help_lines
from ovlctl.tui.keys import TABLE, Where
from ovlctl.tui.layers_view import LayersView
from ovlctl.tui.lines_view import LinesView
from ovlctl.tui.main_screen import MainScreen
from ovlctl.tui.move_window import MoveWindow
from ovlctl.tui.place_window import PlaceWindow
from ovlctl.tui.tree_view import TreeView
from ovlctl.tui.window import Window
from tests import trees
from tests.tui.scenes import article, drive

if TYPE_CHECKING:
    from textual.dom import DOMNode

    from tests.tui.scenes import Driven

HOLDERS: dict[Where, type[DOMNode]] = {
    Where.PANE: LinesView,
    Where.TREE: TreeView,
    Where.LAYERS: LayersView,
    Where.SCREEN: MainScreen,
    Where.ACTING: MainScreen,
    Where.ALWAYS: Explorer,
    Where.FILTER: FilterLine,
    Where.WINDOW: Window,
    Where.FILE: FileWindow,
    Where.FINDER: Finder,
    Where.COMMANDS: CommandWindow,
    Where.ACTIONS: ActionWindow,
    Where.PREVIEW: PreviewWindow,
    Where.CONFIRM: ConfirmWindow,
    Where.MOVE: MoveWindow,
}


@pytest.mark.parametrize("where", Where, ids=lambda where: where.name)
def test_the_table_is_what_is_bound(where: Where) -> None:
    """What a widget binds itself are the keys of the table, and each action is a method of it."""
    holder = HOLDERS[where]
    bound = {(binding.key, binding.action) for binding in vars(holder)["BINDINGS"]}
    theirs = {each for each, other in HOLDERS.items() if other is holder}
    assert bound == {(key.keys, key.action) for key in TABLE if key.where in theirs}
    for key in TABLE:
        if key.where is where:
            assert hasattr(holder, "action_" + key.action.partition("(")[0])


def test_no_key_means_two_things_in_one_place() -> None:
    """Where several tables count at once, no key is in two of them."""
    for places in (
        (Where.PANE, Where.TREE, Where.SCREEN, Where.ACTING, Where.ALWAYS),
        (Where.PANE, Where.LAYERS, Where.SCREEN, Where.ACTING, Where.ALWAYS),
        (Where.ACTIONS, Where.WINDOW, Where.ALWAYS),
        (Where.PANE, Where.PREVIEW, Where.WINDOW, Where.ALWAYS),
        (Where.PANE, Where.CONFIRM, Where.WINDOW, Where.ALWAYS),
        (Where.PANE, Where.MOVE, Where.WINDOW, Where.ALWAYS),
        (Where.FINDER, Where.ALWAYS),
        (Where.PANE, Where.FILE, Where.WINDOW, Where.ALWAYS),
        (Where.PANE, Where.COMMANDS, Where.WINDOW, Where.ALWAYS),
    ):
        names = [name for key in TABLE if key.where in places for name in key.keys.split(",")]
        assert len(names) == len(set(names)), places


def test_the_help_names_every_key() -> None:
    """The help is made from the table."""
    told = ["".join(text for text, _ in line) for line in help_lines()]
    for key in TABLE:
        assert any(key.shown in line and key.says in line for line in told)


def test_moving(scratch: str) -> None:
    """Arrows, letters, pages and ends move the cursor by lines."""

    async def play(it: Driven) -> None:
        page = it.session.page
        assert it.shown() == ["etc", "usr", "var"]
        for key, line in (("down", 1), ("j", 2), ("j", 2), ("k", 1), ("up", 0), ("G", 2), ("g", 0), ("end", 2)):
            await it.press(key)
            assert page.line == line, key
        await it.press("home", "E", "pagedown")
        height = it.app.main.tree_view.size.height
        assert page.line == height - 1
        await it.press("ctrl+d")
        assert page.line == 2 * (height - 1)
        await it.press("pageup", "ctrl+b")
        assert page.line == 0

    drive(article(scratch), play)


def test_folding(scratch: str) -> None:
    """Directories fold and unfold one by one and all at once; the cursor stays on its object or goes above it."""

    async def play(it: Driven) -> None:
        await it.press("enter")
        assert it.shown()[:6] == ["etc", "etc/app.conf", "etc/hosts", "etc/link", "etc/new.conf", "usr"]
        await it.press("right")
        assert it.session.path == "etc/app.conf"
        await it.press("left")
        assert it.session.path == "etc"
        await it.press("h")
        assert it.shown() == ["etc", "usr", "var"]
        await it.press("l", "l", "C")
        assert it.session.path == "etc"
        assert it.shown() == ["etc", "usr", "var"]
        await it.press("asterisk")
        assert len(it.shown()) == len(it.session.page.atlas) - 1
        await it.press("end")
        assert it.session.path == "var/log/app.log"
        await it.press("underscore")
        assert it.session.path == "var"
        await it.press("space")
        assert "var/log" in it.shown()

    drive(article(scratch), play)


def test_filtering(scratch: str) -> None:
    """A filter works while it is typed, stays on Enter, goes on Escape, and leaves folding as it was."""

    async def play(it: Driven) -> None:
        await it.press("slash", "c", "o", "n", "f")
        assert it.shown() == ["etc", "etc/app.conf", "etc/new.conf"]
        assert it.session.path == "etc/app.conf"
        assert "filter conf: 2 found" in it.text()
        await it.press("down")
        assert it.session.path == "etc/new.conf"
        await it.press("up", "enter", "j")
        assert it.session.path == "etc/new.conf"
        await it.press("escape")
        assert it.session.filter == ""
        assert it.session.path == "etc/new.conf"
        assert [path for path in it.shown() if "/" not in path] == ["etc", "usr", "var"]
        await it.press("slash", *"layer:9")
        assert it.session.trouble is not None
        await it.press("escape")
        assert it.session.trouble is None

    drive(article(scratch), play)


def test_finding(scratch: str) -> None:
    """The finder goes to a path that has the letters in their order, wherever it is folded away."""

    async def play(it: Driven) -> None:
        await it.press("f", *"lbso")
        assert isinstance(it.top(), Finder)
        await it.press("down", "ctrl+p", "ctrl+n", "up", "enter")
        assert it.session.path == "usr/lib/lib.so"
        assert "usr/lib/lib.so" in it.shown()
        await it.press("ctrl+f", "escape")
        assert it.top() is it.app.main

    drive(article(scratch), play)


def test_stepping(scratch: str) -> None:
    """Pairs of keys go from one whiteout, change, addition, needless copy or large file to the next, and back."""

    async def play(it: Driven) -> None:
        for key, path in (
            ("n", "usr/lib/old.so"),
            ("N", "usr/lib/old.so"),
            ("u", "etc/hosts"),
            ("U", "etc/hosts"),
            ("p", "etc/link"),
            ("p", "etc/new.conf"),
            ("P", "etc/link"),
            ("b", "var/log/app.log"),
        ):
            await it.press(key)
            assert it.session.path == path, key
            assert path in it.shown()

    drive(article(scratch), play)


def test_steps_to_changes_and_sizes(scratch: str) -> None:
    """What covers something is found; from the largest file on sizes fall, and backwards they rise."""

    async def play(it: Driven) -> None:
        await it.press("m")
        seen = [it.session.path]
        await it.press("m")
        assert it.session.path != seen[0]
        await it.press("M")
        assert it.session.path == seen[0]
        sizes = []
        for _ in range(4):
            await it.press("b")
            sizes.append(it.session.page.atlas.sizes[it.session.page.cursor])
        assert sizes == sorted(sizes, reverse=True)
        await it.press("B")
        assert it.session.page.atlas.sizes[it.session.page.cursor] == sizes[2]

    drive(article(scratch), play)


def test_by_size(scratch: str) -> None:
    """All files, largest first, with their whole paths; the same key returns to the tree, at the file."""

    async def play(it: Driven) -> None:
        await it.press("S")
        assert it.shown()[:3] == ["var/log/app.log", "usr/bin/tool", "usr/lib/lib.so"]
        await it.press("j", "S")
        assert it.session.path == "usr/bin/tool"
        assert it.shown()[0] == "etc"
        await it.press("slash", *"json", "enter", "S")
        assert it.shown()[0] == "usr/share/data/item-39.json"
        assert len(it.shown()) == 40

    drive(article(scratch), play)


def test_layers(scratch: str) -> None:
    """A layer's own tree by its line in the stack, or by brackets from anywhere; the cursor keeps its path."""

    async def play(it: Driven) -> None:
        await it.press("E", "j")
        assert it.session.path == "etc/app.conf"
        await it.press("right_square_bracket")
        assert it.session.layer == 0
        assert it.session.path == "etc/app.conf"
        assert "usr/lib/lib.so" not in it.shown()
        await it.press("right_square_bracket", "right_square_bracket")
        assert it.session.layer == 2
        await it.press("left_square_bracket")
        assert it.session.layer == 1
        await it.press("shift+tab", "home", "enter")
        assert it.session.page is it.session.merged
        await it.press("end", "space")
        assert it.session.layer == 2

    drive(article(scratch), play)


def test_panes(scratch: str) -> None:
    """Tab goes around the panes; one can have the whole screen; the log comes and goes."""

    async def play(it: Driven) -> None:
        main = it.app.main
        seen = []
        for _ in range(3):
            seen.append(it.focused())
            await it.press("tab")
        assert seen == [main.tree_view, main.details_view, main.stack]
        await it.press("L", "shift+tab")
        assert it.focused() is main.stack
        await it.press("shift+tab")
        assert it.focused() is main.log_view
        await it.press("L")
        assert it.focused() is main.tree_view
        small = main.tree_view.size.height
        await it.press("z")
        assert main.tree_view.size.height > small
        await it.press("tab")
        assert main.details_view.size.height > small
        await it.press("z")
        assert main.tree_view.size.height == small

    drive(article(scratch), play)


def test_viewing(scratch: str) -> None:
    """Files are shown as text or as bytes, and nothing but files."""

    async def play(it: Driven) -> None:
        await it.press("v")
        assert it.top() is it.app.main
        assert "only regular files" in it.text()
        await it.press("l", "l", "v")
        assert isinstance(it.top(), FileWindow)
        assert "port = 9090" in it.text()
        assert it.text().count("port") > 3
        await it.press("h")
        assert "00000000  70 6f 72 74 20 3d 20 39  30 39 30 0a" in it.text()
        await it.press("j", "k", "end", "home", "right", "left", "q")
        assert it.top() is it.app.main
        await it.press("right_square_bracket", "right_square_bracket", "v")
        assert "port = 8080" in it.text()
        await it.press("escape")

    drive(article(scratch), play)


def test_extracting(scratch: str) -> None:
    """The chosen path, or a whole layer, is copied to where was said; what is there already is not replaced."""
    place = os.path.join(scratch, "out")
    os.mkdir(place)

    async def play(it: Driven) -> None:
        await it.press("l", "l", "x")
        assert isinstance(it.top(), PlaceWindow)
        await it.type(f"{place}/copy")
        await it.press("enter")
        assert it.top() is it.app.main
        assert _content(f"{place}/copy") == "port = 9090\n" * 20
        await it.press("x")
        await it.type(f"{place}/copy")
        await it.press("enter")
        assert "exists already" in it.session.remark
        await it.press("right_square_bracket", "X")
        await it.type(f"{place}/layer")
        await it.press("enter")
        assert sorted(os.listdir(f"{place}/layer/etc")) == ["app.conf", "hosts", "link", "new.conf"]
        assert os.listdir(f"{place}/layer/usr/lib") == []
        await it.press("x", "escape")
        assert it.top() is it.app.main

    drive(article(scratch), play)


def test_commands_can_be_copied(scratch: str) -> None:
    """The command for the tree is copied at once, another one by Enter."""

    async def play(it: Driven) -> None:
        await it.press("y")
        assert isinstance(it.top(), CommandWindow)
        assert it.app.clipboard.startswith("ovlctl tree etc --lower ")
        await it.press("down", "enter")
        assert it.app.clipboard.startswith("ovlctl explain etc --lower ")
        await it.press("y", "y")
        assert it.app.clipboard.startswith("ovlctl tree etc --lower ")

    drive(article(scratch), play)


def test_help_theme_rescan_and_end(scratch: str) -> None:
    """Help opens and closes; colours turn; a rescan sees what was made meanwhile; the program ends when asked."""

    async def play(it: Driven) -> None:
        for key in ("question_mark", "f1"):
            await it.press(key)
            assert isinstance(it.top(), HelpWindow)
            await it.press("pagedown", "escape")
            assert it.top() is it.app.main
        dark = it.app.theme
        await it.press("t")
        assert it.app.theme != dark
        await it.press("t")
        assert it.app.theme == dark
        await it.press("E", "end")
        trees.make(scratch, {"upper/zz": ""})
        await it.press("r")
        assert it.shown()[-1] == "zz"
        assert it.session.path == "var/log/app.log"
        await it.pilot.press("q")
        await it.until(lambda: not it.app.is_running)

    drive(article(scratch), play)


def _content(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()
