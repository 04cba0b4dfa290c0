"""Who holds a mount or a layer: real processes, real namespaces, and commands that do what they promise."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import ovlctl
from ovlctl.kernel import namespaces
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from ovlctl.ops.who import who
from ovlctl.ops.who.answer import Answer, Asked, Group, Process, Role
from ovlctl.ops.who.locations import Relation
from tests.capabilities import needs_loop, needs_overlay, needs_root, root
from tests.kernel import overlays
from tests.kernel.children import child

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = needs_overlay

_ENTER = """
import os, sys
if sys.argv[1].isdecimal():
    os.sched_setaffinity(0, {int(sys.argv[1])})
from ovlctl.kernel.namespaces import enter_private_mounts, enter_user_namespace
enter_private_mounts() if os.geteuid() == 0 else enter_user_namespace()
"""
_OPEN = "import os, sys\nfd = os.open(sys.argv[1], os.O_RDWR)\n"
_MMAP = _OPEN + "import mmap\nmemory = mmap.mmap(fd, 0)\nos.closerange(3, 64)\n"


@pytest.fixture
def merged(scratch: str, state_dir: str) -> str:
    """Mount point of an overlay that nobody holds, of lower, upper and work beside it."""
    return overlays.simple(scratch, userxattr=not root())


def group_of(answer: Answer, namespace: int | None = None) -> Group:
    """The group of a namespace, by default of the own one."""
    wanted = namespace or namespaces.mount_namespace_id()
    return next(group for group in answer.groups if group.namespace == wanted)


def holder(answer: Answer, pid: int) -> Process:
    """The process *pid*, which holds something and is told once."""
    (found,) = [each for group in answer.groups for each in group.processes if each.pid == pid]
    return found


def obey(command: Sequence[str] | None) -> None:
    """Do what was proposed."""
    assert command is not None
    if command[0] == "umount" and not root():
        # Capabilities in a user namespace do not survive execve(2) there.
        umount2(command[-1])
        return
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def namespace_without_processes(scratch: str, *, keep: str) -> Iterator[tuple[int, str]]:
    """A mount namespace kept only by a bind mount of its file, or by a descriptor of this process's child.

    The kernel lets a namespace hold only those with a greater id, and hands ids out to each CPU in batches of its own
    (mnt_ns_loop() in fs/namespace.c), so that the child is made on one CPU after the other until its id is greater.
    """
    point = os.path.join(scratch, "ns")
    with open(point, "w", encoding="ascii"):
        pass
    for cpu in sorted(os.sched_getaffinity(0)):
        with child(_ENTER, str(cpu)) as pid:
            inode = namespaces.mount_namespace_id(pid)
            if keep == "fd":
                fd = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
                break
            try:
                mount(f"/proc/{pid}/ns/mnt", point, None, MS.BIND)
            except OSError:
                continue
            fd = -1
            break
    else:
        pytest.skip("the kernel gives no mount namespace here that this one may hold")
    try:
        yield inode, point if fd < 0 else str(fd)
    finally:
        if fd >= 0:
            os.close(fd)
        elif os.path.ismount(point) or os.stat(point).st_ino == inode:
            umount2(point, MNT.DETACH)


def test_nobody(merged: str) -> None:
    """A mount that the kernel would end is held by nobody."""
    answer = who(merged)
    assert (answer.asked, answer.path, answer.held) == (Asked.MOUNT, merged, False)
    umount2(merged)


@pytest.mark.parametrize("how", ["fd", "deleted", "cwd", "map"])
def test_processes(merged: str, how: str) -> None:
    """An open descriptor, one of a deleted file, a working directory, a mapping without descriptor: each, and why."""
    path = os.path.join(merged, "sub" if how == "cwd" else "file")
    code = {
        "fd": _OPEN,
        "deleted": _OPEN + "os.unlink(sys.argv[1])",
        "cwd": "import os, sys\nos.chdir(sys.argv[1])",
        "map": _MMAP,
    }[how]
    with child(code, path) as pid:
        found = holder(who(merged), pid)
        (hold,) = found.holds
        assert hold.kind == {"deleted": "fd"}.get(how, how)
        assert hold.path == path + (" (deleted)" if how == "deleted" else "")
        assert (hold.fd is not None) == (hold.kind == "fd")
        assert found.command.startswith("python")
        assert found.release == ("kill", str(pid))
        with pytest.raises(OSError, match="busy"):
            umount2(merged)
        obey(found.release)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        umount2(merged)


@needs_root
def test_chroot(merged: str) -> None:
    """A process whose root directory is the merged view."""
    with child("import os, sys\nos.chroot(sys.argv[1])", merged) as pid:
        assert [hold.kind for hold in holder(who(merged), pid).holds] == ["root"]


def test_program(merged: str) -> None:
    """A running program."""
    program = shutil.copy(shutil.which("sleep") or "/bin/sleep", os.path.join(merged, "sleeper"))
    with subprocess.Popen([program, "60"]) as process:
        kinds = {hold.kind for hold in holder(who(merged), process.pid).holds}
        process.kill()
    assert "exe" in kinds


def test_thread_with_its_own_directory(merged: str) -> None:
    """A thread that shares its working directory with nobody is told by its thread id."""
    code = """
import os, sys, threading
from ovlctl.kernel.namespaces import CLONE, unshare
entered, leave = threading.Event(), threading.Event()
def run():
    unshare(CLONE.FS)
    os.chdir(sys.argv[1])
    entered.set()
    leave.wait()
threading.Thread(target=run, daemon=True).start()
entered.wait()
"""
    with child(code, merged) as pid:
        (hold,) = holder(who(merged), pid).holds
        assert (hold.kind, hold.path) == ("cwd", merged)
        assert hold.tid != pid
        assert os.readlink(f"/proc/{pid}/cwd") != merged


def test_submount_and_bind(merged: str, scratch: str) -> None:
    """A mount on top and a bind mount of a sub-directory, each with the command that ends it."""
    on_top, other = os.path.join(merged, "sub"), *overlays.directories(scratch, "o t'her")
    mount(on_top, other, None, MS.BIND)
    mount("t", on_top, "tmpfs")
    own = group_of(who(merged))
    (top,) = own.submounts
    (bind,) = [copy for copy in own.copies if copy.role is Role.BIND]
    assert (top.mount.mount_point, bind.mount.mount_point, bind.mount.root) == (on_top, other, "/sub")
    obey(top.release)
    obey(bind.release)
    assert not who(merged).held
    umount2(merged)


def test_process_on_a_bind_of_a_sub_directory(merged: str, scratch: str) -> None:
    """Who works in a bind mount of a part holds the superblock, which outlives the mount."""
    (other,) = overlays.directories(scratch, "other")
    mount(os.path.join(merged, "sub"), other, None, MS.BIND)
    with child("import os, sys\nos.chdir(sys.argv[1])", other) as pid:
        assert [hold.path for hold in holder(who(merged), pid).holds] == [other]


def test_process_in_another_namespace(merged: str) -> None:
    """A copy in another mount namespace, who holds it there, and the way to end both."""
    with child(_ENTER + "os.chdir(sys.argv[2])", "-", merged) as pid:
        inode = namespaces.mount_namespace_id(pid)
        group = group_of(who(merged), inode)
        (copy,) = group.copies
        assert (group.own, copy.role, copy.mount.mount_point) == (False, Role.COPY, merged)
        assert pid in group.pids
        assert (group.command or "").startswith("python")
        (process,) = group.processes
        assert (process.pid, [hold.kind for hold in process.holds]) == (pid, ["cwd"])
        if root():
            refused = subprocess.run(copy.release or (), capture_output=True, text=True, check=False)
            assert "busy" in refused.stderr
    assert not [group for group in who(merged).groups if group.namespace == inode]


@needs_root
def test_bound_namespace_without_processes(merged: str, scratch: str) -> None:
    """A namespace that only a bind mount of its file keeps: found, with its copy, and ended by unmounting the file."""
    with namespace_without_processes(scratch, keep="file") as (inode, point):
        group = group_of(who(merged), inode)
        assert group.pids == ()
        (keeper,) = group.keepers
        assert (keeper.path, keeper.release) == (point, ("umount", point))
        (copy,) = group.copies
        assert copy.release == ("nsenter", f"--mount={point}", "umount", merged)
        obey(copy.release)
        assert not [each for each in who(merged).groups if each.namespace == inode]
        obey(keeper.release)
        assert not os.path.ismount(point)


@needs_root
def test_namespace_kept_by_a_descriptor(merged: str, scratch: str) -> None:
    """A namespace that only an open descriptor of its file keeps, and whose that is."""
    with namespace_without_processes(scratch, keep="fd") as (inode, fd):
        group = group_of(who(merged), inode)
        (keeper,) = group.keepers
        assert (keeper.path, keeper.pid) == (f"/proc/{os.getpid()}/fd/{fd}", os.getpid())
        (copy,) = group.copies
        assert copy.release == ("nsenter", f"--mount=/proc/{os.getpid()}/fd/{fd}", "umount", merged)
        obey(copy.release)
        assert not [each for each in who(merged).groups if each.namespace == inode]


@needs_root
def test_namespaces_without_the_kernels_list(merged: str, scratch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Linux 6.12, and in containers, /proc leads to the same namespaces."""
    from ovlctl.kernel import mount_namespaces

    # An ioctl of this family that no kernel has: what one without the request answers.
    monkeypatch.setattr(mount_namespaces, "_NS_MNT_GET_NEXT", 0x8010B7FF)
    with namespace_without_processes(scratch, keep="file") as (inode, point), child(_ENTER, "-") as pid:
        answer = who(merged)
        assert not answer.complete
        assert [keeper.path for keeper in group_of(answer, inode).keepers] == [point]
        for namespace in (inode, namespaces.mount_namespace_id(pid)):
            assert [copy.mount.mount_point for copy in group_of(answer, namespace).copies] == [merged]


def test_overlay_on_the_merged_view(merged: str, scratch: str) -> None:
    """Another overlay with the merged view, or a directory below it, as a lower."""
    second, third, low = overlays.directories(scratch, "second", "third", "low")
    extra = "" if root() else ",userxattr"
    mount("o", second, "overlay", MS.RDONLY, f"lowerdir={merged}:{low}{extra}".encode())
    mount("o", third, "overlay", MS.RDONLY, f"lowerdir={low}:{merged}/sub{extra}".encode())
    found = {user.points[0][1]: user for user in who(merged).users}
    assert set(found) == {second, third}
    (whole,), (part,) = found[second].uses, found[third].uses
    assert (whole.role, whole.layer, whole.relation) == (Role.LOWER, merged, Relation.SAME)
    assert (part.layer, part.relation) == (f"{merged}/sub", Relation.INSIDE)
    assert found[second].release == (("ovlctl", "umount", second),)
    umount2(second)
    umount2(third)
    assert not who(merged).held


def test_layers(merged: str, scratch: str) -> None:
    """Upper, work, lower, what lies inside and above: each is known as what it is, through links and bind mounts."""
    alias, *_ = overlays.directories(scratch, "alias", "alone")
    os.symlink("upper", os.path.join(scratch, "link"))
    mount(scratch, alias, None, MS.BIND)
    for word, role, relation in (
        ("upper", Role.UPPER, Relation.SAME),
        ("link", Role.UPPER, Relation.SAME),
        ("alias/upper", Role.UPPER, Relation.SAME),
        ("work", Role.WORK, Relation.SAME),
        ("work/work", Role.WORK, Relation.ABOVE),
        ("lower", Role.LOWER, Relation.SAME),
        ("lower/sub", Role.LOWER, Relation.ABOVE),
    ):
        answer = who(os.path.join(scratch, word), layer=True)
        (user,) = answer.users
        (use,) = user.uses
        assert (answer.asked, use.role, use.relation) == (Asked.LAYER, role, relation), word
        assert user.points[0][1] == merged
    (user,) = who(scratch, layer=True).users
    assert {use.relation for use in user.uses} == {Relation.INSIDE}
    assert who(os.path.join(scratch, "alone"), layer=True).users == ()


@needs_root
def test_relative_layers(scratch: str, state_dir: str) -> None:
    """Layers that an engine gave relative to a directory of its own, as Docker does with many of them."""
    for name in ("l", "1/diff", "2/diff", "3/diff", "3/work", "3/merged"):
        os.makedirs(os.path.join(scratch, name))
    for name in "12":
        os.symlink(f"../{name}/diff", os.path.join(scratch, "l", f"LINK{name}"))
    before = os.getcwd()
    os.chdir(scratch)
    try:
        mount("overlay", "3/merged", "overlay", MS(0), b"lowerdir=l/LINK1:l/LINK2,upperdir=3/diff,workdir=3/work")
    finally:
        os.chdir(before)
    (user,) = who(f"{scratch}/2/diff", layer=True).users
    assert [(use.role, use.layer) for use in user.uses] == [(Role.LOWER, "l/LINK2")]
    (user,) = who(f"{scratch}/3/diff", layer=True).users
    assert [use.role for use in user.uses] == [Role.UPPER]


def test_overlay_of_another_namespace(scratch: str, state_dir: str) -> None:
    """An overlay that only another namespace has uses a directory of this one."""
    code = _ENTER + "from tests.kernel import overlays\noverlays.simple(sys.argv[2], userxattr=os.geteuid() != 0)"
    with child(code, "-", scratch) as pid:
        (user,) = who(os.path.join(scratch, "lower"), layer=True).users
        assert user.points == ((namespaces.mount_namespace_id(pid), os.path.join(scratch, "merged")),)
        assert [use.role for use in user.uses] == [Role.LOWER]
        if root():
            (command,) = user.release
            obey(command)
            assert who(os.path.join(scratch, "lower"), layer=True).users == ()


def test_process_below_a_layer(merged: str, scratch: str) -> None:
    """Who works in the directory itself, not through the overlay, is told apart."""
    with child("import os, sys\nos.chdir(sys.argv[1])", os.path.join(scratch, "lower", "sub")) as pid:
        answer = who(os.path.join(scratch, "lower"), layer=True)
        assert [hold.path for hold in holder(answer, pid).holds] == [os.path.join(scratch, "lower", "sub")]
        assert who(os.path.join(scratch, "upper"), layer=True).groups == ()


@needs_root
@pytest.mark.parametrize("how", ["fd", "map"])
def test_lazily_unmounted(merged: str, scratch: str, how: str) -> None:
    """The kernel says the upper is in use, no table has the overlay, and its uuid tells which process keeps it."""
    upper = os.path.join(scratch, "upper")
    other = overlays.simple(*overlays.directories(scratch, "other"), userxattr=False)
    with child(_OPEN if how == "fd" else _MMAP, os.path.join(merged, "file")) as pid, child(_OPEN, f"{other}/file"):
        for point in (merged, other):
            umount2(point, MNT.DETACH)
        answer = who(upper, layer=True)
        assert (answer.in_use, answer.users) == (True, ())
        (lost,) = answer.lost
        assert lost.sure
        (process,) = lost.processes
        assert (process.pid, [hold.kind for hold in process.holds]) == (pid, [how])
        obey(process.release)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert who(upper, layer=True).in_use is False


@needs_root
@pytest.mark.parametrize("uuid", ["null", "off"])
def test_lazily_unmounted_without_uuid(scratch: str, state_dir: str, uuid: str) -> None:
    """An overlay in no table is known by what backs the object that is held: a lower, or an upper without a uuid."""
    lower, second, upper, work, merged, alone = overlays.directories(
        scratch, "lower", "second", "upper", "work", "merged", "alone"
    )
    for directory, name in ((lower, "a"), (second, "b")):
        with open(os.path.join(directory, name), "w", encoding="ascii") as file:
            file.write(name)
    data = f"lowerdir={lower}:{second},upperdir={upper},workdir={work},uuid={uuid}"
    mount("o", merged, "overlay", MS(0), data.encode())
    with child(_OPEN.replace("O_RDWR", "O_RDONLY"), os.path.join(merged, "b")) as pid:
        umount2(merged, MNT.DETACH)
        sure = {path: [lost.sure for lost in who(path, layer=True).lost] for path in (lower, second, alone)}
        assert sure == {lower: [None], second: [True], alone: [None]}
        (lost,) = who(second, layer=True).lost
        assert [process.pid for process in lost.processes] == [pid]
        assert who(second, layer=True).held


@needs_root
def test_stack_whose_mount_is_gone(scratch: str, state_dir: str) -> None:
    """By its name: a stack that was unmounted lazily behind ovlctl's back is asked about by its upper."""
    (lower,) = overlays.directories(scratch, "lower")
    mounted = ovlctl.mount(ovlctl.Stack([lower]), allocate=ovlctl.KeptUpper(), name="x")
    with child("import os, sys\nos.chdir(sys.argv[1])", mounted.target) as pid:
        assert who("x").path == mounted.target
        umount2(mounted.target, MNT.DETACH)
        answer = who("x")
        assert (answer.asked, answer.name, answer.path) == (Asked.LAYER, "x", mounted.overlay.stack.upper)
        assert [process.pid for lost in answer.lost for process in lost.processes] == [pid]
    ovlctl.umount("x", discard=True)


@needs_root
def test_discard_names_who_uses_the_upper(scratch: str, state_dir: str) -> None:
    """A discard that a copy in another namespace, or a holder of the lazily unmounted overlay, forbids names it."""
    (lower,) = overlays.directories(scratch, "lower")
    mounted = ovlctl.mount(ovlctl.Stack([lower]), allocate=ovlctl.KeptUpper(), name="x")
    with child(_ENTER, "-") as pid:
        wanted = f"mount namespace {namespaces.mount_namespace_id(pid)}"
        with pytest.raises(ovlctl.errors.DiscardRefused, match=wanted) as caught:
            ovlctl.umount("x", discard=True)
        assert "nsenter" in (caught.value.hint() or "")
    mounted = ovlctl.mount(ovlctl.Stack([lower]), allocate=ovlctl.KeptUpper(), name="x")
    with child("import os, sys\nos.chdir(sys.argv[1])", mounted.target) as pid:
        umount2(mounted.target, MNT.DETACH)
        with pytest.raises(ovlctl.errors.DiscardRefused, match=f"kept by pid {pid}"):
            ovlctl.umount("x", discard=True)
    ovlctl.umount("x", discard=True)


@needs_root
def test_stack_of_another_namespace(scratch: str, state_dir: str) -> None:
    """By its name: a stack that ovlctl mounted in another namespace is asked about where it is."""
    (lower,) = overlays.directories(scratch, "lower")
    code = _ENTER + "import ovlctl\novlctl.mount(ovlctl.Stack([sys.argv[2]]), allocate=ovlctl.KeptUpper(), name='x')"
    with child(code, "-", lower) as pid, child("") as other:
        answer = who("x")
        assert (answer.asked, answer.name) == (Asked.MOUNT, "x")
        (group,) = answer.groups
        assert (group.namespace, group.own) == (namespaces.mount_namespace_id(pid), False)
        assert [copy.role for copy in group.copies] == [Role.ITSELF]
        assert other not in group.pids


@needs_loop
def test_loop_device(merged: str) -> None:
    """A loop device on a file of the overlay."""
    image = os.path.join(merged, "image")
    with open(image, "wb") as file:
        file.truncate(1 << 20)
    subprocess.run(["losetup", "--find", image], check=True)
    (device,) = who(merged).devices
    assert device.path == image
    with pytest.raises(ovlctl.errors.MountBusy, match="loop device") as caught:
        ovlctl.umount(merged)
    assert "losetup -d /dev/loop" in (caught.value.hint() or "").replace("'", "")
    obey(device.release[0])
    assert not who(merged).held


def test_who_does_not_count(merged: str) -> None:
    """The process that asks can be left out."""
    fd = os.open(os.path.join(merged, "file"), os.O_RDONLY)
    try:
        assert holder(who(merged), os.getpid()).release is None
        assert not who(merged, but_not={os.getpid()}).held
    finally:
        os.close(fd)


def test_many_processes(merged: str) -> None:
    """Among 300 processes an answer takes less than half a second of work."""
    script = "i=0; while [ $i -lt 300 ]; do sleep 60 & i=$((i+1)); done; echo ready; wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True) as crowd:
        assert crowd.stdout is not None
        crowd.stdout.readline()
        try:
            who(merged)
            began = time.process_time()
            answer = who(merged)
            took = time.process_time() - began
        finally:
            os.killpg(crowd.pid, signal.SIGKILL)
    assert not answer.held
    assert took < 0.5


@needs_root
def test_busy_error_names_who_and_how_to_end_it(merged: str) -> None:
    """`umount` asks the same question when the kernel says busy."""
    with child("import os, sys\nos.chdir(sys.argv[1])", merged) as pid:
        with pytest.raises(ovlctl.errors.MountBusy) as caught:
            ovlctl.umount(merged)
        assert f"pid {pid}" in caught.value.message()
        assert f"`kill {pid}`" in (caught.value.hint() or "")
    ovlctl.umount(merged)


@needs_root
def test_in_use_error_names_who(merged: str, scratch: str) -> None:
    """A second mount of an upper is refused with the process that keeps the lazily unmounted first, or its place."""
    low, work, point = overlays.directories(scratch, "low", "work2", "point")
    stack = ovlctl.Stack([low], upper=os.path.join(scratch, "upper"), work=work)
    with child("import os, sys\nos.chdir(sys.argv[1])", merged) as pid:
        umount2(merged, MNT.DETACH)
        with pytest.raises(ovlctl.errors.UpperInUse, match=f"unmounted lazily, and kept by pid {pid} ") as caught:
            ovlctl.mount(stack, point)
        assert f"`kill {pid}`" in (caught.value.hint() or "")
        lower = ovlctl.Stack([os.path.join(scratch, "upper"), low])
        with pytest.raises(ovlctl.errors.LowerInUse, match=f"kept by pid {pid} "):
            ovlctl.mount(lower, point)
    inside = os.path.join(scratch, "inside")
    os.mkdir(inside)
    code = _ENTER + "from tests.kernel import overlays\noverlays.simple(sys.argv[2], userxattr=False)"
    with child(code, "-", inside) as pid:
        stack = ovlctl.Stack([low], upper=os.path.join(inside, "upper"), work=os.path.join(inside, "work"))
        with pytest.raises(ovlctl.errors.UpperInUse, match=f"mount namespace {namespaces.mount_namespace_id(pid)}"):
            ovlctl.mount(stack, point)


def test_answers_are_the_same_without_statmount(merged: str) -> None:
    """Where statmount(2), listmount(2) and statx(2) are refused, mountinfo and fdinfo answer."""
    code = """
import os, sys
from tests.kernel import refusals
from ovlctl.ops.who import who
for number in filter(None, (refusals.STATMOUNT, refusals.LISTMOUNT, refusals.STATX)):
    refusals.refuse(number, 38)
fd = os.open(sys.argv[1] + "/file", os.O_RDONLY)
(group,) = [group for group in who(sys.argv[1]).groups if group.own]
(process,) = group.processes
assert process.pid == os.getpid() and process.holds[0].fd == fd, process
"""
    with child(code, merged):
        pass
