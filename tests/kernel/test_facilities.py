"""What the kernel offers beside overlayfs: each answer against using it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel import facilities, inode_flags, mounts, probes
from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.fscontext import MOVE_MOUNT, OPEN_TREE, fsconfig_create, fsmount, fsopen, move_mount, open_tree
from ovlctl.kernel.inode_flags import FS_FL
from ovlctl.kernel.libc import AT_FDCWD
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from tests import capabilities, trees

if TYPE_CHECKING:
    from tests.conftest import MakeFs, OrdinaryUser


@capabilities.needs_mounting
def test_mount_beneath(scratch: str) -> None:
    """The answer is what putting one mount under another gives, and asking moves nothing."""
    point = trees.make(os.path.join(scratch, "point"), {})
    mount("top", point, "tmpfs", MS(0))
    before = mounts.mounts()
    answer = facilities.mount_beneath()
    assert mounts.mounts() == before
    context = fsopen("tmpfs")
    fsconfig_create(context)
    detached = fsmount(context)
    refused = None
    try:
        move_mount(detached, "", AT_FDCWD, point, MOVE_MOUNT.F_EMPTY_PATH | MOVE_MOUNT.BENEATH)
        umount2(point, MNT(0))
    except OSError as error:
        refused = error.errno
    finally:
        os.close(context)
        os.close(detached)
        umount2(point, MNT(0))
    assert (answer, refused) in {(Answer.YES, None), (Answer.NO, errno.EINVAL)}


@capabilities.needs_mounting
def test_who_may_mount_is_answered(scratch: str) -> None:
    """mount_setattr(2) and open_tree(2) are there, where the calls are."""
    try:
        os.close(open_tree(AT_FDCWD, scratch, OPEN_TREE.CLONE))
    except OSError as error:
        pytest.skip(str(error))
    assert facilities.mount_setattr() in {Answer.YES, Answer.NO}


def test_who_may_not_mount_does_not_know(ordinary_user: OrdinaryUser) -> None:
    """EPERM comes before the flags are looked at: unknown; a call that is missing is missing for everybody."""
    code = "from ovlctl.kernel import facilities as f\nprint(f.mount_beneath(), f.mount_setattr(), f.taskstats())"
    done = ordinary_user.run([sys.executable, "-c", code])
    setattr_known = "no" if facilities.mount_setattr() is Answer.NO else "unknown"
    assert done.stdout.split()[:2] == ["unknown", setattr_known]
    assert done.stderr == ""


def test_statmount() -> None:
    """Ids that are never used again, and options one by one, as the mount table itself is read."""
    told = mounts.mount_at("/")
    unique, options = facilities.unique_mount_ids(), facilities.statmount_options()
    assert (told.unique_id is not None) == (unique is options is Answer.YES)


def test_taskstats() -> None:
    """The family is there where pyroute2 gets an answer."""
    if capabilities.taskstats():
        assert facilities.taskstats() is Answer.YES


def test_small_things(scratch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings, devices and programs: there, not there, and not to be reached."""
    assert facilities.sysctl("kernel/osrelease") == os.uname().release
    assert facilities.sysctl("kernel/no_such_setting") is None
    assert facilities.readable("/dev/null") == facilities.writable("/dev/null") == 0
    assert facilities.readable("/no/such") == errno.ENOENT
    tool = os.path.join(scratch, "some-tool")
    monkeypatch.setenv("PATH", f":relative:{scratch}")
    assert facilities.program("some-tool") is None
    trees.make(scratch, {"some-tool": ""})
    assert facilities.program("some-tool") is None
    os.chmod(tool, 0o755)
    assert facilities.program("some-tool") == tool
    assert facilities.program("sh") is None or os.path.isabs(facilities.program("sh") or "")


@capabilities.needs_root
@capabilities.needs_fs("ext4")
@capabilities.needs_fs("xfs")
def test_inode_flags(make_fs: MakeFs) -> None:
    """As chattr sets them; none where none are kept; a project as it was given."""
    directory = trees.make(os.path.join(make_fs("ext4"), "directory"), {})
    assert inode_flags.flags(directory) & (FS_FL.IMMUTABLE | FS_FL.APPEND | FS_FL.CASEFOLD) == FS_FL(0)
    subprocess.run(["chattr", "+i", directory], check=True)
    assert FS_FL.IMMUTABLE in inode_flags.flags(directory)
    subprocess.run(["chattr", "-i", directory], check=True)
    assert inode_flags.flags("/proc") == FS_FL(0)
    assert inode_flags.project("/proc") is None
    xfs = trees.make(os.path.join(make_fs("xfs"), "directory"), {})
    assert inode_flags.project(xfs) == 0
    if subprocess.run(["chattr", "-p", "7", xfs], capture_output=True, check=False).returncode == 0:
        assert inode_flags.project(xfs) == 7


@capabilities.needs_root
@capabilities.needs_lowerdir_plus
def test_layer_refusal(scratch: str) -> None:
    """The kernel's own word on a layer: why not as an upper, in its words; asking leaves no trace."""
    point = trees.make(os.path.join(scratch, "ro"), {})
    mount("t", point, "tmpfs", MS.RDONLY)
    try:
        answer, reason = probes.layer_refusal(point, "upperdir")
        assert (answer, reason) == (Answer.NO, "filesystem on the directory is read-only")
        assert probes.layer_refusal(point, "lowerdir+") == (Answer.YES, "")
    finally:
        umount2(point, MNT(0))
    assert probes.layer_refusal(scratch, "upperdir") == (Answer.YES, "")
    assert os.listdir(scratch) == ["ro"]
    assert probes.layer_refusal(scratch, "no_such_key") == (Answer.UNKNOWN, "")
