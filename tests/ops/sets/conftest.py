"""A machine for each test of sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel import mounts
from ovlctl.kernel.mount import MNT, umount2
from tests.ops.sets import world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.ops.sets.world import World


@pytest.fixture
def here(scratch: str, state_dir: str) -> Iterator[World]:
    """A world to mount in; what is mounted there goes after."""
    yield world.make(scratch)
    for each in reversed(mounts.mounts()):
        if each.mount_point.startswith(scratch + "/"):
            umount2(each.mount_point, MNT.DETACH)
