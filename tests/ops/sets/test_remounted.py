"""Stacks of a file that somebody remounted, or tried to."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import ovlctl
from ovlctl.kernel import mounts
from ovlctl.ops import remounting
from ovlctl.ops.sets import load
from ovlctl.ops.sets.compare import Action
from ovlctl.ops.sets.down import down
from ovlctl.ops.sets.status import status
from ovlctl.ops.sets.up import up
from ovlctl.ops.state import locate
from tests import capabilities
from tests.forks import in_child
from tests.ops.sets.world import killing

if TYPE_CHECKING:
    from tests.ops.sets.world import World

pytestmark = [capabilities.needs_overlay, capabilities.needs_mount_beneath]

_BASE = 'lowers = ["l1", "l2"]\ntarget = "t01"'


def test_after_a_refresh(here: World) -> None:
    """A lower that was replaced is a change; a refreshed stack has the new one, and is as declared."""
    up(here.declare(a=_BASE))
    os.rename(f"{here.base}/l2", f"{here.base}/old")
    os.mkdir(f"{here.base}/l2")
    assert here.actions() == {"a": Action.CHANGE}
    remounting.refresh("a")
    assert here.actions() == {"a": Action.KEEP}
    assert status(load(here.path), state=locate()).fine


def test_after_a_remount_that_was_killed(here: World) -> None:
    """Whatever a killed remount left, up makes it as declared, and then there is nothing left to do."""
    count = 0
    while True:
        count += 1
        file = here.declare(a=_BASE)
        up(file)
        status = in_child(lambda: remounting.refresh("a", watch=killing(count)))  # noqa: B023 -- within this turn
        up(file)
        assert here.actions() == {"a": Action.KEEP}
        assert len([each for each in mounts.mounts("overlay") if each.mount_point.startswith(here.base)]) == 1
        down(file, discard=True)
        assert not ovlctl.overlays().overlays
        if status == 0:
            break
        assert status == -signal.SIGKILL
    assert count > 3
