"""remount and refresh: what changes, what stays, and what is refused before anything is changed."""

from __future__ import annotations

import errno
import os
import signal
from contextlib import suppress

import pytest

import ovlctl
from ovlctl import errors
from ovlctl.kernel import fscontext, mounts
from ovlctl.kernel.mount import MS, mount, umount2
from ovlctl.kernel.own_mounts import without
from ovlctl.ops import records, remounting
from ovlctl.ops.preflight.in_use import in_use
from ovlctl.ops.remounting import Changes, How
from ovlctl.ops.state import locate
from tests import capabilities, sandbox, trees
from tests.forks import in_child
from tests.ops.remounting.remounts import WAY, content, ground, mounted, unchanged

__all__ = ["ground"]

pytestmark = capabilities.needs_overlay
WAYS = [
    pytest.param(How(), id="swapped", marks=capabilities.needs_mount_beneath),
    pytest.param(How(with_gap=True), id="with a gap"),
]


@pytest.mark.parametrize("upper", [False, True], ids=["read-only", "with upper"])
def test_what_is_not_given_stays(ground: str, *, upper: bool) -> None:
    """Lowers are put on top or dropped, options are added; all else is as it was, and so is what was written."""
    target = mounted(ground, upper=upper, xino="off")
    if upper:
        trees.make(target, {"mine": "precious"})
        os.unlink(f"{target}/only-B")
    first = records.read(locate(), "s")
    done = remounting.remount("s", Changes(add=(f"{ground}/C",)), WAY)
    assert done.overlay.stack.lowers == tuple(f"{ground}/{name}" for name in "CAB")
    assert done.before.lowers == tuple(f"{ground}/{name}" for name in "AB")
    assert content(f"{target}/f") == "C"
    changes = Changes(drop=(f"{ground}/A/",), options=ovlctl.Options(default_permissions=ovlctl.Flag.YES))
    done = remounting.remount(target, changes, WAY)
    assert not os.path.exists(f"{target}/only-A")
    now = records.read(locate(), "s")
    assert first is not None
    assert now is not None
    assert {key.name: value for key, value in now.stack.options.asked()} == {
        "xino": "off",
        "default_permissions": "yes",
    }
    assert (now.began_ns or 0) > (first.began_ns or 0)
    assert (now.origin, now.made, now.namespace) == (first.origin, first.made, first.namespace)
    assert len(now.seen) == len(now.stack.lowers)
    (standing,) = mounts.mounts("overlay")
    assert standing.unique_id == now.mount_id
    if upper:
        assert content(f"{target}/mine") == "precious"
        assert not os.path.exists(f"{target}/only-B")
        trees.make(target, {"more": ""})
        assert in_use(f"{ground}/up"), "the kernel knows that the upper is taken"
    ovlctl.umount("s")


def test_refresh_shows_changed_lowers(ground: str) -> None:
    """A name looked up in vain and made in a lower since is listed and not found (kernel-made), until a refresh."""
    target = mounted(ground, upper=True)
    assert not os.path.exists(f"{target}/new")
    trees.make(f"{ground}/A", {"new": "now"})
    assert not os.path.exists(f"{target}/new")
    done = remounting.refresh("s", WAY)
    assert done.overlay.stack == done.before
    assert content(f"{target}/new") == "now"


@pytest.mark.parametrize(
    "api",
    [
        ovlctl.Api.MOUNT,
        pytest.param(ovlctl.Api.FSCONFIG, marks=capabilities.needs_lowerdir_plus),
        ovlctl.Api.RELATIVE,
    ],
)
def test_every_rung(ground: str, api: ovlctl.Api) -> None:
    """Whichever way the kernel is told, nothing of the making is seen and the record says how."""
    mounted(ground)
    done = remounting.refresh("s", How(api=api, with_gap=WAY.with_gap))
    assert done.overlay.record is not None
    assert done.overlay.record.api is api
    assert len(mounts.mounts("overlay")) == 1


def test_the_kernel_is_asked_without_effect(ground: str) -> None:
    """Whether a mount can be put beneath another one is known beforehand, and agrees with what then happens."""
    mounted(ground)
    table = mounts.mounts()
    known = fscontext.beneath_known()
    assert mounts.mounts() == table
    if known:
        remounting.refresh("s")
    else:
        unchanged(ground, lambda: remounting.refresh("s"), errors.BeneathMissing)


def test_target_over_a_lower(ground: str) -> None:
    """A stack mounted over one of its own lowers is remounted from the lower, not from what covers it."""
    stack = ovlctl.Stack([f"{ground}/A", f"{ground}/B"], upper=f"{ground}/up", work=f"{ground}/work")
    ovlctl.mount(stack, f"{ground}/A", name="s")
    trees.make(f"{ground}/A", {"f": "changed"})
    remounting.remount("s", Changes(add=(f"{ground}/C",)), WAY)
    assert content(f"{ground}/A/f") == "changed"
    assert os.path.exists(f"{ground}/A/only-C")
    ovlctl.umount("s")
    assert content(f"{ground}/A/f") == "A"


def test_with_gap(ground: str) -> None:
    """Unmounting first works where nothing can be put beneath; when the second mount fails the old one is back."""
    target = mounted(ground, upper=True)
    trees.make(target, {"mine": ""})
    done = remounting.remount("s", Changes(add=(f"{ground}/C",)), How(with_gap=True))
    assert done.overlay.record is not None
    assert content(f"{target}/f") == "C"
    assert os.path.exists(f"{target}/mine")

    def fail(step: object) -> None:
        if type(step).__name__ == "EndForGap":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        remounting.remount("s", Changes(drop=(f"{ground}/C",)), How(with_gap=True), watch=fail)
    assert content(f"{target}/f") == "C"
    record = records.read(locate(), "s")
    assert record is not None
    assert record.mount_id == mounts.mount_at(target).unique_id


@capabilities.needs_root
@capabilities.needs_mount_beneath
def test_marks_are_read_over_the_bridge(ground: str) -> None:
    """Metacopy and redirect marks in the upper are followed in the bridge: who reads never sees less."""
    target = mounted(ground, upper=True, metacopy="on")
    trees.make(f"{ground}/A", {"d/x": "deep"})
    remounting.refresh("s")
    os.rename(f"{target}/d", f"{target}/moved")
    os.chmod(f"{target}/f", 0o600)
    seen: list[str] = []

    def look(step: object) -> None:
        seen.append(content(f"{target}/moved/x") + content(f"{target}/f"))

    done = remounting.remount("s", watch=look)
    assert len(seen) > 5
    assert set(seen) == {"deepA"}
    assert any("metacopy=on" in note.template for note in done.cautions)
    options = ovlctl.Options(metacopy=ovlctl.Switch.OFF)
    unchanged(ground, lambda: remounting.remount("s", Changes(options=options)), errors.KeptUpperDiffers)


def test_volatile(ground: str) -> None:
    """The marker of a volatile mount goes when all was written back, so that the next mount is possible."""
    target = mounted(ground, upper=True, volatile="yes")
    trees.make(target, {"mine": "precious"})
    marker = f"{ground}/work/work/incompat/volatile"
    assert os.path.lexists(marker)
    remounting.refresh("s", WAY)
    assert os.path.lexists(marker)
    remounting.remount("s", Changes(options=ovlctl.Options(volatile=ovlctl.Flag.NO)), WAY)
    assert not os.path.lexists(marker)
    assert content(f"{target}/mine") == "precious"
    ovlctl.umount("s")
    mounted(ground, upper=True)


@capabilities.needs_fs("ext4")
@pytest.mark.parametrize("how", WAYS)
def test_volatile_with_lost_writes(ground: str, how: How) -> None:
    """After writes that the disk refused nothing is changed, and the marker stays, which tells of them."""
    disk = trees.make(f"{ground}/disk", {})
    mount("tmpfs", disk, "tmpfs", MS(0), b"size=8M,mode=0755")
    point = capabilities.make_file_system("ext4", disk)
    layers = [f"{ground}/A", f"{ground}/B"]
    trees.make(point, {"up/": None, "work/": None})
    options = ovlctl.Options(volatile=ovlctl.Flag.YES)
    stack = ovlctl.Stack(layers, upper=f"{point}/up", work=f"{point}/work", options=options)
    target = ovlctl.mount(stack, f"{ground}/t", name="s").target
    os.sync()
    with suppress(OSError), open(f"{disk}/filler", "wb", buffering=0) as filler:
        while True:
            filler.write(bytes(1 << 16))
    trees.make(target, {"lost": bytes(4 << 20)})
    error = unchanged(ground, lambda: remounting.remount("s", how=how), errors.VolatileUnsafe)
    assert target in error.paths
    assert os.path.lexists(f"{point}/work/work/incompat/volatile")
    ovlctl.umount("s")
    umount2(point)
    umount2(disk)


@pytest.mark.parametrize("how", WAYS)
def test_kept_upper_over_other_lowers(ground: str, how: How) -> None:
    """A kept upper whose options tie it to nothing goes over other lowers, and is found over them again."""
    stack = ovlctl.Stack([f"{ground}/A", f"{ground}/B"])
    ovlctl.mount(stack, f"{ground}/t", allocate=ovlctl.KeptUpper(), name="s")
    remounting.remount("s", Changes(lowers=(f"{ground}/C",)), how)
    ovlctl.umount("s")
    with pytest.raises(errors.KeptUpperDiffers):
        ovlctl.mount(stack, f"{ground}/t", allocate=ovlctl.KeptUpper(), name="s")
    ovlctl.mount(ovlctl.Stack([f"{ground}/C"]), f"{ground}/t", allocate=ovlctl.KeptUpper(), name="s")
    ovlctl.umount("s", discard=True)
    if not capabilities.root():
        return
    tied = ovlctl.Stack([f"{ground}/A"], options=ovlctl.Options(index=ovlctl.Switch.ON))
    ovlctl.mount(tied, f"{ground}/t", allocate=ovlctl.KeptUpper(), name="s")
    changes = Changes(add=(f"{ground}/C",))
    # The kernel's own check of index=on comes first; without a change of the topmost lower it says nothing.
    unchanged(ground, lambda: remounting.remount("s", changes, how), errors.UpperOfOtherLower)
    changes = Changes(lowers=(f"{ground}/A", f"{ground}/C"))
    unchanged(ground, lambda: remounting.remount("s", changes, how), errors.KeptUpperDiffers)
    ovlctl.umount("s", discard=True)


def test_refused_beforehand(ground: str) -> None:
    """Everything that a mount would refuse is refused before anything is changed, as for a mount."""
    target = mounted(ground, upper=True)
    cases: list[tuple[Changes, type[errors.OvlError]]] = [
        (Changes(add=(f"{ground}/none",)), errors.PathMissing),
        (Changes(add=(f"{ground}/A",)), errors.LayerTwice),
        (Changes(drop=(f"{ground}/C",)), errors.BadUsage),
        (Changes(lowers=(f"{ground}/up",)), errors.LowerIsUpper),
        (Changes(drop=(f"{ground}/A", f"{ground}/B")), errors.NoLower),
        (Changes(add=(ground,)), errors.OverlappingLayers),
    ]
    for changes, kind in cases:
        unchanged(ground, lambda: remounting.remount("s", changes, WAY), kind)  # noqa: B023 -- called within this turn
    with pytest.raises(errors.StackNotFound):
        remounting.refresh("nobody", WAY)
    ovlctl.umount("s")
    mount("foreign", target, "overlay", MS.RDONLY, f"lowerdir={ground}/A:{ground}/B".encode())
    with pytest.raises(errors.NotOurs):
        remounting.refresh(target, WAY)


@capabilities.needs_mount_beneath
def test_upper_inside_a_lower(ground: str) -> None:
    """An upper inside a lower cannot be bridged, which is said with the way round it."""
    stack = ovlctl.Stack([ground], upper=f"{ground}/up", work=f"{ground}/work")
    with_target = trees.make(os.path.join(ground, "t"), {})
    ovlctl.mount(stack, with_target, name="s")
    unchanged(ground, lambda: remounting.refresh("s"), errors.BridgeImpossible)
    remounting.refresh("s", How(with_gap=True))


def test_without_leaves_the_mount_alone(ground: str) -> None:
    """Work done without a mount sees what lies below it; the mount itself stays for everybody else."""
    target = mounted(ground)
    trees.make(ground, {})
    assert without([target], lambda: os.listdir(target)) == []
    assert "f" in os.listdir(target)
    with pytest.raises(ZeroDivisionError):
        without([target], lambda: 1 // 0)


def test_target_above_its_layers(ground: str) -> None:
    """A stack mounted over the directory that holds its layers is remounted from the layers below the mount."""
    stack = ovlctl.Stack([f"{ground}/A", f"{ground}/B"], upper=f"{ground}/up", work=f"{ground}/work")
    state = trees.make(f"{os.path.dirname(ground)}/{os.path.basename(ground)}.state", {})
    os.chmod(state, 0o700)
    try:
        ovlctl.mount(stack, ground, name="s", state_dir=f"{state}/state")
        done = remounting.remount("s", Changes(lowers=(f"{ground}/B",)), WAY, state_dir=f"{state}/state")
        assert done.overlay.stack.lowers == (f"{ground}/B",)
        assert sorted(os.listdir(ground)) == ["f", "only-B"]
        ovlctl.umount("s", state_dir=f"{state}/state")
    finally:
        sandbox.remove(state)


@capabilities.needs_mount_beneath
def test_as_many_lowers_as_the_kernel_takes(ground: str) -> None:
    """With an upper the bridge needs one layer more: 499 lowers work, 500 are refused with the way round it."""
    many = [trees.make(f"{ground}/many/{number}", {}) for number in range(499)]
    stack = ovlctl.Stack([f"{ground}/A", *many], upper=f"{ground}/up", work=f"{ground}/work")
    target = ovlctl.mount(stack, f"{ground}/t", name="s").target
    trees.make(target, {"mine": ""})
    unchanged(ground, lambda: remounting.refresh("s"), errors.BridgeImpossible)
    remounting.remount("s", Changes(drop=(many[0],)), How(with_gap=True))
    remounting.refresh("s")
    assert sorted(os.listdir(target)) == ["f", "mine", "only-A"]


@pytest.mark.parametrize("then", ["refresh", "mount"])
def test_killed_in_the_gap(ground: str, then: str) -> None:
    """Only with a gap can a kill leave nothing mounted; the record is stale then, and either way it works again."""
    target = mounted(ground, upper=True)
    trees.make(target, {"mine": ""})

    def kill(step: object) -> None:
        if type(step).__name__ == "EndForGap":
            os.kill(os.getpid(), signal.SIGKILL)

    changes = Changes(add=(f"{ground}/C",))
    assert in_child(lambda: remounting.remount("s", changes, How(with_gap=True), watch=kill)) == -signal.SIGKILL
    (left,) = ovlctl.overlays().overlays
    assert left.standing is ovlctl.Standing.STALE
    if then == "refresh":
        done = remounting.refresh("s", WAY)
        assert done.overlay.record == records.read(locate(), "s")
        assert content(f"{target}/f") == "C"
    else:
        mounted(ground, upper=True)
        assert content(f"{target}/f") == "A"
    assert os.path.exists(f"{target}/mine")


@capabilities.needs_root
def test_the_upper_stays_protected(ground: str) -> None:
    """After remounts the kernel still refuses another overlay with index=on on the same upper."""
    mounted(ground, upper=True)
    for _ in range(3):
        remounting.refresh("s", WAY)
    other = trees.make(f"{ground}/other", {"t/": None, "work/": None})
    words = f"lowerdir={ground}/A,upperdir={ground}/up,workdir={other}/work,index=on"
    with pytest.raises(OSError, match="busy") as caught:
        mount("overlay", f"{other}/t", "overlay", MS(0), words.encode())
    assert caught.value.errno == errno.EBUSY
