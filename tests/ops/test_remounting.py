"""remount and refresh: what changes, what stays, and what is refused before anything is changed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

import ovlctl
from ovlctl import errors
from ovlctl.kernel import fscontext, mounts, namespaces
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from ovlctl.kernel.own_mounts import without
from ovlctl.ops import records, remounting
from ovlctl.ops.preflight.in_use import in_use
from ovlctl.ops.remounting import Changes, How
from ovlctl.ops.state import locate
from tests import capabilities, sandbox, trees

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = capabilities.needs_overlay


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


def _mounted(ground: str, *names: str, upper: bool = False, **options: str) -> str:
    asked = ovlctl.Options()
    for key, value in options.items():
        asked = asked.with_value(key, value)
    layers = [os.path.join(ground, name) for name in names or "AB"]
    top, work = (os.path.join(ground, name) if upper else None for name in ("up", "work"))
    stack = ovlctl.Stack(layers, upper=top, work=work, options=asked)
    return ovlctl.mount(stack, os.path.join(ground, "t"), name="s").target


def _content(path: str) -> str:
    with open(path) as file:
        return file.read()


def _hold(code: str, *args: str) -> subprocess.Popen[str]:
    """A process that does *code* and then waits."""
    script = f"import os, sys, time\n{code}\nprint('ready', flush=True)\ntime.sleep(60)"
    held = subprocess.Popen([sys.executable, "-c", script, *args], stdout=subprocess.PIPE, text=True)
    assert held.stdout is not None
    assert held.stdout.readline() == "ready\n"
    return held


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def _unchanged(ground: str, act: Callable[[], object], kind: type[errors.OvlError]) -> errors.OvlError:
    """*act* raises *kind* and leaves the mounts, the record and the state directory as they were."""
    before = mounts.mounts(), records.read(locate(), "s"), set(trees.everything(os.path.join(ground, "state")))
    with pytest.raises(kind) as caught:
        act()
    assert mounts.mounts() == before[0]
    assert records.read(locate(), "s") == before[1]
    assert set(trees.everything(os.path.join(ground, "state"))) - before[2] <= {"run/probes.json"}
    return caught.value


@pytest.mark.parametrize("upper", [False, True], ids=["read-only", "with upper"])
def test_what_is_not_given_stays(ground: str, *, upper: bool) -> None:
    """Lowers are put on top or dropped, options are added; all else is as it was, and so is what was written."""
    target = _mounted(ground, upper=upper, xino="off")
    if upper:
        trees.make(target, {"mine": "precious"})
        os.unlink(f"{target}/only-B")
    first = records.read(locate(), "s")
    done = remounting.remount("s", Changes(add=(f"{ground}/C",)))
    assert done.overlay.stack.lowers == tuple(f"{ground}/{name}" for name in "CAB")
    assert done.before.lowers == tuple(f"{ground}/{name}" for name in "AB")
    assert _content(f"{target}/f") == "C"
    changes = Changes(drop=(f"{ground}/A/",), options=ovlctl.Options(default_permissions=ovlctl.Flag.YES))
    done = remounting.remount(target, changes)
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
    (mounted,) = mounts.mounts("overlay")
    assert mounted.unique_id == now.mount_id
    if upper:
        assert _content(f"{target}/mine") == "precious"
        assert not os.path.exists(f"{target}/only-B")
        trees.make(target, {"more": ""})
        assert in_use(f"{ground}/up"), "the kernel knows that the upper is taken"
    ovlctl.umount("s")


def test_refresh_shows_changed_lowers(ground: str) -> None:
    """A name looked up in vain and made in a lower since is listed and not found (kernel-made), until a refresh."""
    target = _mounted(ground, upper=True)
    assert not os.path.exists(f"{target}/new")
    trees.make(f"{ground}/A", {"new": "now"})
    assert not os.path.exists(f"{target}/new")
    done = remounting.refresh("s")
    assert done.overlay.stack == done.before
    assert _content(f"{target}/new") == "now"


@pytest.mark.parametrize("api", [ovlctl.Api.MOUNT, ovlctl.Api.FSCONFIG, ovlctl.Api.RELATIVE])
def test_every_rung(ground: str, api: ovlctl.Api) -> None:
    """Whichever way the kernel is told, nothing of the making is seen and the record says how."""
    _mounted(ground)
    done = remounting.refresh("s", How(api=api))
    assert done.overlay.record is not None
    assert done.overlay.record.api is api
    assert len(mounts.mounts("overlay")) == 1


def test_the_kernel_is_asked_without_effect(ground: str) -> None:
    """Whether a mount can be put beneath another one is known beforehand, and agrees with what then happens."""
    _mounted(ground)
    table = mounts.mounts()
    known = fscontext.beneath_known()
    assert mounts.mounts() == table
    if known:
        remounting.refresh("s")
    else:
        _unchanged(ground, lambda: remounting.refresh("s"), errors.BeneathMissing)


@pytest.mark.parametrize("where", ["fd", "cwd", "submount"])
@pytest.mark.parametrize("upper", [False, True], ids=["read-only", "with upper"])
def test_steady_holder(ground: str, where: str, *, upper: bool) -> None:
    """Who holds the old mount is named, and nothing is changed; with its end the remount works."""
    target = _mounted(ground, upper=upper)
    trees.make(f"{ground}/A", {"sub/": None})
    code = {"fd": "open(sys.argv[1] + '/f').fileno(); f = open(sys.argv[1] + '/f')", "cwd": "os.chdir(sys.argv[1])"}
    if where == "submount":
        mount("x", f"{target}/sub", "tmpfs")
        holder = None
    else:
        holder = _hold(code[where], target)
    error = _unchanged(ground, lambda: remounting.refresh("s"), errors.MountBusy)
    if holder is None:
        assert f"{target}/sub" in error.paths
        umount2(f"{target}/sub")
    else:
        assert str(holder.pid) in error.template
        _end(holder)
    remounting.refresh("s")


def test_detach(ground: str) -> None:
    """Asked for, holders keep a read-only old view while everybody else sees the new one; never with an upper."""
    target = _mounted(ground)
    with open(f"{target}/f") as held:
        done = remounting.remount("s", Changes(lowers=(f"{ground}/C", f"{ground}/B")), How(detach=True))
        assert held.read() == "A"
        assert _content(f"{target}/f") == "C"
        assert any("lives on" in note.template for note in done.cautions)
    ovlctl.umount("s")
    _mounted(ground, upper=True)
    _unchanged(ground, lambda: remounting.refresh("s", How(detach=True)), errors.DetachNeedsReadOnly)


def test_late_holder(ground: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who comes between the check and the end, and stays, has the old view back in the end."""
    from ovlctl.ops import remount_steps

    monkeypatch.setattr(remount_steps, "END_PATIENCE", 0.05)
    for upper in (False, True):
        target = _mounted(ground, upper=upper)
        held: list[int] = []

        def hold(_step: object) -> None:
            if not held:  # noqa: B023 -- called within this turn
                held.append(os.open(f"{target}/f", os.O_RDONLY))  # noqa: B023 -- as above

        error = _unchanged(ground, lambda: remounting.remount("s", watch=hold), errors.MountBusy)
        assert getattr(error, "__notes__", []) == []
        assert _content(f"{target}/f") == "A"
        os.close(held[0])
        remounting.refresh("s")
        ovlctl.umount("s")


def test_copies_elsewhere(ground: str) -> None:
    """Another mount of a read-only overlay keeps the old view, which is said; of an upper it is refused."""
    target = _mounted(ground)
    other = trees.make(f"{ground}/bind", {})
    mount(target, other, None, MS.BIND)
    done = remounting.remount("s", Changes(add=(f"{ground}/C",)))
    assert [note.paths for note in done.cautions] == [(other,)]
    assert (_content(f"{target}/f"), _content(f"{other}/f")) == ("C", "A")
    umount2(other)
    ovlctl.umount("s")
    target = _mounted(ground, upper=True)
    mount(target, other, None, MS.BIND)
    error = _unchanged(ground, lambda: remounting.refresh("s"), errors.UpperHeld)
    assert error.paths[0] == other
    umount2(other)
    remounting.refresh("s")


def test_other_namespace(ground: str) -> None:
    """A copy in another mount namespace keeps the old view, or the upper: then the old mount itself comes back."""
    target = _mounted(ground, upper=True)
    before = mounts.mount_at(target).dev
    child, ready = _in_namespace()
    try:
        error = None
        with pytest.raises(errors.UpperHeld) as caught:
            remounting.refresh("s")
        error = caught.value
        assert str(child) in error.template
        assert mounts.mount_at(target).dev == before, "the same overlay, not one made anew"
        trees.make(target, {"written": ""})
        record = records.read(locate(), "s")
        assert record is not None
        assert record.mount_id == mounts.mount_at(target).unique_id
    finally:
        os.close(ready)
        os.waitpid(child, 0)
    remounting.refresh("s")
    ovlctl.umount("s")
    target = _mounted(ground)
    child, ready = _in_namespace()
    done = remounting.refresh("s")
    assert any(str(child) in note.template for note in done.cautions)
    os.close(ready)
    os.waitpid(child, 0)


def _in_namespace(propagation: MS = MS.PRIVATE) -> tuple[int, int]:
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


def test_user_on_top(ground: str) -> None:
    """An overlay made over the merged view keeps a read-only old view, and hinders a stack with an upper."""
    target = _mounted(ground)
    trees.make(ground, {"t2/": None})
    ovlctl.mount(ovlctl.Stack([target, f"{ground}/C"]), f"{ground}/t2", name="top")
    done = remounting.remount("s", Changes(lowers=(f"{ground}/B", f"{ground}/A")))
    assert any(f"{ground}/t2" in note.paths for note in done.cautions)
    assert (_content(f"{target}/f"), _content(f"{ground}/t2/f")) == ("B", "A")
    remounting.refresh("top")
    assert _content(f"{ground}/t2/f") == "B"


def test_target_over_a_lower(ground: str) -> None:
    """A stack mounted over one of its own lowers is remounted from the lower, not from what covers it."""
    stack = ovlctl.Stack([f"{ground}/A", f"{ground}/B"], upper=f"{ground}/up", work=f"{ground}/work")
    ovlctl.mount(stack, f"{ground}/A", name="s")
    trees.make(f"{ground}/A", {"f": "changed"})
    remounting.remount("s", Changes(add=(f"{ground}/C",)))
    assert _content(f"{ground}/A/f") == "changed"
    assert os.path.exists(f"{ground}/A/only-C")
    ovlctl.umount("s")
    assert _content(f"{ground}/A/f") == "A"


def test_with_gap(ground: str) -> None:
    """Unmounting first works where nothing can be put beneath; when the second mount fails the old one is back."""
    target = _mounted(ground, upper=True)
    trees.make(target, {"mine": ""})
    done = remounting.remount("s", Changes(add=(f"{ground}/C",)), How(with_gap=True))
    assert done.overlay.record is not None
    assert _content(f"{target}/f") == "C"
    assert os.path.exists(f"{target}/mine")

    def fail(step: object) -> None:
        if type(step).__name__ == "EndForGap":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        remounting.remount("s", Changes(drop=(f"{ground}/C",)), How(with_gap=True), watch=fail)
    assert _content(f"{target}/f") == "C"
    record = records.read(locate(), "s")
    assert record is not None
    assert record.mount_id == mounts.mount_at(target).unique_id


@capabilities.needs_root
def test_marks_are_read_over_the_bridge(ground: str) -> None:
    """Metacopy and redirect marks in the upper are followed in the bridge: who reads never sees less."""
    target = _mounted(ground, upper=True, metacopy="on")
    trees.make(f"{ground}/A", {"d/x": "deep"})
    remounting.refresh("s")
    os.rename(f"{target}/d", f"{target}/moved")
    os.chmod(f"{target}/f", 0o600)
    seen: list[str] = []

    def look(step: object) -> None:
        seen.append(_content(f"{target}/moved/x") + _content(f"{target}/f"))

    done = remounting.remount("s", watch=look)
    assert len(seen) > 5
    assert set(seen) == {"deepA"}
    assert any("metacopy=on" in note.template for note in done.cautions)
    options = ovlctl.Options(metacopy=ovlctl.Switch.OFF)
    _unchanged(ground, lambda: remounting.remount("s", Changes(options=options)), errors.KeptUpperDiffers)


def test_volatile(ground: str) -> None:
    """The marker of a volatile mount goes when all was written back, so that the next mount is possible."""
    target = _mounted(ground, upper=True, volatile="yes")
    trees.make(target, {"mine": "precious"})
    marker = f"{ground}/work/work/incompat/volatile"
    assert os.path.lexists(marker)
    remounting.refresh("s")
    assert os.path.lexists(marker)
    remounting.remount("s", Changes(options=ovlctl.Options(volatile=ovlctl.Flag.NO)))
    assert not os.path.lexists(marker)
    assert _content(f"{target}/mine") == "precious"
    ovlctl.umount("s")
    _mounted(ground, upper=True)


def test_kept_upper_over_other_lowers(ground: str) -> None:
    """A kept upper whose options tie it to nothing goes over other lowers, and is found over them again."""
    stack = ovlctl.Stack([f"{ground}/A", f"{ground}/B"])
    ovlctl.mount(stack, f"{ground}/t", allocate=ovlctl.KeptUpper(), name="s")
    remounting.remount("s", Changes(lowers=(f"{ground}/C",)))
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
    _unchanged(ground, lambda: remounting.remount("s", changes), errors.UpperOfOtherLower)
    changes = Changes(lowers=(f"{ground}/A", f"{ground}/C"))
    _unchanged(ground, lambda: remounting.remount("s", changes), errors.KeptUpperDiffers)
    ovlctl.umount("s", discard=True)


def test_refused_beforehand(ground: str) -> None:
    """Everything that a mount would refuse is refused before anything is changed, as for a mount."""
    target = _mounted(ground, upper=True)
    cases: list[tuple[Changes, type[errors.OvlError]]] = [
        (Changes(add=(f"{ground}/none",)), errors.PathMissing),
        (Changes(add=(f"{ground}/A",)), errors.LayerTwice),
        (Changes(drop=(f"{ground}/C",)), errors.BadUsage),
        (Changes(lowers=(f"{ground}/up",)), errors.LowerIsUpper),
        (Changes(drop=(f"{ground}/A", f"{ground}/B")), errors.NoLower),
        (Changes(add=(ground,)), errors.OverlappingLayers),
    ]
    for changes, kind in cases:
        _unchanged(ground, lambda: remounting.remount("s", changes), kind)  # noqa: B023 -- called within this turn
    with pytest.raises(errors.StackNotFound):
        remounting.refresh("nobody")
    ovlctl.umount("s")
    mount("foreign", target, "overlay", MS.RDONLY, f"lowerdir={ground}/A:{ground}/B".encode())
    with pytest.raises(errors.NotOurs):
        remounting.refresh(target)


def test_upper_inside_a_lower(ground: str) -> None:
    """An upper inside a lower cannot be bridged, which is said with the way round it."""
    stack = ovlctl.Stack([ground], upper=f"{ground}/up", work=f"{ground}/work")
    with_target = trees.make(os.path.join(ground, "t"), {})
    ovlctl.mount(stack, with_target, name="s")
    _unchanged(ground, lambda: remounting.refresh("s"), errors.BridgeImpossible)
    remounting.refresh("s", How(with_gap=True))


def test_without_leaves_the_mount_alone(ground: str) -> None:
    """Work done without a mount sees what lies below it; the mount itself stays for everybody else."""
    target = _mounted(ground)
    trees.make(ground, {})
    assert without([target], lambda: os.listdir(target)) == []
    assert "f" in os.listdir(target)
    with pytest.raises(ZeroDivisionError):
        without([target], lambda: 1 // 0)


def test_an_ended_reader_is_no_holder(ground: str) -> None:
    """Somebody who only looks again and again is not taken for one who stays."""
    target = _mounted(ground)
    looks = _hold("pass", target)
    _end(looks)
    child = os.fork()
    if child == 0:
        while True:
            with open(f"{target}/f") as file:
                file.read()
    try:
        time.sleep(0.05)
        for _ in range(5):
            remounting.refresh("s")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.parametrize("upper", [False, True], ids=["read-only", "with upper"])
@pytest.mark.parametrize("kind", [MS.SLAVE, MS.SHARED], ids=["slave", "peer"])
def test_propagation(ground: str, kind: MS, *, upper: bool) -> None:
    """Below a shared mount, as on most hosts, the namespaces that follow it see the new view too and hinder nothing."""
    point = trees.make(f"{ground}/shared", {})
    mount("tmpfs", point, "tmpfs", MS(0), b"mode=0755")
    mount(None, point, None, MS.SHARED)
    stack = ovlctl.Stack(
        [f"{ground}/A", f"{ground}/B"],
        upper=f"{ground}/up" if upper else None,
        work=f"{ground}/work" if upper else None,
    )
    target = ovlctl.mount(stack, trees.make(f"{point}/t", {}), name="s").target
    child, ready = _in_namespace(kind)
    try:
        remounting.remount("s", Changes(add=(f"{ground}/C",)))
        assert _content(f"/proc/{child}/root{target}/f") == _content(f"{target}/f") == "C"
        there = [each for each in mounts.from_mountinfo("overlay", child) if each.mount_point == target]
        assert len(there) == 1
        remounting.remount("s", Changes(drop=(f"{ground}/C",)))
        assert _content(f"/proc/{child}/root{target}/f") == _content(f"{target}/f") == "A"
        ovlctl.umount("s")
        assert not [each for each in mounts.from_mountinfo("overlay", child) if each.mount_point == target]
    finally:
        os.close(ready)
        os.waitpid(child, 0)


@pytest.mark.parametrize("upper", [False, True], ids=["read-only", "with upper"])
def test_stuck_beneath(ground: str, monkeypatch: pytest.MonkeyPatch, *, upper: bool) -> None:
    """Where the kernel gives no way back, the record says what lies beneath, and the next command finishes."""
    from ovlctl.ops import remount_steps

    monkeypatch.setattr(remount_steps, "END_PATIENCE", 0.05)
    point = trees.make(f"{ground}/shared", {})
    mount("tmpfs", point, "tmpfs", MS(0), b"mode=0755")
    mount(None, point, None, MS.SHARED)
    stack = ovlctl.Stack(
        [f"{ground}/A", f"{ground}/B"],
        upper=f"{ground}/up" if upper else None,
        work=f"{ground}/work" if upper else None,
    )
    target = trees.make(f"{point}/t", {})
    # A copy that follows the mount: it would be left behind if the mount stepped aside.
    child, ready = _in_namespace(MS.SLAVE)
    try:
        for finish in (lambda: remounting.refresh("s"), lambda: None):
            ovlctl.mount(stack, target, name="s")
            held: list[int] = []

            def hold(step: object) -> None:
                if type(step).__name__ == "Make" and not held:  # noqa: B023 -- called within this turn
                    held.append(os.open(f"{target}/f", os.O_RDONLY))  # noqa: B023 -- as above

            with pytest.raises(errors.MountBusy) as caught:
                remounting.remount("s", Changes(lowers=(f"{ground}/C", f"{ground}/B")), watch=hold)
            assert any("waits beneath the old one" in note for note in caught.value.__notes__)
            record = records.read(locate(), "s")
            assert record is not None
            assert record.phase is records.Phase.REMOUNTING
            assert _content(f"{target}/f") == "A"
            assert {each.name for each in ovlctl.overlays().overlays} == {"s"}
            os.close(held[0])
            finish()
            assert _content(f"{target}/f") in "AC"
            ovlctl.umount("s")
            assert not mounts.mounts("overlay")
    finally:
        os.close(ready)
        os.waitpid(child, 0)


def test_target_above_its_layers(ground: str) -> None:
    """A stack mounted over the directory that holds its layers is remounted from the layers below the mount."""
    stack = ovlctl.Stack([f"{ground}/A", f"{ground}/B"], upper=f"{ground}/up", work=f"{ground}/work")
    state = trees.make(f"{os.path.dirname(ground)}/{os.path.basename(ground)}.state", {})
    os.chmod(state, 0o700)
    try:
        ovlctl.mount(stack, ground, name="s", state_dir=f"{state}/state")
        done = remounting.remount("s", Changes(lowers=(f"{ground}/B",)), state_dir=f"{state}/state")
        assert done.overlay.stack.lowers == (f"{ground}/B",)
        assert sorted(os.listdir(ground)) == ["f", "only-B"]
        ovlctl.umount("s", state_dir=f"{state}/state")
    finally:
        sandbox.remove(state)
