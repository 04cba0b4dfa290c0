"""Stacks of a file that cannot be ended, or not be mounted again: nothing is touched then."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from ovlctl import errors
from ovlctl.kernel.mount import MS, mount, umount2
from ovlctl.kernel.namespaces import enter_private_mounts
from ovlctl.ops.sets import load
from ovlctl.ops.sets.compare import Action
from ovlctl.ops.sets.down import down
from ovlctl.ops.sets.status import status
from ovlctl.ops.sets.up import plan, up
from ovlctl.ops.state import locate
from tests import capabilities
from tests.patience import eventually

if TYPE_CHECKING:
    from tests.ops.sets.world import World

pytestmark = capabilities.needs_overlay


def test_nothing_is_half_ended(here: World) -> None:
    """When one mount is in use nothing is ended, nor marked to expire, by down or by up."""
    file = here.declare(
        a='lowers = ["l1"]\ntarget = "t01"',
        inside='lowers = ["l2"]\ntarget = "t01/d"',
        b='lowers = ["l3"]\ntarget = "t02"',
    )
    up(file)
    before = here.everything()
    with open(f"{here.base}/t01/f", encoding="ascii"):
        for ending in (lambda: down(file), lambda: up(here.declare(b='lowers = ["l3"]\ntarget = "t02"'))):
            with pytest.raises(errors.MountBusy) as caught:
                ending()
            assert "nothing was ended" in caught.value.__notes__
            assert here.mounted() == ["a", "b", "inside"]
    assert here.everything() == before
    # Two questions in a row would end a mount if the first one left its mark.
    for _ in range(3):
        here.declare(a='lowers = ["l1"]\ntarget = "t01"', inside='lowers = ["l2"]\ntarget = "t01/d"')
        with open(f"{here.base}/t02/f", encoding="ascii"), pytest.raises(errors.MountBusy):
            up(load(here.path))
    assert here.everything() == before
    assert [each.name for each in down(load(here.path)).ending] == ["b", "inside", "a"]


def test_an_upper_that_somebody_else_keeps(here: World) -> None:
    """A bind mount, or a copy in a private namespace, would keep the upper in use: nothing is ended then."""
    up(here.declare(a='lowers = ["l1"]\ntarget = "t01"'))
    changed = here.declare(a='lowers = ["l1"]\ntarget = "t02"')
    before = here.everything()
    mount(f"{here.base}/t01/d", f"{here.base}/t03", None, MS.BIND)
    with pytest.raises(errors.MountBusy) as caught:
        up(changed)
    assert caught.value.hint(str) == f"`umount {here.base}/t03` first"
    umount2(f"{here.base}/t03")
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            enter_private_mounts()
            os.write(told, b"x")
            signal.pause()
        finally:
            os._exit(0)
    try:
        os.read(ready, 1)
        with pytest.raises(errors.MountBusy, match=f"mount namespace of pid {child} as well"):
            up(changed)
        assert here.everything() == before
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(told)

    def ended() -> bool:
        try:
            up(changed)
        except errors.OvlError:
            return False
        return True

    # The kernel takes a dead namespace apart a little later.
    assert eventually(ended)
    assert here.actions() == {"a": Action.KEEP}


def test_what_could_not_be_mounted_again_is_not_ended(here: World) -> None:
    """A volatile stack, and an upper in memory that is to have another size, have to be discarded by somebody."""
    file = here.declare(v='lowers = ["l1"]\noptions = {volatile = true}', m='lowers = ["l2"]\nupper = {tmpfs = "1M"}')
    up(file)
    before = here.everything()
    here.declare(
        v='lowers = ["l1"]\ntarget = "t01"\noptions = {volatile = true}', m='lowers = ["l2"]\nupper = {tmpfs = "1M"}'
    )
    with pytest.raises(errors.VolatileLeftover):
        up(load(here.path))
    here.declare(v='lowers = ["l1"]\noptions = {volatile = true}', m='lowers = ["l2"]\nupper = {tmpfs = "2M"}')
    with pytest.raises(errors.KeptUpperDiffers, match="has another size"):
        plan(load(here.path), state=locate())
    assert here.everything() == before
    down(file, discard=True)
    up(load(here.path))
    assert set(here.actions().values()) == {Action.KEEP}


@pytest.mark.parametrize("within", [True, False], ids=["the same path there", "no such path there"])
def test_a_mount_above_hides_it(here: World, *, within: bool) -> None:
    """A stack that a later mount hides is not as declared, and is not ended until it can be reached again."""
    os.mkdir(f"{here.base}/t01/t")
    file = here.declare(a='lowers = ["l1"]\ntarget = "t01/t"')
    up(file)
    mount("tmpfs", f"{here.base}/t01", "tmpfs")
    if within:
        os.mkdir(f"{here.base}/t01/t")
    (found,) = status(file, state=locate()).stacks
    assert [note.paths for note in found.reasons] == [(f"{here.base}/t01",)]
    for ending in (up, down):
        with pytest.raises(errors.TargetOccupied) as caught:
            ending(file)
        assert caught.value.hint(str) == f"`umount {here.base}/t01` ends what is on top"
    umount2(f"{here.base}/t01")
    assert here.actions() == {"a": Action.KEEP}


def test_a_mount_on_top_hides_it(here: World) -> None:
    """A stack with something mounted on it at the same place is not as declared either."""
    file = here.declare(a='lowers = ["l1"]\ntarget = "t01"')
    up(file)
    mount("tmpfs", f"{here.base}/t01", "tmpfs")
    assert here.actions() == {"a": Action.CHANGE}
    with pytest.raises(errors.MountBusy):
        up(file)
    umount2(f"{here.base}/t01")
    assert here.actions() == {"a": Action.KEEP}
