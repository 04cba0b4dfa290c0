"""The check that a sample copied up: each way in which it did not is found."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ovlctl.bench import stage, verify
from ovlctl.bench.actions import payload, perform
from ovlctl.bench.terms import DataPath, Operation
from ovlctl.errors import NoCopyUp
from ovlctl.overlay.options import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ovlctl.bench.stage import Stage

SIZE = 64 << 10


@pytest.fixture
def touched(scratch: str) -> Iterator[tuple[Stage, str]]:
    """An overlay with one lower file that was written to twice, as a sample does, and the lower's directory."""
    lower = os.path.join(scratch, "lower")
    os.mkdir(lower)
    with open(f"{lower}/file", "wb") as file:
        file.write(os.urandom(SIZE))
    with stage.fresh((lower,), os.path.join(scratch, "base"), Options()) as mounted:
        for turn in (0, 1):
            perform(Operation.WRITE, f"{mounted.merged}/file", payload(SIZE), lambda: None, turn=turn)
        yield mounted, lower


def _check(mounted: Stage, lower: str, **changed: object) -> DataPath | None:
    arguments: dict[str, object] = {
        "upper": f"{mounted.upper}/file",
        "lower": f"{lower}/file",
        "prefix": mounted.xattr_prefix,
        "metacopy": False,
        "has_origin": True,
        **changed,
    }
    return verify.check(Operation.WRITE, **arguments)  # type: ignore[arg-type]


def test_a_copy_up_passes(touched: tuple[Stage, str]) -> None:
    """A written file is in the upper, with the lower's content, the write and an origin mark."""
    assert _check(*touched) in {DataPath.COPIED, DataPath.CLONED}


def _remove(upper: str) -> None:
    os.unlink(upper)


def _corrupt(upper: str) -> None:
    with open(upper, "r+b") as file:
        file.seek(SIZE - 1)
        last = file.read(1)
        file.seek(SIZE - 1)
        file.write(bytes([last[0] ^ 1]))


def _lengthen(upper: str) -> None:
    with open(upper, "ab") as file:
        file.write(b"x")


def _lose_the_write(upper: str) -> None:
    with open(upper, "r+b") as file:
        file.write(b"\0" * 100)


@pytest.mark.parametrize("damage", [_remove, _corrupt, _lengthen, _lose_the_write])
def test_a_damaged_upper_is_found(touched: tuple[Stage, str], damage: Callable[[str], None]) -> None:
    """Nothing there, one bit changed, a byte more, a write that is not there: each fails the sample."""
    damage(f"{touched[0].upper}/file")
    with pytest.raises(NoCopyUp):
        _check(*touched)


def test_marks_are_looked_at(touched: tuple[Stage, str]) -> None:
    """An origin mark where none is due, and none where one is due, fail the sample."""
    with pytest.raises(NoCopyUp, match="origin"):
        _check(*touched, has_origin=False)
    with pytest.raises(NoCopyUp, match="origin"):
        _check(*touched, prefix="user.other.")
