"""Killed at any step of a whole set: the next plan knows what is left to do, and the next command does it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

import ovlctl
from ovlctl.kernel import mounts
from ovlctl.ops.sets import load
from ovlctl.ops.sets.compare import Action
from ovlctl.ops.sets.down import down
from ovlctl.ops.sets.up import up
from tests import capabilities, trees
from tests.forks import in_child
from tests.ops.sets.world import killing

if TYPE_CHECKING:
    from tests.ops.sets.world import World

pytestmark = capabilities.needs_overlay

_OLD = {
    "base": 'lowers = ["l1"]\nupper = {tmpfs = "1M"}\ntarget = "t01"',
    "top": 'lowers = [{stack = "base"}, "l2"]',
    "gone": 'lowers = ["l3", "l4"]\nupper = "none"\ntarget = "t02"',
}
# base changes, so top does; gone goes, and its target is taken by a stack that stands on base.
_NEW = {
    "new": 'lowers = ["l5", {stack = "base"}]\nupper = "none"\ntarget = "t02"',
    "top": _OLD["top"],
    "base": _OLD["base"] + "\noptions = {default_permissions = true}",
}


def _is_as_declared(here: World) -> None:
    assert set(here.actions().values()) == {Action.KEEP}
    here_is = {each.mount_point.removeprefix(here.base + "/") for each in mounts.mounts("overlay")}
    assert here_is == {"t01", "t02", "state/keep/stacks/top/merged"}
    with open(f"{here.base}/state/keep/stacks/top/merged/mine", encoding="ascii") as file:
        assert file.read() == "precious"


def _leave_nothing(here: World) -> None:
    down(load(here.path), discard=True)
    assert not ovlctl.overlays().overlays
    assert not [each for each in mounts.mounts() if each.mount_point.startswith(here.base + "/")]


def test_killed_while_coming_up(here: World) -> None:
    """After every step of a change of several stacks up again reaches what is declared, and has nothing to do then."""
    count = 0
    while True:
        count += 1
        up(here.declare(**_OLD))
        trees.make(f"{here.base}/t01", {"mine": "precious"})
        file = here.declare(**_NEW)
        status = in_child(lambda: up(file, watch=killing(count)))  # noqa: B023 -- called within this turn
        if status == -signal.SIGKILL:
            planned = here.plan()
            up(file)
            assert planned.changes or count > 1
        _is_as_declared(here)
        _leave_nothing(here)
        if status == 0:
            break
        assert status == -signal.SIGKILL
    assert count > 20


@pytest.mark.parametrize("discard", [False, True], ids=["keep", "discard"])
def test_killed_while_going_down(here: World, *, discard: bool) -> None:
    """After every step of an end: down again ends the rest, or up makes it as declared; no data is half gone."""
    count = 0
    while True:
        count += 1
        file = here.declare(**_NEW)
        up(file)
        trees.make(f"{here.base}/t01", {"mine": "precious"})
        status = in_child(lambda: down(file, discard=discard, watch=killing(count)))  # noqa: B023 -- as above
        if status == 0:
            break
        assert status == -signal.SIGKILL
        if discard or count % 2:
            down(file, discard=discard)
        else:
            up(file)
            _is_as_declared(here)
        if discard:
            assert not ovlctl.overlays().overlays
            left = trees.everything(here.base)
            assert [path for path in left if "stacks/" in path] == []
        _leave_nothing(here)
    assert count > 6
    _leave_nothing(here)
