"""Whole sets: brought up all or nothing, changed, and ended again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

import ovlctl
from ovlctl import errors
from ovlctl.kernel import mounts
from ovlctl.kernel.mount import umount2
from ovlctl.ops import records
from ovlctl.ops.sets import load
from ovlctl.ops.sets.compare import Action
from ovlctl.ops.sets.down import down
from ovlctl.ops.sets.status import Condition, status
from ovlctl.ops.sets.up import up
from ovlctl.ops.state import locate
from tests import capabilities, trees
from tests.ops.sets import world
from tests.ops.sets.world import BROKEN, MANY, World

if TYPE_CHECKING:
    from ovlctl.ops.steps import Step

pytestmark = capabilities.needs_overlay


def _names(*numbers: int) -> list[str]:
    return [f"s{number:02}" for number in numbers]


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def test_twenty_stacks(here: World) -> None:
    """Twenty stacks come up, each over what it names; a second up has nothing to do; down leaves nothing."""
    file = here.declare(**world.many())
    up(file)
    down(file, discard=True)
    before = here.everything()
    done = up(file)
    assert len(done.mounted) == MANY
    assert here.mounted() == _names(*range(1, MANY + 1))
    targets = [each.target or "" for each in done.mounted]
    for over, below in (("s02", "s01"), ("s03", "s05")):
        order = [each.name for each in done.mounted]
        assert order.index(below) < order.index(over)
    trees.make(f"{here.base}/t01", {"new": "through s01"})
    assert _read(f"{here.base}/t02/new") == "through s01"
    assert _read(f"{here.base}/t04/f") == "3"
    found = status(file, state=locate())
    assert [each.condition for each in found.stacks] == [Condition.AS_DECLARED] * MANY
    ids = {each.mount_point: each.mount_id for each in mounts.mounts() if each.mount_point in targets}
    again = up(file)
    assert not again.plan.changes
    assert again.mounted == ()
    assert ids == {each.mount_point: each.mount_id for each in mounts.mounts() if each.mount_point in targets}
    down(file, discard=True)
    assert here.everything() == before


def _missing(here: World) -> str:
    return 'lowers = ["no-such-directory", "l1"]'


def _missing_late(here: World) -> str:
    return 'lowers = ["t01/no-such-directory", "l1"]'


def _conflict(here: World) -> str:
    return 'lowers = ["l1", {stack = "s05"}]\noptions = {nfs_export = true, index = false}'


def _weaker(here: World) -> str:
    # A tmpfs has no uuid, without which the kernel leaves xino=auto out.
    return 'lowers = ["l1", "l2"]\nupper = "tmpfs"\noptions = {xino = "auto"}'


def _busy(here: World) -> str:
    trees.make(here.base, {"bu/": None, "bw/": None, "other/": None})
    ovlctl.mount(
        ovlctl.Stack([f"{here.base}/l9"], upper=f"{here.base}/bu", work=f"{here.base}/bw"), f"{here.base}/other"
    )
    return 'lowers = ["l1", {stack = "s05"}]\nupper = {dir = "bu", work = "bw"}'


def _occupied(here: World) -> str:
    ovlctl.mount(ovlctl.Stack([f"{here.base}/l9", f"{here.base}/l8"]), f"{here.base}/t13", name="foreign")
    return 'lowers = ["l1", {stack = "s05"}]\ntarget = "t13"'


def _written(here: World) -> str:
    return 'lowers = ["l1", "u"]'


BREAKS = {
    "missing lower": (_missing, errors.PathMissing, 0),
    "missing lower on another stack": (_missing_late, errors.PathMissing, BROKEN - 1),
    "options that exclude each other": (_conflict, errors.NfsExportNeedsIndex, 0),
    "weaker than asked": (_weaker, errors.WeakerThanAsked, BROKEN - 1),
    "upper in use": (_busy, errors.UpperInUse, BROKEN - 1),
    "target in use": (_occupied, errors.TargetOccupied, BROKEN - 1),
    "lower that another one writes to": (_written, errors.LowerInUse, BROKEN - 1),
}


@pytest.mark.parametrize(("broken", "kind", "least"), BREAKS.values(), ids=BREAKS)
def test_the_thirteenth_is_broken(here: World, broken: object, kind: type[errors.OvlError], least: int) -> None:
    """When one of twenty cannot be mounted there is exactly what was there before, and the error says so."""
    up(here.declare(s05='lowers = ["l7", "l8"]'))
    down(load(here.path), discard=True)
    assert callable(broken)
    file = here.declare(**world.many(s13=broken(here)))
    before = here.everything()
    with pytest.raises(kind) as caught:
        up(file)
    assert here.everything() == before
    notes = " ".join(caught.value.__notes__)
    assert "s13" in notes
    if least:
        assert "this happened while mounting s13" in notes
        assert "what was mounted before it was unmounted: s01, s02, s05" in notes
    else:
        assert "nothing was changed" in notes


def test_a_failed_change_is_taken_back(here: World) -> None:
    """What was ended for a change, or for good, is mounted again as it was, and nothing is lost from an upper."""
    old = {
        "gone": 'lowers = ["l1", "l2"]\nupper = "none"\ntarget = "t01"',
        "memory": 'lowers = ["l3"]\nupper = {tmpfs = "1M"}',
        "kept": 'lowers = ["l4"]\ntarget = "t02"',
        "given": 'lowers = ["l5"]\nupper = {dir = "u", work = "w"}\ntarget = "t03"',
        "over": 'lowers = ["l6", {stack = "memory"}]\ntarget = "t04"\noptions = {default_permissions = true}',
        "same": 'lowers = ["l8", "l9"]\nupper = "none"\ntarget = "t05"',
    }
    file = here.declare(**old)
    up(file)
    for each in ovlctl.overlays().overlays:
        if not each.read_only:
            trees.make(each.target or "", {f"mine-{each.name}": "precious"})
    before, kept = here.everything(), records.read(locate(), "same")
    changed = {name: body + "\noptions = {default_permissions = true}" for name, body in old.items() if name != "over"}
    del changed["gone"]
    changed["same"] = old["same"]
    broken = here.declare(
        **changed,
        over='lowers = ["l7", {stack = "memory"}]\nupper = "none"\ntarget = "t04"',
        last='lowers = ["l7", {stack = "memory"}, "u"]',
    )
    # A kept upper does not go under other lowers; without one this is a change like any other.
    with pytest.raises(errors.KeptUpperDiffers):
        up(broken)
    assert here.everything() == before
    broken = here.declare(
        **changed,
        over=old["over"].replace("true", "false"),
        last='lowers = ["l7", {stack = "memory"}, "u"]',
    )
    kinds = {"gone": "end", "memory": "change", "kept": "change", "given": "change", "over": "change"}
    assert here.actions() == {**kinds, "same": "keep", "last": "make"}
    with pytest.raises(errors.LowerInUse) as caught:
        up(broken)
    assert here.everything() == before
    notes = " ".join(caught.value.__notes__)
    assert "it was mounted again: " in notes
    for name in kinds:
        assert name in notes
    for each in ovlctl.overlays().overlays:
        if not each.read_only:
            assert _read(f"{each.target}/mine-{each.name}") == "precious"
    assert records.read(locate(), "same") == kept
    here.declare(**old)
    assert set(here.actions().values()) == {Action.KEEP}


def _reasons(here: World, name: str) -> list[str]:
    (found,) = (each for each in here.plan().actions if each.name == name)
    return [reason.text(lambda path: path.removeprefix(here.base + "/")) for reason in found.reasons]


def test_what_changed_is_said(here: World) -> None:
    """Each way in which a stack can differ from what is declared is a change with its reason."""
    base = 'lowers = ["l1", "l2"]\nupper = "none"\ntarget = "t01"'
    file = here.declare(a=base, b='lowers = [{stack = "a"}, "l3"]\nupper = "none"')
    up(file)
    over = 'lowers = [{stack = "a"}, "l3"]\nupper = "none"'
    expected = {
        base.replace('"l1", "l2"', '"l2", "l1"'): ["its lowers are declared in another order"],
        base.replace('"l2"', '"l4"'): [
            "the lower l2 is not declared any more",
            "the lower l4 is declared and not mounted",
        ],
        base.replace('"none"', '"kept"'): ["has no upper, declared is state/keep/stacks/a/upper"],
        base.replace("t01", "t02"): ["its target is t01, declared is t02"],
        base + "\noptions = {default_permissions = true}": [
            "option default_permissions is not asked for, declared is yes"
        ],
        base + '\ndata_only = ["l5"]': ["the data-only lower l5 is declared and not mounted"],
    }
    for body, reasons in expected.items():
        here.declare(a=body, b=over)
        assert _reasons(here, "a") == reasons
        assert "stands on a, which is mounted anew" in _reasons(here, "b")
    here.declare(a=base + '\noptions = {xino = "off"}', b=over)
    assert _reasons(here, "a") == []
    here.declare(a=base, b=over)
    os.rename(f"{here.base}/l1", f"{here.base}/was-l1")
    trees.make(f"{here.base}/l1", {"f": "another"})
    assert _reasons(here, "a") == ["the lower l1 is another directory than the one that was mounted"]
    assert [each.condition for each in status(file, state=locate()).stacks] == [
        Condition.CHANGED,
        Condition.AS_DECLARED,
    ]
    up(file)
    assert _read(f"{here.base}/t01/f") == "another"
    assert here.actions() == {"a": Action.KEEP, "b": Action.KEEP}


def test_one_that_was_remade_by_hand(here: World) -> None:
    """A stack whose ground was ended and mounted again by hand holds the old one, and is mounted anew."""
    file = here.declare(a='lowers = ["l1", "l2"]\nupper = "none"\ntarget = "t01"', b='lowers = [{stack = "a"}, "l3"]')
    up(file)
    ovlctl.umount("a")
    assert here.actions() == {"a": Action.MAKE, "b": Action.CHANGE}
    up(file, ["a"])
    assert here.actions() == {"a": Action.KEEP, "b": Action.KEEP}
    umount2(f"{here.base}/t01")
    ovlctl.umount("a")
    ovlctl.mount(ovlctl.Stack([f"{here.base}/l1", f"{here.base}/l2"]), f"{here.base}/t01", name="a")
    with pytest.raises(errors.NameTaken, match="not mounted from"):
        here.plan()
    found = status(file, state=locate())
    assert [each.condition for each in found.stacks] == [Condition.NOT_MOUNTED, Condition.CHANGED]
    assert "mounted since" in found.stacks[1].reasons[0].text()


def test_a_subset_brings_what_it_stands_on(here: World) -> None:
    """Named stacks bring their grounds along and nothing else; what is not declared any more stays."""
    file = here.declare(a='lowers = ["l1"]', b='lowers = ["l2", {stack = "a"}]', c='lowers = ["l3"]')
    up(file, ["b"])
    assert here.mounted() == ["a", "b"]
    file = here.declare(a='lowers = ["l1"]', c='lowers = ["l3"]')
    up(file, ["c"])
    assert here.mounted() == ["a", "b", "c"]
    up(file)
    assert here.mounted() == ["a", "c"]
    with pytest.raises(errors.StackUndeclared):
        up(file, ["d"])


def test_down_by_name(here: World) -> None:
    """A stack on which another mounted one stands is not ended before that one; the hint ends both."""
    file = here.declare(a='lowers = ["l1"]\ntarget = "t01"', b='lowers = ["l2", {stack = "a"}]', c='lowers = ["l3"]')
    up(file)
    with pytest.raises(errors.StackStoodUpon) as caught:
        down(file, ["a"])
    assert (caught.value.hint(str) or "").endswith("set.toml a b`")
    assert here.mounted() == ["a", "b", "c"]
    assert [each.name for each in down(file, ["a", "b"]).ending] == ["b", "a"]
    assert down(file, ["a"]).ending == ()
    ovlctl.mount(ovlctl.Stack([f"{here.base}/l7", f"{here.base}/l8"]), f"{here.base}/t02", name="hand")
    up(file, ["a"])
    ovlctl.mount(ovlctl.Stack([f"{here.base}/l4", f"{here.base}/t01"]), f"{here.base}/t03", name="on-a")
    for ending in (lambda: down(file), lambda: up(here.declare(a='lowers = ["l1"]\ntarget = "t04"'))):
        with pytest.raises(errors.StackStoodUpon) as caught:
            ending()
        assert (caught.value.hint(str) or "") == f"`ovlctl umount {here.base}/t03` first"
    file = here.declare(a='lowers = ["l1"]\ntarget = "t01"')
    ovlctl.umount("on-a")
    with pytest.raises(errors.StackUndeclared):
        down(file, ["hand"])
    down(file)
    assert here.mounted() == ["hand"]


def test_uppers_outlive_down(here: World) -> None:
    """Without discard what was written is there again after the next up; with it, also later, it is gone."""
    file = here.declare(k='lowers = ["l1"]\ntarget = "t01"', m='lowers = ["l2"]\nupper = "tmpfs"\ntarget = "t02"')
    up(file)
    for target in ("t01", "t02"):
        trees.make(f"{here.base}/{target}", {"mine": "precious"})
    assert len(down(file).kept) == 2
    up(file)
    for target in ("t01", "t02"):
        assert _read(f"{here.base}/{target}/mine") == "precious"
    down(file)
    asked: list[tuple[str, ...]] = []

    def refuse(doomed: tuple[str, ...]) -> bool:
        asked.append(doomed)
        return False

    with pytest.raises(errors.NotConfirmed):
        down(file, discard=True, agreed=refuse)
    assert [len(doomed) for doomed in asked] == [2]
    down(file, discard=True)
    assert not ovlctl.overlays().overlays
    assert not [each for each in mounts.mounts("tmpfs") if each.mount_point.startswith(here.base + "/")]
    assert down(file, discard=True).discarding == ()


def test_refused_before_there_is_a_state(here: World, state_dir: str) -> None:
    """A set that is refused at once leaves not even a state directory."""
    with pytest.raises(errors.PathMissing):
        up(here.declare(a='lowers = ["no"]'))
    assert not os.path.exists(state_dir)


def test_an_interrupt_takes_everything_back(here: World) -> None:
    """An interrupt after any step of any stack leaves what was there before."""
    first = here.declare(a='lowers = ["l1"]\nupper = "tmpfs"\ntarget = "t01"')
    up(first)
    before = here.everything()
    file = here.declare(
        a='lowers = ["l1"]\nupper = "tmpfs"\ntarget = "t02"',
        b='lowers = ["l2", {stack = "a"}]\ntarget = "t03"',
    )
    taken: list[Step] = []
    for stop in range(1, 30):
        taken.clear()

        def interrupt(step: Step) -> None:
            taken.append(step)
            if len(taken) == stop:  # noqa: B023 -- called within this turn
                raise KeyboardInterrupt

        try:
            up(file, watch=interrupt)
        except KeyboardInterrupt:
            assert here.everything() == before
        else:
            break
    assert 10 < len(taken) < 29
    assert here.mounted() == ["a", "b"]


def test_an_upper_goes_over_the_lowers_that_are_declared(here: World) -> None:
    """Other lowers under a kept upper are a change like any other, said once; what was written stays."""
    old, new = 'lowers = ["l1", "l2"]\ntarget = "t01"', 'lowers = ["l3", "l2"]\ntarget = "t01"'
    up(here.declare(a=old))
    trees.make(f"{here.base}/t01", {"mine": "precious"})
    before = here.everything()
    file = here.declare(a=new, b='lowers = ["l4", {stack = "a"}, "state/keep/stacks/a/upper"]')
    with pytest.raises(errors.LowerInUse):
        up(file)
    assert here.everything() == before
    assert _read(f"{here.base}/t01/f") == "1"
    done = up(here.declare(a=new))
    assert any("made over other lowers" in caution.text() for caution in done.cautions)
    assert _read(f"{here.base}/t01/f") == "3"
    assert _read(f"{here.base}/t01/mine") == "precious"
    down(load(here.path))
    assert up(load(here.path)).cautions == ()
    down(load(here.path))
    up(here.declare(a=old))
    assert _read(f"{here.base}/t01/f") == "1"
    ovlctl.umount("a")
    with pytest.raises(errors.KeptUpperDiffers):
        ovlctl.mount(ovlctl.Stack([f"{here.base}/l3"]), allocate=ovlctl.KeptUpper(), name="a")


@capabilities.needs_root
@pytest.mark.parametrize("option", ["index", "metacopy", "redirect_dir"])
def test_an_upper_that_is_bound_to_its_lowers(here: World, option: str) -> None:
    """With marks that mean something over the old lowers only, an upper does not go over others."""
    body = f'lowers = ["l1", "l2"]\noptions = {{{option} = true}}'
    up(here.declare(a=body))
    before = here.everything()
    with pytest.raises(errors.KeptUpperDiffers, match="made over other lowers"):
        up(here.declare(a=body.replace("l1", "l3")))
    assert here.everything() == before
