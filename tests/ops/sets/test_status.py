"""How what is mounted stands to what is declared, and what was changed in the lowers since."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import ovlctl
from ovlctl import errors
from ovlctl.kernel.mount import MS, mount
from ovlctl.ops import discover, drift, records
from ovlctl.ops.discover import Standing
from ovlctl.ops.drift import LowerDrift
from ovlctl.ops.sets import load
from ovlctl.ops.sets.down import down
from ovlctl.ops.sets.status import Condition, status
from ovlctl.ops.sets.up import up
from ovlctl.ops.state import locate
from ovlctl.show.sets import status_advice
from tests import capabilities, trees
from tests.ops.sets import world

if TYPE_CHECKING:
    from collections.abc import Callable

    from ovlctl.ops.records import Record
    from ovlctl.ops.sets.status import SetStatus
    from tests.ops.sets.world import World

pytestmark = capabilities.needs_overlay

_BOTH = 'lowers = ["l1", "l2"]\nupper = "none"\ntarget = "t01"'


def _tick() -> None:
    """Wait until the clock that the kernel stamps files with has moved on."""
    time.sleep(0.02)


def _status(here: World) -> SetStatus:
    return status(load(here.path), state=locate())


def _record(name: str) -> Record:
    found = records.read(locate(), name)
    assert found is not None
    return found


def _changed(here: World, name: str) -> dict[str, tuple[str, ...]]:
    """The changed paths of each changed lower of the stack *name*."""
    (found,) = (each.drift for each in _status(here).stacks if each.name == name)
    assert found is not None
    return {each.lower.removeprefix(here.base + "/"): each.first for each in found.lowers}


def test_one_lower_of_twenty_stacks(here: World) -> None:
    """After one lower is edited exactly those stacks are named whose lower it is, or that stand on one of them."""
    file = here.declare(**world.many())
    up(file)
    _tick()
    found = _status(here)
    assert found.fine
    assert all(each.drift is not None and not each.drift.lowers for each in found.stacks)
    trees.make(f"{here.base}/l3/d", {"e": "edited"})
    found = _status(here)
    assert not found.fine
    assert {each.condition for each in found.stacks} == {Condition.AS_DECLARED}
    changed = {each.name for each in found.stacks if not each.fine}
    # l3 is a lower of s02, s07, ..., and these lend their layers to s04, s09, ...
    assert changed == {f"s{number:02}" for number in (2, 7, 12, 17, 4, 9, 14, 19)}
    assert _changed(here, "s07") == {"l3": ("d/e",)}
    assert all(each.drift is None for each in status(file, state=locate(), lowers=False).stacks)
    assert status(file, state=locate(), lowers=False).fine
    down(file, discard=True)


def _backdate(path: str) -> None:
    trees.make(path, {"f": "new"})
    os.utime(f"{path}/f", (1, 1))


def _rename(path: str) -> None:
    os.rename(f"{path}/f", f"{path}/g")


def _replace(path: str) -> None:
    trees.make(path, {"../new": "x"})
    os.rename(f"{path}/../new", f"{path}/f")


CHANGES: dict[str, tuple[Callable[[str], object], tuple[str, ...]]] = {
    "content": (lambda path: trees.make(path, {"f": "new"}), ("f",)),
    "content with the old time": (_backdate, ("f",)),
    "mode": (lambda path: os.chmod(f"{path}/f", 0o600), ("f",)),
    "owner": (lambda path: os.chown(f"{path}/d", os.geteuid(), -1), ("d",)),
    "new file": (lambda path: trees.make(path, {"new": ""}), (".", "new")),
    "removed": (lambda path: os.unlink(f"{path}/d/e"), ("d",)),
    "renamed": (_rename, (".", "g")),
    "replaced": (_replace, (".", "f")),
    "new link": (lambda path: os.symlink("/", f"{path}/link"), (".", "link")),
    "xattr": (lambda path: os.setxattr(f"{path}/f", "user.x", b"1"), ("f",)),
    "nothing": (os.listdir, ()),
    "a name that is not UTF-8": (lambda path: trees.make(path, {"\udcff\n": ""}), (".", "\udcff\n")),
}


@pytest.mark.parametrize(("change", "paths"), CHANGES.values(), ids=CHANGES)
def test_every_change_is_seen(here: World, change: Callable[[str], object], paths: tuple[str, ...]) -> None:
    """Whatever is done to a lower has a path; reading has none, nor has what nobody touched."""
    up(here.declare(a=_BOTH))
    _tick()
    assert _status(here).fine
    change(f"{here.base}/l2")
    assert _changed(here, "a") == ({"l2": paths} if paths else {})
    assert _status(here).fine == (not paths)


def test_what_is_looked_at(here: World) -> None:
    """Links are not followed, other mounts in a lower are left out, and only the first paths are named."""
    trees.make(here.base, {"elsewhere/f": "", "l1/point/": None})
    os.symlink(f"{here.base}/elsewhere", f"{here.base}/l1/link")
    mount(f"{here.base}/elsewhere", f"{here.base}/l1/point", None, MS.BIND)
    up(here.declare(a=_BOTH))
    _tick()
    trees.make(f"{here.base}/elsewhere", {"f": "new", "g": "new"})
    assert _changed(here, "a") == {}
    trees.make(f"{here.base}/l1/d", {f"{number:02}": "" for number in range(40)})
    (found,) = drift.since_mount([_record("a")], limit=3)["a"].lowers
    assert (found.changed, found.first) == (41, ("d", "d/00", "d/01"))
    assert drift.since_mount([_record("a")])["a"].changed == 41


def test_a_lower_that_several_stacks_have(here: World) -> None:
    """A directory is looked at once for all; each stack counts from its own mount on."""
    up(here.declare(a=_BOTH))
    _tick()
    trees.make(f"{here.base}/l1", {"f": "between"})
    _tick()
    here.declare(a=_BOTH, b='lowers = ["l1", "l3"]\nupper = "none"')
    up(load(here.path))
    assert _changed(here, "a") == {"l1": ("f",)}
    assert _changed(here, "b") == {}


def test_a_name_that_another_file_has(here: World) -> None:
    """A stack of the same name from elsewhere is none of this file's, and up, which refuses it, is not advised."""
    up(here.declare(a='lowers = ["l1"]'))
    copy = f"{here.base}/copy.toml"
    shutil.copy(here.path, copy)
    found = status(load(copy), state=locate())
    assert [(each.condition, each.is_another) for each in found.stacks] == [(Condition.NOT_MOUNTED, True)]
    assert list(status_advice(found)) == []


def test_the_merged_view_of_another_stack(here: World) -> None:
    """What is written through a stack's own upper is no change of its lowers, and one for those that stand on it."""
    up(here.declare(base='lowers = ["l1"]\ntarget = "t01"', over='lowers = [{stack = "base"}, "l2"]\nupper = "none"'))
    _tick()
    trees.make(f"{here.base}/t01", {"new": "through base"})
    assert _changed(here, "base") == {}
    assert "new" in _changed(here, "over")["t01"]


@capabilities.needs_root
def test_read_only_lowers_are_not_walked(here: World) -> None:
    """A superblock that nothing can be written to is not looked at, for all that could be found there."""
    os.mkdir(f"{here.base}/ro")
    mount("tmpfs", f"{here.base}/ro", "tmpfs")
    up(here.declare(a='lowers = ["ro", "l2"]\nupper = "none"'))
    _tick()
    trees.make(f"{here.base}/ro", {"f": "new"})
    assert _changed(here, "a") == {"ro": (".", "f")}
    mount(None, f"{here.base}/ro", None, MS.REMOUNT | MS.RDONLY)
    assert _changed(here, "a") == {}


def test_a_lower_that_is_covered(here: World) -> None:
    """A stack mounted over one of its lowers hides it: that is said, instead of something about the mount."""
    up(here.declare(a='lowers = ["l1", "l2"]\nupper = "none"\ntarget = "l1"'))
    (found,) = _status(here).stacks
    assert found.drift is not None
    assert found.drift.lowers == (LowerDrift(lower=f"{here.base}/l1", covered=True),)
    assert found.condition is Condition.AS_DECLARED


def test_the_clock_was_set(here: World) -> None:
    """A clock that was set since the mount is told; one that runs is not."""
    up(here.declare(a=_BOTH))
    record = _record("a")
    assert drift.since_mount([record])["a"].clock_set_ns == 0
    hour = 3_600_000_000_000
    ahead = (record.clock_ns or 0) + hour
    assert -drift.since_mount([replace(record, clock_ns=ahead)])["a"].clock_set_ns == pytest.approx(hour, rel=0.01)


def test_conditions(here: World) -> None:
    """Each stack is as declared, changed, not mounted, or not declared any more; nothing else is fine."""
    up(here.declare(a=_BOTH, b='lowers = ["l3"]', c='lowers = ["l4"]', d='lowers = ["l5"]'))
    here.declare(b='lowers = ["l3"]', c='lowers = ["l4"]\ntarget = "t02"', d='lowers = ["l5"]', e=_BOTH)
    ovlctl.umount("d")
    found = _status(here)
    assert {each.name: each.condition for each in found.stacks} == {
        "b": Condition.AS_DECLARED,
        "c": Condition.CHANGED,
        "d": Condition.NOT_MOUNTED,
        "e": Condition.NOT_MOUNTED,
        "a": Condition.NOT_DECLARED,
    }
    assert not found.fine
    assert status(load(here.path), ["b"], state=locate()).fine
    with pytest.raises(errors.StackUndeclared):
        status(load(here.path), ["a"], state=locate())


def test_stacks_are_found_by_file(here: World) -> None:
    """FILE#NAME names a stack that came from that file, FILE the only one; nothing else of the same name."""
    state = locate()
    up(here.declare(a=_BOTH, b='lowers = ["l3"]'))
    assert discover.find(state, f"{here.path}#a").target == f"{here.base}/t01"
    with pytest.raises(errors.BadUsage, match="declares 2 stacks"):
        discover.find(state, here.path)
    with pytest.raises(errors.StackUndeclared):
        discover.find(state, f"{here.path}#c")
    with pytest.raises(errors.PathMissing):
        discover.find(state, f"{here.base}/no.toml#a")
    ovlctl.umount(f"{here.path}#b")
    assert discover.find(state, f"{here.path}#b").standing is Standing.KEPT
    ovlctl.umount(f"{here.path}#b", discard=True)
    with pytest.raises(errors.StackNotFound) as caught:
        discover.find(state, f"{here.path}#b")
    assert "up" in (caught.value.hint(str) or "")
    here.declare(a=_BOTH)
    assert discover.find(state, here.path).name == "a"
    ovlctl.umount("a")
    ovlctl.mount(ovlctl.Stack([f"{here.base}/l1", f"{here.base}/l2"]), name="a")
    with pytest.raises(errors.StackNotFound):
        discover.find(state, f"{here.path}#a")


def test_a_stack_directory(here: World) -> None:
    """A stack directory of systemd is brought up, looked at, named and ended like a stack file."""
    trees.make(here.base, {"x.mstack/layer@1/": None, "x.mstack/layer@2/f": "two", "x.mstack/rw/": None})
    trees.make(f"{here.base}/x.mstack", {"rw/data/": None, "rw/work/": None})
    path = f"{here.base}/x.mstack"
    file = load(path)
    (made,) = up(file).mounted
    assert discover.find(locate(), path).target == made.target
    assert status(file, state=locate()).fine
    assert not up(file).plan.changes
    assert len(down(file).ending) == 1
    assert here.mounted() == []
