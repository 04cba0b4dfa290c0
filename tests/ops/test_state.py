"""The state directories, while somebody removes them at any point of being made, as a holder that ends does."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from ovlctl import errors
from ovlctl.ops.state import State, locate
from tests.forks import in_child

if TYPE_CHECKING:
    from collections.abc import Callable


def _removing_before(number: int, state: State) -> Callable[[], None]:
    """Takes the lock where all that is empty is removed right before directory number *number* is made."""

    def work() -> None:
        made = 0

        def look(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal made
            if event == "os.mkdir" and str(arguments[0]).startswith(state.keep.removesuffix("/keep")):
                made += 1
                if made == number:
                    for base, directories, _ in os.walk(state.keep.removesuffix("/keep"), topdown=False):
                        for name in directories:
                            os.rmdir(os.path.join(base, name))

        sys.addaudithook(look)
        with state.locked():
            assert made >= number
            for place in (state.keep, state.run, state.records, f"{state.run}/stacks", f"{state.keep}/stacks"):
                assert stat.S_IMODE(os.lstat(place).st_mode) == 0o700, place

    return work


@pytest.mark.parametrize("number", range(2, 6))
def test_removed_while_they_are_made(scratch: str, state_dir: str, number: int) -> None:
    """They are made again, and for nobody else."""
    os.mkdir(state_dir)
    assert in_child(_removing_before(number, locate())) == 0


def test_a_place_where_nothing_can_be_made() -> None:
    """It is said, and not tried for ever."""
    state = State(run="/proc/nowhere/run", keep="/proc/nowhere/keep")
    with pytest.raises(errors.StateUnusable), state.locked():
        pass
