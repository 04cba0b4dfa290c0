"""What is on the screen is told by a plain command, which `y` names."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from ovlctl.tui.command_lines import commands
from tests.tui.scenes import article, drive

if TYPE_CHECKING:
    from tests.conftest import Cli
    from tests.tui.scenes import Driven


@pytest.mark.parametrize("layer", [None, 0, 2])
def test_commands_run(layer: int | None, scratch: str, cli: Cli, state_dir: str) -> None:
    """Every command for every path, in the merged view and in layers, is understood, and tells of that path."""
    told: dict[str, str] = {}

    async def play(it: Driven) -> None:
        for _ in range(0 if layer is None else layer + 1):
            await it.press("right_square_bracket")
        await it.press("E", "home")
        for path in it.shown():
            if "item" not in path or path.endswith("item-01.json"):
                told.update((each.text, path) for each in commands(it.session))
            it.session.page.go(it.session.page.line + 1)

    drive(article(scratch), play)
    # Below the lowest layer there is nothing that it could change.
    verbs = {"tree", "explain", "cat", "layers"} | ({"diff"} if layer != 2 else set())
    assert {command.split()[1] for command in told} == verbs
    for command, path in told.items():
        name, *args = shlex.split(command)
        assert name == "ovlctl"
        done = cli(*args)
        assert done.status in {0, 3}, (command, done.stderr)
        if done.status == 3:
            # What one layer hides may be in no other.
            assert "explain" in args or "tree" in args or "cat" in args, command
        if args[0] == "explain":
            assert f"/{path}" in done.stdout


def test_what_could_be_an_option_is_none(scratch: str, cli: Cli, state_dir: str) -> None:
    """A path that begins with a dash is named so that it is taken for a path."""
    import os

    told: list[str] = []
    stack = article(scratch)
    with open(os.path.join(scratch, "upper", "-rf"), "w", encoding="utf-8"):
        pass

    async def play(it: Driven) -> None:
        await it.press("home")
        assert it.session.path == "-rf"
        told.extend(each.text for each in commands(it.session))

    drive(stack, play)
    for command in told:
        assert cli(*shlex.split(command)[1:]).status == 0, command


@pytest.mark.parametrize("filter_text", ["conf", "item size:>50 layer:0", "sign:o,+", "--", "-x size:<1K"])
@pytest.mark.parametrize("by_size", [False, True])
def test_a_filter_is_a_command(filter_text: str, scratch: str, cli: Cli, state_dir: str, *, by_size: bool) -> None:
    """`find` lists what the filter leaves, in the order of the screen, without the directories on the way."""
    told: list[str] = []
    listed: list[str] = []

    async def play(it: Driven) -> None:
        await it.press("slash")
        await it.type(filter_text)
        await it.press("enter", *(["S"] if by_size else []))
        told.append(commands(it.session)[0].text)
        found = it.session.page.found
        assert found is not None
        rows = {int(row) for row in found.rows}
        page = it.session.page
        listed.extend(page.atlas.path(page.row(line)) for line in range(len(page)) if page.row(line) in rows)

    drive(article(scratch), play)
    name, *args = shlex.split(told[0])
    assert name == "ovlctl"
    assert args[0] == "find"
    done = cli(*args, "--json") if "--" not in args else cli(args[0], "--json", *args[1:])
    assert done.status == (0 if listed else 3), done.stderr
    assert [each["path"] for each in done.data] == listed
