"""Every way in which a mount goes wrong, told by nothing but the mount line, or by what was said about it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from ovlctl import errors
from ovlctl.kernel.kmsg import KernelLog
from ovlctl.kernel.mount import MS, mount, umount2
from ovlctl.ops import why
from ovlctl.ops.why import Certainty, Verdict
from ovlctl.overlay import encode
from tests import capabilities, trees
from tests.ops.test_error_rows import ROWS, Row, Scene, asking, parameters
from tests.patience import eventually

if TYPE_CHECKING:
    from ovlctl.overlay.stack import Stack

pytestmark = [capabilities.needs_overlay]

#: The string form of these is cut, or is no string that a person would write.
_ALSO_TOO_LONG = {"501 lowers"}


def line(scene: Scene, stack: Stack, target: str) -> list[str]:
    """The mount(8) command for *stack*, with nothing stated that was not asked."""
    words = os.fsdecode(encode.mount_data(stack, stack.options))
    if stack.data_only and not stack.lowers:
        words = words.replace("lowerdir=::", "datadir+=")
    return ["mount", "-t", "overlay", "overlay", "-o", words, target]


def target_of(scene: Scene, row: Row) -> str:
    """The row's target, made unless it is about one that is missing."""
    return scene.dir("t") if row.target == "t" else os.path.join(scene.base, row.target)


@pytest.mark.parametrize("row", parameters(ROWS))
def test_the_line_alone_is_enough(row: Row, scene: Scene) -> None:
    """`why -- mount ...` names the cause that `ovlctl mount` would name, certain, with a fix, and mounts nothing."""
    stack = row.make(scene)
    found = why.explain_command(line(scene, stack, target_of(scene, row)))
    named = [type(each.error) for each in found.findings]
    assert row.expected in named
    if row.name not in _ALSO_TOO_LONG:
        assert named[0] is row.expected
    finding = found.findings[named.index(row.expected)]
    assert finding.certainty is Certainty.CERTAIN
    assert finding.error.hint()
    assert finding.evidence is None


@capabilities.needs_root
@pytest.mark.parametrize("row", asking(ROWS))
def test_what_mount_and_the_kernel_say_is_enough(row: Row, scene: Scene) -> None:
    """mount(8) refuses where `why` says the kernel would; its message and the log line lead to the row's cause."""
    stack = row.make(scene)
    argv = line(scene, stack, target_of(scene, row))
    verdicts = {each.verdict for each in why.explain_command(argv).findings}
    status, said, logged = _tried(argv)
    if row.name not in _ALSO_TOO_LONG | {"string too long"}:
        assert (Verdict.REFUSES in verdicts) == (status != 0)
    if status == 0 or row.name in _ALSO_TOO_LONG:
        return
    assert row.expected in causes(said)

    def ours_says_it() -> bool:
        """Where the log does not tell who wrote a line, others' lines are among them, and ours may be none."""
        nonlocal logged
        if not logged or any(row.expected in causes(f"[ 12.345678] {text}") for text in logged):
            return True
        _, _, logged = _tried(argv)
        return False

    assert row.name == "string too long" or eventually(ours_says_it), logged


def _tried(argv: list[str]) -> tuple[int, str, list[str]]:
    """Run a mount command and end what it mounted: its status, what it said, and what was logged meanwhile."""
    with KernelLog() as log:
        done = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        log.accept(done.pid)
        _, said = done.communicate(timeout=60)
        logged = list(log.lines())
    if done.returncode == 0:
        umount2(argv[-1])
    return done.returncode, said, logged


def causes(text: str) -> set[type[errors.OvlError]]:
    """Everything that *text* can mean."""
    try:
        found = why.explain_text(text).findings
    except errors.NothingRecognised:
        return set()
    return {each.cause for one in found for each in one.candidates} | {type(one.error) for one in found}


def test_a_sound_line(scene: Scene) -> None:
    """Nothing is found wrong with what would mount, relative paths count from the present directory."""
    stack = scene.stack()
    found = why.explain_command(line(scene, stack, scene.dir("t")))
    assert [each for each in found.findings if not isinstance(each.error, errors.MissingCapability)] == []


def test_a_mounted_line_is_not_its_own_enemy(scene: Scene) -> None:
    """A line that is mounted already is said to be, and not to share its upper with itself."""
    stack = scene.stack()
    target = scene.overlay("t", stack)
    found = why.explain_command(line(scene, stack, target))
    assert {type(each.error) for each in found.findings} == {errors.TargetOccupied}
    assert found.findings[0].verdict is Verdict.MOUNTS


@capabilities.needs_root
def test_the_module_decides_what_a_line_leaves_open(scene: Scene) -> None:
    """With index=on as the module's default a stale upper is an error without index=on in the line."""
    parameter = "/sys/module/overlay/parameters/index"
    if not os.path.exists(parameter):
        pytest.skip("needs the module's parameter")
    umount2(scene.overlay("m", scene.stack(index="on")))
    scene.mounted.clear()
    stack = scene.with_paths(lowers=[scene.dir("l3"), scene.dir("l2")])
    words = line(scene, stack, scene.dir("t"))
    assert why.explain_command(words).findings == ()
    # Only in this mount namespace: others mount meanwhile.
    trees.make(scene.base, {"index": "Y\n"})
    mount(f"{scene.base}/index", parameter, None, MS.BIND)
    try:
        found = why.explain_command(words)
    finally:
        umount2(parameter)
    assert [type(each.error) for each in found.findings] == [errors.UpperOfOtherLower]
