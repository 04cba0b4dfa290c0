"""Killed between any two steps, or crowded by others: the next command sees the truth and works."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import ovlctl
from ovlctl import errors
from ovlctl.kernel import mounts
from ovlctl.ops import discover, mounting, unmounting
from ovlctl.ops.discover import Standing
from ovlctl.ops.state import locate
from tests import capabilities, trees
from tests.forks import in_child

if TYPE_CHECKING:
    from collections.abc import Callable

    from ovlctl.ops.keeping import KeptUpper, TmpfsUpper
    from ovlctl.ops.steps import Step

pytestmark = capabilities.needs_overlay


def _kill_after(count: int) -> Callable[[Step], None]:
    """A watcher that kills its own process after *count* steps."""
    left = [count]

    def watch(_step: Step) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return watch


def _stack(scratch: str) -> ovlctl.Stack:
    for name in ("l1", "l2"):
        trees.make(os.path.join(scratch, name), {"f": name, name: ""})
    return ovlctl.Stack([os.path.join(scratch, "l1"), os.path.join(scratch, "l2")])


KINDS = [
    pytest.param(None, False, id="read-only"),
    pytest.param(ovlctl.KeptUpper(), False, id="kept upper"),
    pytest.param(ovlctl.KeptUpper(), True, id="kept upper, own target"),
    pytest.param(ovlctl.TmpfsUpper(1 << 20), False, id="tmpfs upper"),
]


@pytest.mark.parametrize(("allocate", "own_target"), KINDS)
def test_killed_while_mounting(
    scratch: str, state_dir: str, allocate: KeptUpper | TmpfsUpper | None, *, own_target: bool
) -> None:
    """After every step of a mount: ``ls`` tells the truth, then the same mount works, or ``umount`` clears up."""
    stack = _stack(scratch)
    target = trees.make(os.path.join(scratch, "t"), {}) if own_target else None
    clean = trees.everything(scratch)
    steps = len(mounting.plan(stack, target, allocate=allocate, name="k").steps)
    assert steps >= 4
    for count in range(1, steps + 1):
        for then_mount in (True, False):
            killed = in_child(
                lambda: ovlctl.mount(stack, target, allocate=allocate, name="k", watch=_kill_after(count))  # noqa: B023 -- called within this turn
            )
            assert killed == -signal.SIGKILL
            _is_true(count, steps)
            if then_mount and discover.find(locate(), "k").standing is Standing.STALE:
                ovlctl.mount(stack, target, allocate=allocate, name="k")
                assert discover.find(locate(), "k").standing is Standing.MOUNTED
            discard = allocate is not None and discover.find(locate(), "k").standing is Standing.MOUNTED
            ovlctl.umount("k", discard=discard)
            if any(each.name == "k" for each in ovlctl.overlays().overlays):
                ovlctl.umount("k", discard=True)
            assert not ovlctl.overlays().overlays
            assert not mounts.mounts("overlay")
            left = trees.everything(scratch)
            assert {path for path in left if not path.startswith("state")} == set(clean)
            assert [path for path in left if "stacks/" in path] == []


def _is_true(count: int, steps: int) -> None:
    """The list says mounted exactly when the mount table has it."""
    listed = ovlctl.overlays().overlays
    assert [each.name for each in listed] == ["k"]
    mounted = bool(mounts.mounts("overlay"))
    assert (listed[0].standing is Standing.MOUNTED) == mounted
    assert mounted == (count >= steps - 2)


@pytest.mark.parametrize("discard", [False, True], ids=["keep", "discard"])
@pytest.mark.parametrize(("allocate", "own_target"), KINDS)
def test_killed_while_unmounting(
    scratch: str, state_dir: str, allocate: KeptUpper | TmpfsUpper | None, *, own_target: bool, discard: bool
) -> None:
    """After every step of an unmount: ``ls`` tells the truth and ``umount`` again finishes; no data is half gone."""
    if discard and allocate is None:
        pytest.skip("a read-only stack has nothing to discard")
    stack = _stack(scratch)
    target = trees.make(os.path.join(scratch, "t"), {}) if own_target else None
    count = 0
    while True:
        count += 1
        mounted = ovlctl.mount(stack, target, allocate=allocate, name="k")
        if allocate is not None:
            trees.make(mounted.target, {"mine": "precious"})
        steps = len(unmounting.plan("k", discard=discard).steps)
        if count > steps:
            break
        assert in_child(lambda: ovlctl.umount("k", discard=discard, watch=_kill_after(count))) == -signal.SIGKILL  # noqa: B023 -- as above
        found = [each for each in ovlctl.overlays().overlays if each.name == "k"]
        assert any(each.standing is Standing.MOUNTED for each in found) == bool(mounts.mounts("overlay"))
        if found and found[0].standing is not Standing.KEPT:
            ovlctl.umount("k", discard=discard)
        assert not mounts.mounts("overlay")
        kept = [each for each in ovlctl.overlays().overlays if each.name == "k"]
        if allocate is not None and not discard:
            assert [each.standing for each in kept] == [Standing.KEPT]
            with open(os.path.join(kept[0].stack.upper or "", "mine")) as file:
                assert file.read() == "precious"
        else:
            assert kept == []
    ovlctl.umount("k", discard=allocate is not None)


def test_error_after_mounting_undoes_everything(scratch: str, state_dir: str) -> None:
    """An interrupt after any step leaves what was there before."""
    stack = _stack(scratch)
    ovlctl.mount(stack, allocate=ovlctl.KeptUpper(), name="first")
    ovlctl.umount("first", discard=True)
    before = trees.everything(scratch), mounts.mounts()
    steps = len(mounting.plan(stack, allocate=ovlctl.KeptUpper(), name="k").steps)
    for stop in range(1, steps + 1):
        left = [stop]

        def interrupt(_step: Step) -> None:
            left[0] -= 1  # noqa: B023 -- called within this turn
            if left[0] == 0:  # noqa: B023 -- as above
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            ovlctl.mount(stack, allocate=ovlctl.KeptUpper(), name="k", watch=interrupt)
        after = trees.everything(scratch), mounts.mounts()
        assert after[1] == before[1]
        # The last step is the mount itself: with it taken, nothing is left to undo for.
        assert after[0] == before[0]


def _spawn(*args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ovlctl", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@capabilities.needs_root
def test_fifty_at_once(scratch: str, state_dir: str) -> None:
    """50 concurrent mounts of different stacks all succeed, each under a name of its own."""
    _stack(scratch)
    lower = os.path.join(scratch, "l1")
    running = [_spawn("mount", "-l", lower, "--json") for _ in range(50)]
    results = [(process.communicate(), process.returncode) for process in running]
    assert [status for _, status in results] == [0] * 50, [err for (_, err), status in results if status]
    names = {json.loads(out)["data"]["name"] for (out, _), _ in results}
    assert len(names) == 50
    assert len(mounts.mounts("overlay")) == 50
    for name in names:
        ovlctl.umount(name, discard=True)
    assert not ovlctl.overlays().overlays


@capabilities.needs_root
@pytest.mark.parametrize("own_state", [False, True], ids=["one state", "a state each"])
def test_twenty_for_one_upper(scratch: str, state_dir: str, *, own_state: bool) -> None:
    """20 concurrent mounts of one upper: one wins, 19 get the in-use error, whoever runs them."""
    _stack(scratch)
    lower, upper, work = (os.path.join(scratch, name) for name in ("l1", "u", "w"))
    os.mkdir(upper)
    os.mkdir(work)
    running = []
    for number in range(20):
        state = os.path.join(scratch, f"state{number}") if own_state else state_dir
        target = trees.make(os.path.join(scratch, f"t{number}"), {})
        running.append(
            _spawn("mount", target, "-l", lower, "--upper", upper, "--work", work, "--json", "--state-dir", state)
        )
    results = [(process.communicate(), process.returncode) for process in running]
    assert sorted(status for _, status in results) == [0] + [errors.UpperInUse.exit_status] * 19, results
    codes = [json.loads(err)["error"]["code"] for (_, err), status in results if status]
    assert codes == [errors.UpperInUse.code] * 19
    (winner,) = mounts.mounts("overlay")
    ovlctl.umount(winner.mount_point)
