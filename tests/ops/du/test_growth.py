"""How an upper has grown since the last look."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from ovlctl.ops.du import du, growth
from ovlctl.ops.du.growth import Growth, Look
from ovlctl.ops.reading import of_directories
from ovlctl.ops.state import State, locate
from ovlctl.overlay.stack import Stack
from tests import trees
from tests.capabilities import needs_root
from tests.overlay.made import mounted

if TYPE_CHECKING:
    import pytest

pytestmark = needs_root

MIB = 1 << 20


def _stack(base: str) -> Stack:
    trees.make(base, {"low/f": os.urandom(MIB), "upper/": None, "work/": None})
    return Stack([f"{base}/low"], upper=f"{base}/upper", work=f"{base}/work")


def _look(stack: Stack, state: State, *, remember: bool = True) -> Growth:
    usage = du([of_directories(stack)], state=state, remember=remember)
    (found,) = usage.growth
    return found


def test_growth_over_a_real_write(scratch: str, state_dir: str) -> None:
    """The first look has nothing to compare with; the next says what was written in between, and since when."""
    state, stack = locate(), _stack(scratch)
    start = time.time_ns()
    first = _look(stack, state)
    assert first.before is None
    assert start <= first.now.time_ns <= time.time_ns()
    with mounted(stack, f"{scratch}/merged") as point:
        trees.make(point, {"new": os.urandom(3 * MIB)})
        os.chmod(f"{point}/f", 0o600)
    second = _look(stack, state)
    assert second.before == first.now
    assert 4 * MIB <= second.now.bytes - first.now.bytes < 4 * MIB + MIB
    assert second.now.files - first.now.files == 2
    os.unlink(f"{stack.upper}/new")
    third = _look(stack, state)
    assert third.before == second.now
    assert third.now.bytes - second.now.bytes == -3 * MIB
    assert _look(stack, state).now.bytes == third.now.bytes


def test_not_remembered(scratch: str, state_dir: str) -> None:
    """Without remembering nothing is written, and the next look compares with the one before."""
    state, stack = locate(), _stack(scratch)
    assert _look(stack, state, remember=False).before is None
    assert not os.path.exists(state_dir)
    first = _look(stack, state)
    assert _look(stack, state, remember=False).before == first.now
    assert _look(stack, state).before == first.now


def test_where_nothing_can_be_kept_nothing_fails(scratch: str, state_dir: str) -> None:
    """A state directory that cannot be made, is somebody else's or holds rubbish takes no answer away."""
    state, stack = locate(), _stack(scratch)
    _look(stack, state)
    (name,) = os.listdir(f"{state.keep}/looks")
    for rubbish in (b"", b"{", b"[]", b"{}", b'{"format": 2}', b'{"format": 1, "time_ns": "x"}', b"\xff" * 10):
        with open(f"{state.keep}/looks/{name}", "wb") as file:
            file.write(rubbish)
        assert _look(stack, state, remember=False).before is None
    os.chmod(state.keep, 0o777)
    assert _look(stack, state).before is None
    trees.make(scratch, {"file": "no directory"})
    nowhere = State(run=f"{scratch}/file/run", keep=f"{scratch}/file/keep")
    assert _look(stack, nowhere).before is None


def test_another_directory_in_the_same_place_is_another_upper(scratch: str, state_dir: str) -> None:
    """What was remembered is of the directory that was there, and not of its path."""
    state, stack = locate(), _stack(scratch)
    _look(stack, state)
    os.rename(f"{scratch}/upper", f"{scratch}/moved")
    os.mkdir(f"{scratch}/upper")
    assert _look(stack, state).before is None


def test_the_oldest_are_forgotten(scratch: str, state_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many uppers come and go, a bounded number of looks is kept."""
    monkeypatch.setattr(growth, "KEPT", 3)
    state = locate()
    for number in range(5):
        growth.remember(state, f"upper{number}", Look(time_ns=number, bytes=1, files=1))
    assert [growth.recall(state, [f"upper{number}"]) is not None for number in range(5)] == [
        False,
        False,
        True,
        True,
        True,
    ]
