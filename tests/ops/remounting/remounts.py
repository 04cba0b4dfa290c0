"""What tests of remounts share."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import ovlctl
from ovlctl import errors
from ovlctl.kernel import mounts, namespaces
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from ovlctl.ops import records
from ovlctl.ops.remounting import How
from ovlctl.ops.state import locate
from tests import capabilities, trees

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: The way of a remount that every kernel has: without a gap where that can be.
WAY = How(with_gap=not capabilities.mount_beneath())


@pytest.fixture
def ground(scratch: str, state_dir: str) -> Iterator[str]:
    """Lowers A, B and C, an upper and a target; what is left mounted there is ended."""
    for name in "ABC":
        trees.make(os.path.join(scratch, name), {"f": name, f"only-{name}": name})
    trees.make(scratch, {"t/": None, "up/": None, "work/": None})
    yield scratch
    for each in reversed(mounts.mounts("overlay")):
        if each.mount_point.startswith(scratch):
            umount2(each.mount_point, MNT.DETACH)


def mounted(ground: str, *names: str, upper: bool = False, **options: str) -> str:
    """Mount the stack s of the lowers *names* (A and B without any) at t, and return that."""
    asked = ovlctl.Options()
    for key, value in options.items():
        asked = asked.with_value(key, value)
    layers = [os.path.join(ground, name) for name in names or "AB"]
    top, work = (os.path.join(ground, name) if upper else None for name in ("up", "work"))
    stack = ovlctl.Stack(layers, upper=top, work=work, options=asked)
    return ovlctl.mount(stack, os.path.join(ground, "t"), name="s").target


def content(path: str) -> str:
    """What the file *path* holds."""
    with open(path) as file:
        return file.read()


def hold(code: str, *args: str) -> subprocess.Popen[str]:
    """A process that does *code* and then waits."""
    script = f"import os, sys, time\n{code}\nprint('ready', flush=True)\ntime.sleep(600)"
    held = subprocess.Popen([sys.executable, "-c", script, *args], stdout=subprocess.PIPE, text=True)
    assert held.stdout is not None
    assert held.stdout.readline() == "ready\n"
    return held


def end(process: subprocess.Popen[str]) -> None:
    """End what :func:`hold` gave."""
    process.kill()
    process.communicate()


def unchanged(ground: str, act: Callable[[], object], kind: type[errors.OvlError]) -> errors.OvlError:
    """*act* raises *kind* and leaves the mounts, the record and the state directory as they were."""
    before = mounts.mounts(), records.read(locate(), "s"), set(trees.everything(os.path.join(ground, "state")))
    with pytest.raises(kind) as caught:
        act()
    assert mounts.mounts() == before[0]
    assert records.read(locate(), "s") == before[1]
    assert set(trees.everything(os.path.join(ground, "state"))) - before[2] <= {"run/probes.json"}
    return caught.value


def in_namespace(propagation: MS = MS.PRIVATE) -> tuple[int, int]:
    """A child in a mount namespace of its own, and a descriptor whose end ends it."""
    reader, writer = os.pipe()
    entered = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            namespaces.unshare(namespaces.CLONE.NEWNS)
            if propagation is not MS.SHARED:
                mount(None, "/", None, MS.REC | propagation)
            os.close(writer)
            os.write(entered[1], b"x")
            os.read(reader, 1)
        finally:
            os._exit(0)
    os.close(reader)
    os.read(entered[0], 1)
    os.close(entered[0])
    os.close(entered[1])
    return child, writer
