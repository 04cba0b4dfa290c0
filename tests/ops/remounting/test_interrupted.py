"""Killed at any call to the kernel in a remount: a view is there, and the next command finishes."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

import pytest

import ovlctl
from ovlctl.kernel import mounts
from ovlctl.kernel.mount import MS, mount
from ovlctl.ops import records, remounting
from ovlctl.ops.records import Phase
from ovlctl.ops.remounting import Changes
from ovlctl.ops.remounting.aside import stage_of
from ovlctl.ops.state import locate
from ovlctl.ops.views import views
from tests import capabilities, trees
from tests.forks import in_child

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from ovlctl.ops.steps import Step

pytestmark = [capabilities.needs_overlay, capabilities.needs_mount_beneath]

_CALLS = frozenset({"mount", "umount2", "move_mount", "open_tree", "mount_setattr", "write_atomically", "unshare"})
KINDS = [
    pytest.param(None, id="read-only"),
    pytest.param(ovlctl.KeptUpper(), id="with upper"),
]


def _stack(scratch: str) -> ovlctl.Stack:
    for name in "AB":
        trees.make(os.path.join(scratch, name), {"f": name})
    trees.make(scratch, {"base/": None, "t/": None})
    return ovlctl.Stack([os.path.join(scratch, "A"), os.path.join(scratch, "base")])


def _to_b(scratch: str, watch: Callable[[Step], None] | None = None) -> remounting.Remounted:
    lowers = (os.path.join(scratch, "B"), os.path.join(scratch, "base"))
    return remounting.remount("k", Changes(lowers=lowers), watch=watch)


def _killed_at(scratch: str, count: int) -> int:
    """Remount in a child that is killed before (odd) or after (even) its call number ``count // 2``."""
    left = [count]

    def look(frame: FrameType, event: str, _argument: object) -> None:
        if event in {"call", "return"} and frame.f_code.co_name in _CALLS and "ovlctl" in frame.f_code.co_filename:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        threading.setprofile(look)
        sys.setprofile(look)
        _to_b(scratch)

    return in_child(work)


def _seen(scratch: str) -> str:
    with open(os.path.join(scratch, "t", "f")) as file:
        return file.read()


@pytest.mark.parametrize("allocate", KINDS)
def test_killed_anywhere(scratch: str, state_dir: str, allocate: ovlctl.KeptUpper | None) -> None:
    """Before and after each call: the old view or the new one is there, and `refresh` or `umount` finishes."""
    stack = _stack(scratch)
    count = finished = 0
    while not finished:
        count += 1 if allocate is None else 3
        ovlctl.mount(stack, os.path.join(scratch, "t"), allocate=allocate, name="k")
        if allocate is not None:
            trees.make(os.path.join(scratch, "t"), {"mine": "precious"})
        finished = _killed_at(scratch, count) == 0
        assert _seen(scratch) in "AB"
        # A view that has stepped aside is listed too, as an overlay without a name.
        assert {each.name for each in ovlctl.overlays().overlays} in ({"k"}, {"k", None})
        if count % 2 and not finished:
            remounting.refresh("k")
            record = records.read(locate(), "k")
            assert record is not None
            assert record.phase is Phase.MOUNTED
            assert len(views(record)) == 1
            assert _seen(scratch) == os.path.basename(record.stack.lowers[0])
        if allocate is not None and _seen(scratch) and count % 2:
            with open(os.path.join(scratch, "t", "mine")) as file:
                assert file.read() == "precious"
        ovlctl.umount("k", discard=allocate is not None)
        assert not mounts.mounts("overlay")
        assert not os.path.lexists(stage_of(locate()))
        assert not ovlctl.overlays().overlays
    assert count > 20


@pytest.mark.parametrize("allocate", KINDS)
def test_interrupted_between_steps(scratch: str, state_dir: str, allocate: ovlctl.KeptUpper | None) -> None:
    """An interrupt after any step but the last leaves the old view as it was, and its record true."""
    stack = _stack(scratch)
    ovlctl.mount(stack, os.path.join(scratch, "t"), allocate=allocate, name="k")
    steps = len(remounting.plan("k").steps)
    for stop in range(1, steps):
        left = [stop]

        def interrupt(_step: Step) -> None:
            left[0] -= 1  # noqa: B023 -- called within this turn
            if left[0] == 0:  # noqa: B023 -- as above
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt) as caught:
            _to_b(scratch, watch=interrupt)
        assert getattr(caught.value, "__notes__", []) == []
        record = records.read(locate(), "k")
        assert record is not None
        assert record.phase is Phase.MOUNTED
        assert record.stack.lowers == stack.lowers
        (standing,) = views(record)
        assert standing.unique_id == record.mount_id
        assert _seen(scratch) == "A"
    assert _to_b(scratch).overlay.name == "k"
    assert _seen(scratch) == "B"
    ovlctl.umount("k", discard=allocate is not None)


def test_left_aside_alone(scratch: str, state_dir: str) -> None:
    """What had stepped aside ends with the stack, also when nothing else of it is left, and below another stage."""
    target = os.path.join(scratch, "t")
    stack = _stack(scratch)
    ovlctl.mount(stack, target, allocate=ovlctl.KeptUpper(), name="k")
    state = locate()
    record = records.read(state, "k")
    assert record is not None
    records.write(state, record.at(Phase.REMOUNTING))
    stage = trees.make(stage_of(state), {})
    for _ in range(2):
        mount("ovlctl:stage", stage, "tmpfs")
        mount(None, stage, None, MS.PRIVATE)
        trees.make(stage, {"old/": None})
        if os.path.ismount(target):
            mount(target, os.path.join(stage, "old"), None, MS.MOVE)
    ovlctl.umount("k", discard=True)
    assert not os.path.lexists(stage)
    assert not mounts.mounts("overlay")
    assert not ovlctl.overlays().overlays
