"""Who holds the old view of a stack that is remounted, in every way, and what becomes of it."""

from __future__ import annotations

import os
import signal
import time

import pytest

import ovlctl
from ovlctl import errors
from ovlctl.kernel import mountinfo, mounts, namespaces
from ovlctl.kernel.mount import MS, mount, umount2
from ovlctl.ops import records, remounting
from ovlctl.ops.remounting import Changes, How
from ovlctl.ops.state import locate
from tests import capabilities, trees
from tests.forks import in_child
from tests.ops.remounting.remounts import content, end, ground, hold, in_namespace, mounted, unchanged

__all__ = ["ground"]

pytestmark = [capabilities.needs_overlay, capabilities.needs_mount_beneath]


@pytest.mark.parametrize("where", ["fd", "cwd", "submount"])
@pytest.mark.parametrize("upper", [False, True], ids=["read-only", "with upper"])
def test_steady_holder(ground: str, where: str, *, upper: bool) -> None:
    """Who holds the old mount is named, and nothing is changed; with its end the remount works."""
    target = mounted(ground, upper=upper)
    trees.make(f"{ground}/A", {"sub/": None})
    code = {"fd": "open(sys.argv[1] + '/f').fileno(); f = open(sys.argv[1] + '/f')", "cwd": "os.chdir(sys.argv[1])"}
    if where == "submount":
        mount("x", f"{target}/sub", "tmpfs")
        holder = None
    else:
        holder = hold(code[where], target)
    error = unchanged(ground, lambda: remounting.refresh("s"), errors.MountBusy)
    if holder is None:
        assert f"{target}/sub" in error.paths
        umount2(f"{target}/sub")
    else:
        assert str(holder.pid) in error.template
        end(holder)
    remounting.refresh("s")


def test_detach(ground: str) -> None:
    """Asked for, holders keep a read-only old view while everybody else sees the new one; never with an upper."""
    target = mounted(ground)
    with open(f"{target}/f") as held:
        done = remounting.remount("s", Changes(lowers=(f"{ground}/C", f"{ground}/B")), How(detach=True))
        assert held.read() == "A"
        assert content(f"{target}/f") == "C"
        assert any("lives on" in note.template for note in done.cautions)
    ovlctl.umount("s")
    mounted(ground, upper=True)
    unchanged(ground, lambda: remounting.refresh("s", How(detach=True)), errors.DetachNeedsReadOnly)


def test_late_holder(ground: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who comes between the check and the end, and stays, has the old view back in the end."""
    from ovlctl.ops.remounting import steps

    monkeypatch.setattr(steps, "END_PATIENCE", 0.05)
    for upper in (False, True):
        target = mounted(ground, upper=upper)
        held: list[int] = []

        def hold(_step: object) -> None:
            if not held:  # noqa: B023 -- called within this turn
                held.append(os.open(f"{target}/f", os.O_RDONLY))  # noqa: B023 -- as above

        error = unchanged(ground, lambda: remounting.remount("s", watch=hold), errors.MountBusy)
        assert getattr(error, "__notes__", []) == []
        assert content(f"{target}/f") == "A"
        os.close(held[0])
        remounting.refresh("s")
        ovlctl.umount("s")


def test_copies_elsewhere(ground: str) -> None:
    """Another mount of a read-only overlay keeps the old view, which is said; of an upper it is refused."""
    target = mounted(ground)
    other = trees.make(f"{ground}/bind", {})
    mount(target, other, None, MS.BIND)
    done = remounting.remount("s", Changes(add=(f"{ground}/C",)))
    assert [note.paths for note in done.cautions] == [(other,)]
    assert (content(f"{target}/f"), content(f"{other}/f")) == ("C", "A")
    umount2(other)
    ovlctl.umount("s")
    target = mounted(ground, upper=True)
    mount(target, other, None, MS.BIND)
    error = unchanged(ground, lambda: remounting.refresh("s"), errors.UpperHeld)
    assert error.paths[0] == other
    umount2(other)
    remounting.refresh("s")


def test_other_namespace(ground: str) -> None:
    """A copy in another mount namespace keeps the old view, or the upper: then the old mount itself comes back."""
    target = mounted(ground, upper=True)
    before = mounts.mount_at(target).dev
    child, ready = in_namespace()
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
    target = mounted(ground)
    child, ready = in_namespace()
    done = remounting.refresh("s")
    assert any(str(child) in note.template for note in done.cautions)
    os.close(ready)
    os.waitpid(child, 0)


def test_user_on_top(ground: str) -> None:
    """An overlay made over the merged view keeps a read-only old view, and hinders a stack with an upper."""
    target = mounted(ground)
    trees.make(ground, {"t2/": None})
    ovlctl.mount(ovlctl.Stack([target, f"{ground}/C"]), f"{ground}/t2", name="top")
    done = remounting.remount("s", Changes(lowers=(f"{ground}/B", f"{ground}/A")))
    assert any(f"{ground}/t2" in note.paths for note in done.cautions)
    assert (content(f"{target}/f"), content(f"{ground}/t2/f")) == ("B", "A")
    remounting.refresh("top")
    assert content(f"{ground}/t2/f") == "B"


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
    child, ready = in_namespace(kind)
    try:
        remounting.remount("s", Changes(add=(f"{ground}/C",)))
        assert content(f"/proc/{child}/root{target}/f") == content(f"{target}/f") == "C"
        there = [each for each in mounts.from_mountinfo("overlay", child) if each.mount_point == target]
        assert len(there) == 1
        remounting.remount("s", Changes(drop=(f"{ground}/C",)))
        assert content(f"/proc/{child}/root{target}/f") == content(f"{target}/f") == "A"
        ovlctl.umount("s")
        assert not [each for each in mounts.from_mountinfo("overlay", child) if each.mount_point == target]
    finally:
        os.close(ready)
        os.waitpid(child, 0)


def test_a_follower_that_ended_its_copy(ground: str) -> None:
    """A namespace that follows, and has ended its copy of the old view, gets the new one and follows what is in it."""
    point = trees.make(f"{ground}/shared", {})
    mount("tmpfs", point, "tmpfs", MS(0), b"mode=0755")
    mount(None, point, None, MS.SHARED)
    target = trees.make(f"{point}/t", {})
    ovlctl.mount(ovlctl.Stack([f"{ground}/A", f"{ground}/B"]), target, name="s")
    child, ready = in_namespace(MS.SLAVE)

    def end_there() -> None:
        with open(f"/proc/{child}/ns/mnt") as namespace:
            namespaces.setns(namespace.fileno())
        umount2(target)

    try:
        assert in_child(end_there) == 0
        remounting.remount("s", Changes(add=(f"{ground}/C",)))
        (here,) = (each for each in mountinfo.read() if each.mount_point == target)
        (there,) = (each for each in mountinfo.read(child) if each.mount_point == target)
        assert [tag.replace("shared", "master") for tag in here.propagation] == list(there.propagation) != []
        ovlctl.umount("s")
    finally:
        os.close(ready)
        os.waitpid(child, 0)


@pytest.mark.parametrize("upper", [False, True], ids=["read-only", "with upper"])
def test_stuck_beneath(ground: str, monkeypatch: pytest.MonkeyPatch, *, upper: bool) -> None:
    """Where the kernel gives no way back, the record says what lies beneath, and the next command finishes."""
    from ovlctl.ops.remounting import steps

    monkeypatch.setattr(steps, "END_PATIENCE", 0.05)
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
    child, ready = in_namespace(MS.SLAVE)
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
            assert content(f"{target}/f") == "A"
            assert {each.name for each in ovlctl.overlays().overlays} == {"s"}
            os.close(held[0])
            finish()
            assert content(f"{target}/f") in "AC"
            ovlctl.umount("s")
            assert not mounts.mounts("overlay")
    finally:
        os.close(ready)
        os.waitpid(child, 0)


def test_an_ended_reader_is_no_holder(ground: str) -> None:
    """Somebody who only looks again and again is not taken for one who stays."""
    target = mounted(ground)
    looks = hold("pass", target)
    end(looks)
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


@pytest.mark.parametrize(
    "look",
    [
        "fd = os.open(sys.argv[1] + '/f', os.O_RDONLY); m = mmap.mmap(fd, 1, prot=1); os.close(fd); wait(); m.close()",
        "os.chdir(sys.argv[1]); wait(); os.chdir('/')",
    ],
    ids=["map", "cwd"],
)
def test_who_comes_and_goes_is_no_holder(ground: str, look: str) -> None:
    """Somebody who maps a file or works in the old view, and leaves again and again, does not hinder a remount."""
    target = mounted(ground)
    code = f"import mmap\nwait = lambda: time.sleep(0.01)\nprint('ready', flush=True)\nwhile True:\n    {look}; wait()"
    passing = hold(code, target)
    try:
        for _ in range(10):
            remounting.refresh("s")
    finally:
        end(passing)
