"""The model against the kernel, on every file system: what was done to a mount is what the model says of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from ovlctl.kernel.mount import MNT, umount2
from tests import capabilities
from tests.capabilities import needs_fs, needs_root
from tests.overlay.machine.machine import Machine
from tests.overlay.made import new_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

# A long run: OVLCTL_MACHINE_EXAMPLES=3000 pytest tests/overlay/machine, twenty minutes.
EXAMPLES = int(os.environ.get("OVLCTL_MACHINE_EXAMPLES", "50"))
STEPS = 40
# Of 25 rules; hypothesis leaves some out of each example, on purpose.
RULES = 18


def _other(kind: str) -> str:
    return "ext4" if kind == "tmpfs" else "tmpfs"


_PAIRS = [
    pytest.param(kind, marks=[needs_root, needs_fs(kind), needs_fs(_other(kind))]) for kind in capabilities.FILE_SYSTEMS
]


@pytest.fixture(params=_PAIRS)
def disks(request: pytest.FixtureRequest) -> Iterator[tuple[str, ...]]:
    """A file system of each kind for the upper, another one for lowers, and a subvolume where there can be one."""
    kind, other = request.param, _other(request.param)
    with new_directory(capabilities.session().directory) as base:
        points = [capabilities.make_file_system(one, base) for one in (kind, other)]
        subvolumes = []
        if kind == "btrfs" and shutil.which("btrfs") is not None:
            subvolumes.append(f"{points[0]}/subvolume")
            subprocess.run(["btrfs", "subvolume", "create", subvolumes[0]], check=True, capture_output=True)
        yield (*points, *subvolumes)
        for point in points:
            umount2(point, MNT(0))


def test_the_model_is_the_kernel(disks: tuple[str, ...]) -> None:
    """Laws 1 and 2 after every few steps: walks, providers, and what is changed."""
    Machine.disks = disks
    Machine.done.clear()
    Machine.refused.clear()
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
    compared = Machine.done.pop("compare")
    assert Machine.done.total() > EXAMPLES * STEPS // 5
    assert compared > EXAMPLES * STEPS // 25
    assert len(Machine.done) >= RULES
