"""The model against the kernel, on every file system: what was done to a mount is what the model says of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from ovlctl.kernel.mount import MNT, umount2
from tests import capabilities
from tests.overlay.machine.machine import Machine
from tests.overlay.made import new_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

# A long run: OVLCTL_MACHINE_EXAMPLES=1000 pytest tests/overlay/machine.
EXAMPLES = int(os.environ.get("OVLCTL_MACHINE_EXAMPLES", "25"))
STEPS = 40


@pytest.fixture(params=["ext4", "xfs", "btrfs", "tmpfs"])
def disks(request: pytest.FixtureRequest, room: str) -> Iterator[tuple[str, str]]:
    """A file system of each kind for the upper, and another one for lowers."""
    able = capabilities.file_system(request.param)
    if not able:
        pytest.skip(f"needs {request.param}: {able.reason}")
    with new_directory(capabilities.session().directory) as base:
        point = capabilities.make_file_system(request.param, base)
        yield point, room
        umount2(point, MNT(0))


def test_the_model_is_the_kernel(disks: tuple[str, str]) -> None:
    """Laws 1 and 2 after every few steps: walks, providers, and what is changed."""
    Machine.disks = disks
    Machine.done.clear()
    Machine.refused.clear()
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
    print(Machine.done.total(), Machine.done, Machine.refused)
