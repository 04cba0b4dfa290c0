"""Who holds a mount: real processes, real namespaces, and commands that do what they promise."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess

import pytest

import ovlctl
from ovlctl.kernel import namespaces
from ovlctl.kernel.mount import MS, mount, umount2
from ovlctl.ops.who import who
from ovlctl.ops.who.answer import Asked, Role
from ovlctl.ops.who.locations import Relation
from tests.capabilities import needs_loop, needs_overlay, needs_root, root
from tests.kernel import overlays
from tests.kernel.children import child
from tests.ops.who.scenes import ENTER, MMAP, OPEN, group_of, holder, namespace_without_processes, obey
from tests.steps import counted

pytestmark = needs_overlay


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
        "fd": OPEN,
        "deleted": OPEN + "os.unlink(sys.argv[1])",
        "cwd": "import os, sys\nos.chdir(sys.argv[1])",
        "map": MMAP,
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
    with child(ENTER + "os.chdir(sys.argv[2])", "-", merged) as pid:
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
def test_copy_in_another_user_namespace(merged: str) -> None:
    """Its owner cannot unmount it, as it is locked there, and neither can root: it ends with its processes."""
    code = "from ovlctl.kernel import namespaces\nnamespaces.enter_user_namespace()"
    with child(code, merged) as pid:
        group = group_of(who(merged), namespaces.mount_namespace_id(pid))
        (copy,) = group.copies
        assert copy.release == ("kill", str(pid))
        obey(copy.release)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert not who(merged).held


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
    with namespace_without_processes(scratch, keep="file") as (inode, point), child(ENTER, "-") as pid:
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


@needs_root
def test_stack_of_another_namespace(scratch: str, state_dir: str) -> None:
    """By its name: a stack that ovlctl mounted in another namespace is asked about where it is."""
    (lower,) = overlays.directories(scratch, "lower")
    code = ENTER + "import ovlctl\novlctl.mount(ovlctl.Stack([sys.argv[2]]), allocate=ovlctl.KeptUpper(), name='x')"
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
    """Each of 100 processes that hold nothing costs the answer a few calls to the kernel, however many there are."""
    who(merged)
    with counted() as alone:
        who(merged)
    script = "i=0; while [ $i -lt 100 ]; do sleep 600 & i=$((i+1)); done; echo ready; wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True) as crowd:
        assert crowd.stdout is not None
        crowd.stdout.readline()
        try:
            with counted() as among:
                answer = who(merged)
        finally:
            os.killpg(crowd.pid, signal.SIGKILL)
    assert not answer.held
    # It is three of each; the machine has processes of its own that come and go.
    for name in ("open", "read", "stat", "listdir", "readlink", "mount_id_at"):
        assert among[name] - alone[name] < 6 * 100, name


@needs_root
def test_busy_error_names_who_and_how_to_end_it(merged: str) -> None:
    """`umount` asks the same question when the kernel says busy."""
    with child("import os, sys\nos.chdir(sys.argv[1])", merged) as pid:
        with pytest.raises(ovlctl.errors.MountBusy) as caught:
            ovlctl.umount(merged)
        assert f"pid {pid}" in caught.value.message()
        assert f"`kill {pid}`" in (caught.value.hint() or "")
    ovlctl.umount(merged)


def test_busy_error_claims_no_more_than_it_says(merged: str) -> None:
    """Commands that would not release it all are left out, and `who` is named, which has them all."""
    code = """
import os, sys, time
os.chdir(sys.argv[1])
for _ in range(14):
    if not os.fork():
        time.sleep(600)
"""
    with child(code, merged) as pid:
        with pytest.raises(ovlctl.errors.MountBusy) as caught:
            ovlctl.umount(merged)
        for process in (each for group in who(merged).groups for each in group.processes):
            if process.pid != pid:
                os.kill(process.pid, signal.SIGKILL)
    assert "more processes: 12" in caught.value.message()
    assert "kill" not in (caught.value.hint() or "")
    assert "ovlctl who" in (caught.value.hint() or "")


def test_answers_are_the_same_without_statmount(merged: str) -> None:
    """Where statmount(2), listmount(2) and statx(2) are refused, mountinfo and fdinfo answer."""
    code = """
import os, sys
from tests.kernel import refusals
from ovlctl.ops.who import who
from tests.steps import counted
for number in filter(None, (refusals.STATMOUNT, refusals.LISTMOUNT, refusals.STATX)):
    refusals.refuse(number, 38)
fd = os.open(sys.argv[1] + "/file", os.O_RDONLY)
(group,) = [group for group in who(sys.argv[1]).groups if group.own]
(process,) = group.processes
assert process.pid == os.getpid() and process.holds[0].fd == fd, process
"""
    with child(code, merged):
        pass
