"""What must never happen: something lost, unmounted or left behind that nobody asked for."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

import ovlctl
from ovlctl import errors
from ovlctl.cli.main import main
from ovlctl.kernel import mounts, probes
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from ovlctl.ops import ladder, mount_steps, readback, removal, state, steps
from ovlctl.ops.api import Api
from ovlctl.ops.discover import Standing
from ovlctl.overlay import rules
from ovlctl.overlay.options import Flag
from tests import capabilities, trees
from tests.forks import in_child

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Cli

pytestmark = capabilities.needs_overlay


@pytest.fixture
def base(scratch: str, state_dir: str) -> Iterator[str]:
    """Lowers a and b, upper u, work w and target t below the directory returned; what is mounted there goes after."""
    for name in "ab":
        trees.make(os.path.join(scratch, name), {"f": name})
    for name in "uwt":
        trees.make(os.path.join(scratch, name), {})
    yield scratch
    for each in reversed(mounts.mounts()):
        if each.mount_point.startswith(scratch + "/"):
            umount2(each.mount_point)


def _own(base: str) -> ovlctl.Stack:
    return ovlctl.Stack([f"{base}/a", f"{base}/b"], upper=f"{base}/u", work=f"{base}/w")


def _keep(base: str, name: str) -> str:
    """Leave a kept upper called *name* with a file in it; returns the file."""
    with ovlctl.mount(ovlctl.Stack([f"{base}/a"]), allocate=ovlctl.KeptUpper(), name=name) as mounted:
        trees.make(mounted.target, {"mine": "precious"})
        upper = mounted.overlay.stack.upper
    return os.path.join(upper or "", "mine")


def test_a_kept_upper_goes_under_its_own_stack_only(base: str) -> None:
    """A stack that does not use the upper kept under its name is refused that name, however it is made."""
    precious = _keep(base, "k")
    with pytest.raises(errors.KeptUpperDiffers):
        ovlctl.mount(_own(base), f"{base}/t", name="k")
    with pytest.raises(errors.KeptUpperDiffers):
        ovlctl.mount(ovlctl.Stack([f"{base}/a", f"{base}/b"]), f"{base}/t", name="k")
    with pytest.raises(errors.KeptUpperDiffers):
        ovlctl.mount(ovlctl.Stack([f"{base}/b"]), f"{base}/t", allocate=ovlctl.KeptUpper(), name="k")
    with pytest.raises(errors.KeptUpperDiffers):
        ovlctl.mount(ovlctl.Stack([f"{base}/a"]), f"{base}/t", allocate=ovlctl.TmpfsUpper(), name="k")
    assert os.path.exists(precious)


def test_discard_at_the_end_of_a_block(base: str) -> None:
    """discard=True removes what ovlctl made and nothing else."""
    with ovlctl.mount(_own(base), f"{base}/t", discard=True) as mounted:
        trees.make(mounted.target, {"mine": "precious"})
    assert os.path.exists(f"{base}/u/mine")
    assert not mounts.mounts("overlay")


def test_removal_stops_at_mounts(base: str) -> None:
    """A bind mount inside a tree that is removed keeps everything in it."""
    trees.make(f"{base}/victim", {"precious": "x"})
    trees.make(f"{base}/tree", {"sub/": None, "file": "x"})
    mount(f"{base}/victim", f"{base}/tree/sub", None, MS.BIND)
    with pytest.raises(errors.DiscardRefused, match="mount point"):
        removal.remove_tree(f"{base}/tree")
    assert os.path.exists(f"{base}/victim/precious")
    umount2(f"{base}/tree/sub")
    removal.remove_tree(f"{base}/tree")
    assert not os.path.exists(f"{base}/tree")


def test_removal_of_hostile_trees(base: str) -> None:
    """Links are removed and not followed; depth does not matter; modes do not matter; names do not matter."""
    trees.make(f"{base}/victim", {"precious": "x"})
    tree = trees.make(f"{base}/tree", {os.fsdecode(b"\xff\n-rf"): "x", "closed/": None, "closed/inner": "x"})
    os.symlink(f"{base}/victim", f"{tree}/link")
    os.symlink("..", f"{tree}/up")
    os.mkfifo(f"{tree}/pipe")
    os.chmod(f"{tree}/closed", 0)
    at = os.open(tree, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deep", dir_fd=at)
        below = os.open("deep", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    removal.remove_tree(tree)
    assert not os.path.lexists(tree)
    assert os.path.exists(f"{base}/victim/precious")


@pytest.mark.parametrize("word", ["", "\0"], ids=["empty", "NUL"])
def test_an_empty_word_ends_nothing(base: str, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    """`umount "$UNSET"` does not end the overlay that one stands in."""
    with ovlctl.mount(_own(base), f"{base}/t"):
        monkeypatch.chdir(f"{base}/t")
        with pytest.raises(errors.BadUsage):
            ovlctl.umount(word)
        monkeypatch.chdir(base)
        assert mounts.mounts("overlay")


def test_a_path_inside_ends_nothing(base: str, cli: Cli) -> None:
    """`umount` takes the mount point, not any path below it; `show` takes both."""
    with ovlctl.mount(_own(base), f"{base}/t"):
        with pytest.raises(errors.StackNotFound, match="only lies inside"):
            ovlctl.umount(f"{base}/t/f")
        assert cli("show", f"{base}/t/f").status == 0


def test_a_foreign_tmpfs_is_not_ours(base: str) -> None:
    """Somebody's tmpfs at the place where ovlctl's own was survives a discard."""
    stack = ovlctl.Stack([f"{base}/a"])
    mounted = ovlctl.mount(stack, allocate=ovlctl.TmpfsUpper(1 << 20), name="m")
    tmpfs = os.path.dirname(mounted.overlay.stack.upper or "")
    mounted.umount()
    umount2(tmpfs)
    mount("theirs", tmpfs, "tmpfs")
    trees.make(tmpfs, {"precious": "x"})
    assert not ovlctl.overlays().overlays
    with pytest.raises(errors.OvlError):
        ovlctl.umount("m", discard=True)
    assert os.path.exists(f"{tmpfs}/precious")


def test_an_upper_in_memory_is_in_memory(base: str) -> None:
    """Mounting again after the tmpfs has gone makes a new tmpfs; nothing is silently written to the disk instead."""
    stack = ovlctl.Stack([f"{base}/a"])
    for behind in (False, True):
        mounted = ovlctl.mount(stack, allocate=ovlctl.TmpfsUpper(1 << 20), name="m")
        upper = mounted.overlay.stack.upper or ""
        assert mounts.mount_at(upper).fs_type == "tmpfs"
        if behind:
            umount2(mounted.target)
        else:
            mounted.umount()
        umount2(os.path.dirname(upper))
    with ovlctl.mount(stack, allocate=ovlctl.TmpfsUpper(1 << 20), name="m", discard=True) as again:
        assert mounts.mount_at(again.overlay.stack.upper or "").fs_type == "tmpfs"


def test_a_home_behind_a_link(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """State below a symbolic link is found in the mount table all the same."""
    os.mkdir(f"{base}/real")
    os.symlink("real", f"{base}/home")
    monkeypatch.delenv("OVLCTL_STATE_DIR")
    monkeypatch.setattr(state, "in_initial_user_namespace", lambda: False)
    monkeypatch.setenv("XDG_STATE_HOME", f"{base}/home/state")
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"{base}/home")
    with ovlctl.mount(ovlctl.Stack([f"{base}/a"]), allocate=ovlctl.KeptUpper(), name="x"):
        (found,) = ovlctl.overlays().overlays
        assert (found.name, found.standing) == ("x", Standing.MOUNTED)
    ovlctl.umount("x", discard=True)
    assert not ovlctl.overlays().overlays


@pytest.mark.parametrize(
    "allocate", [None, ovlctl.KeptUpper(), ovlctl.TmpfsUpper(1 << 20)], ids=["none", "kept", "tmpfs"]
)
def test_mounting_over_a_stale_record(base: str, allocate: ovlctl.KeptUpper | ovlctl.TmpfsUpper | None) -> None:
    """A mount ended behind ovlctl's back does not stand in the way of the same mount again."""
    stack = ovlctl.Stack([f"{base}/a", f"{base}/b"])
    for _ in range(3):
        mounted = ovlctl.mount(stack, allocate=allocate, name="x")
        umount2(mounted.target)
        assert [each.standing for each in ovlctl.overlays().overlays] == [Standing.STALE]
    ovlctl.umount("x", discard=allocate is not None)
    assert not ovlctl.overlays().overlays


def test_a_discard_that_was_interrupted_is_finished(base: str, state_dir: str) -> None:
    """What was moved aside to be removed goes with the next unmount, whichever."""
    precious = _keep(base, "k")
    stacks = os.path.dirname(os.path.dirname(os.path.dirname(precious)))
    os.rename(f"{stacks}/k", f"{stacks}/{state.DISCARDED}k")
    ovlctl.mount(_own(base), f"{base}/t", name="other")
    ovlctl.umount("other")
    assert os.listdir(stacks) == []


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"lowers": [1]}', '{"options": []}'])
def test_damaged_notes(base: str, cli: Cli, state_dir: str, damage: str) -> None:
    """A damaged note about one stack is a warning, and everything else works."""
    precious = _keep(base, "k")
    note = os.path.join(os.path.dirname(os.path.dirname(precious)), "stack.json")
    with open(note, "w") as file:
        file.write(damage)
    listed = cli("ls", "--json")
    assert listed.status == 0
    assert note in listed.json["warnings"][0]
    assert cli("mount", f"{base}/t", "-l", f"{base}/a", "--name", "other").status == 0
    trees.make(f"{state_dir}/run/mounts", {"bad.json": damage})
    assert cli("show", "other").status == 0
    assert len(cli("ls", "--json").json["warnings"]) == 2
    assert "OVL-E072" in cli("mount", "-l", f"{base}/a", "--name", "bad").stderr
    assert cli("umount", "other").status == 0
    assert os.path.exists(precious)


def test_a_forged_record_removes_nothing(base: str, state_dir: str) -> None:
    """Whatever a record says, only empty directories in the stack's own place go."""
    trees.make(f"{base}/precious", {})
    mounted = ovlctl.mount(ovlctl.Stack([f"{base}/a"]), allocate=ovlctl.KeptUpper(), name="x")
    umount2(mounted.target)
    path = f"{state_dir}/run/mounts/x.json"
    with open(path) as file:
        record = json.load(file)
    record["made"] = [f"{base}/precious", f"{base}/t"]
    record["phase"] = "mounting"
    record["stack"]["work"] = f"{base}/precious"
    with open(path, "w") as file:
        json.dump(record, file)
    ovlctl.umount("x")
    assert os.path.isdir(f"{base}/precious")
    assert os.path.isdir(f"{base}/t")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_inside_the_mount_call(base: str, number: signal.Signals) -> None:
    """A signal that arrives while the kernel mounts undoes the mount; the overlay never loses its work directory."""
    before = trees.everything(base)

    def work() -> int:
        def mount_and_signal(*words: Any) -> None:
            mount(*words)
            os.kill(os.getpid(), number)

        vars(ladder)["mount"] = mount_and_signal
        return main(["mount", f"{base}/t", "-l", f"{base}/a", "--upper", f"{base}/u", "--work", f"{base}/w"])

    assert in_child(work) == 128 + number
    assert not mounts.mounts("overlay")
    assert {path for path in trees.everything(base) if not path.startswith("state")} == set(before)
    assert not ovlctl.overlays().overlays


class _Slow:
    """A step that is sent SIGINT and goes on for a while."""

    finished = False

    def describe(self) -> errors.Note:
        return errors.Note("wait")

    def apply(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(20):
            time.sleep(0.001)
        self.finished = True

    def undo(self) -> None:
        self.finished = False


@pytest.mark.parametrize("threads", [0, 1])
def test_a_signal_waits_for_the_end_of_a_step(threads: int) -> None:
    """Also where another thread takes it; then what was done is undone, and signals are as they were."""

    def work() -> bool:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for _ in range(threads):
            threading.Thread(target=threading.Event().wait, daemon=True).start()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ()), signal.getsignal(signal.SIGINT)
        slow, seen = _Slow(), list[bool]()
        with suppress(KeyboardInterrupt):
            steps.run([slow], lambda _step: seen.append(True))
            return True
        after = signal.pthread_sigmask(signal.SIG_BLOCK, ()), signal.getsignal(signal.SIGINT)
        # Undone, so it was finished and counted: an apply() that was cut short is not undone.
        return "finished" not in vars(slow) or slow.finished or bool(seen) or before != after

    assert in_child(work) == 0


@capabilities.needs_root
@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
def test_an_undone_volatile_mount_leaves_no_marker(base: str, *, used: bool) -> None:
    """The marker of a volatile mount that was undone does not stop the next one, whoever made its directory."""
    if used:
        ovlctl.mount(_own(base), f"{base}/t").umount()
    before = trees.everything(f"{base}/w")
    stack = ovlctl.Stack([f"{base}/a"], upper=f"{base}/u", work=f"{base}/w", options=ovlctl.Options(volatile=Flag.YES))

    def watch(step: steps.Step) -> None:
        if isinstance(step, mount_steps.MountOverlay):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ovlctl.mount(stack, f"{base}/t", watch=watch)
    assert trees.everything(f"{base}/w") == before
    ovlctl.mount(stack, f"{base}/t").umount()


@capabilities.needs_root
def test_a_false_suspicion_of_sharing(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that somebody else's mount wrote into the log costs a second mount, a volatile one too."""
    monkeypatch.setattr(readback, "suspects_sharing", lambda _taken: True)
    stack = ovlctl.Stack([f"{base}/a"], upper=f"{base}/u", work=f"{base}/w", options=ovlctl.Options(volatile=Flag.YES))
    with ovlctl.mount(stack, f"{base}/t"):
        assert os.listdir(f"{base}/t") == ["f"]


def test_an_undo_that_fails_says_so(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first error is the one that is raised; what could not be undone is noted, and the record stays."""
    opened: list[int] = []

    def watch(step: steps.Step) -> None:
        if isinstance(step, mount_steps.MountOverlay):
            opened.append(os.open(f"{base}/t/f", os.O_RDONLY))
        if isinstance(step, mount_steps.ReadBack):
            raise errors.WeakerThanAsked("for the sake of the test")

    with pytest.raises(errors.WeakerThanAsked) as caught:
        ovlctl.mount(_own(base), f"{base}/t", name="x", watch=watch)
    assert any("could not be undone" in note and "in use" in note for note in caught.value.__notes__)
    (left,) = ovlctl.overlays().overlays
    assert (left.name, left.standing) == ("x", Standing.MOUNTED)
    os.close(opened[0])
    ovlctl.umount("x")


@capabilities.needs_option("uuid=off")
def test_weaker_than_asked_is_undone(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A weakness that no check foresaw is found by reading back, and the mount is undone without a trace."""
    monkeypatch.setattr(rules, "weaknesses", lambda *_args, **_more: iter(()))
    stack = ovlctl.Stack([f"{base}/a", f"{base}/b"], options=ovlctl.Options(uuid=ovlctl.Uuid.OFF))
    with ovlctl.mount(stack, f"{base}/t", allow_weaker=True) as mounted:
        assert [note.text() for note in mounted.cautions] == ["the kernel made uuid=null of uuid=off"]
    with pytest.raises(errors.WeakerThanAsked):
        ovlctl.mount(stack, f"{base}/t")
    before = trees.everything(base), mounts.mounts()
    with pytest.raises(errors.WeakerThanAsked, match="uuid=null of uuid=off"):
        ovlctl.mount(stack, f"{base}/t")
    assert (trees.everything(base), mounts.mounts()) == before


@capabilities.needs_root
def test_read_only_by_accident_is_undone(base: str) -> None:
    """The kernel mounts read-only when it cannot make WORK/work; --allow-weaker does so and says it."""
    tight = trees.make(f"{base}/tight", {})
    mount("tight", tight, "tmpfs", MS(0), b"nr_inodes=3")
    stack = ovlctl.Stack([f"{base}/a"], upper=trees.make(f"{tight}/u", {}), work=trees.make(f"{tight}/w", {}))
    with ovlctl.mount(stack, f"{base}/t", allow_weaker=True) as mounted:
        assert "read-only" in mounted.cautions[0].text()
        assert mounted.overlay.read_only
    with pytest.raises(errors.OvlError):
        ovlctl.mount(stack, f"{base}/t")
    assert not mounts.mounts("overlay")


@capabilities.needs_root
def test_an_overlay_that_lives_on_unseen(base: str) -> None:
    """An upper of an overlay that was detached lazily, but is used still, is refused: the kernel knows."""
    with ovlctl.mount(_own(base), f"{base}/t", name="first") as first, open(f"{first.target}/f") as held:
        umount2(f"{base}/t", MNT.DETACH)
        with pytest.raises(errors.UpperInUse, match="not in this mount namespace"):
            ovlctl.mount(_own(base), f"{base}/t", name="second")
        assert held.read() == "a"
        held.close()
        ovlctl.umount("first")
        ovlctl.mount(_own(base), f"{base}/t", name="first")


@capabilities.needs_root
def test_a_full_disk(base: str, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a full state disk mounting is refused without a trace, and what is mounted can still be ended."""
    small = trees.make(f"{base}/small", {})
    mount("small", small, "tmpfs", MS(0), b"size=64k,mode=0700")
    monkeypatch.setenv("OVLCTL_STATE_DIR", small)
    assert cli("mount", f"{base}/t", "-l", f"{base}/a", "--upper", f"{base}/u", "--work", f"{base}/w").status == 0
    with suppress(OSError), open(f"{small}/filler", "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    refused = cli("mount", "-l", f"{base}/b", "--name", "x")
    assert (refused.status, "OVL-E071" in refused.stderr) == (5, True)
    assert cli("umount", f"{base}/t").status == 0
    assert not mounts.mounts("overlay")


@pytest.mark.parametrize("api", [Api.AUTO, Api.FSCONFIG])
def test_a_kernel_without_lowerdir_plus(base: str, monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    """Where the kernel does not tell whether it takes single layers, that rung is not taken."""
    monkeypatch.setattr(probes, "lowerdir_plus_known", lambda: probes.Answer.UNKNOWN)
    lowers = [trees.make(os.path.join(base, "d" * 200, str(number)), {"f": ""}) for number in range(40)]
    request = ladder.Request(stack=ovlctl.Stack(lowers), told=ovlctl.Options(), target=base, source="x")
    if api is Api.FSCONFIG:
        with pytest.raises(errors.KernelLacks):
            ladder.choose(request, api)
        return
    rung, reason = ladder.choose(request, api)
    assert rung.api is Api.RELATIVE
    assert "4095" in reason


def test_names_and_targets_that_are_taken(base: str) -> None:
    """A name in use, and a target that carries an overlay already, are refused."""
    with ovlctl.mount(_own(base), f"{base}/t", name="x"):
        more = ovlctl.Stack([f"{base}/a", f"{base}/b"])
        with pytest.raises(errors.NameTaken):
            ovlctl.mount(more, name="x")
        with pytest.raises(errors.TargetOccupied):
            ovlctl.mount(more, f"{base}/t", name="y")


def test_a_caution_about_submounts(base: str) -> None:
    """A mount inside a lower is not part of the merged view, and that is said."""
    trees.make(f"{base}/a", {"sub/": None})
    mount("inner", f"{base}/a/sub", "tmpfs")
    trees.make(f"{base}/a/sub", {"hidden": ""})
    with ovlctl.mount(_own(base), f"{base}/t") as mounted:
        assert os.listdir(f"{base}/t/sub") == []
        assert f"{base}/a/sub" in mounted.cautions[0].text(str)


def test_an_upper_lost_with_its_tmpfs_leaves_nothing(base: str, state_dir: str) -> None:
    """When mount and tmpfs were ended behind ovlctl's back, `umount` clears away what was around them."""
    mounted = ovlctl.mount(ovlctl.Stack([f"{base}/a"]), allocate=ovlctl.TmpfsUpper(1 << 20), name="m")
    umount2(mounted.target)
    umount2(os.path.dirname(mounted.overlay.stack.upper or ""))
    ovlctl.umount("m")
    assert not ovlctl.overlays().overlays
    assert os.listdir(f"{state_dir}/run/stacks") == []
