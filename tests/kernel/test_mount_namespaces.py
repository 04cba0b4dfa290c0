"""Every mount namespace, by two ways to ask, and the processes in them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel import backing, lookup, mount_namespaces, mounts, namespaces
from ovlctl.kernel.detached import OVERLAYFS_SUPER_MAGIC, detached_overlays, statfs_type
from ovlctl.kernel.kcmp import KCMP, kcmp
from ovlctl.kernel.mount import MNT, mount, umount2
from ovlctl.kernel.mount_namespaces import Census, census
from ovlctl.kernel.tasks import tasks
from tests.capabilities import needs_mounting, needs_overlay, needs_overlay_handles, needs_root, needs_statmount, root
from tests.kernel import overlays
from tests.kernel.children import child

if TYPE_CHECKING:
    from ovlctl.kernel.mounts import Mount

_ENTER = """
import os
from ovlctl.kernel.namespaces import enter_private_mounts, enter_user_namespace
enter_private_mounts() if os.geteuid() == 0 else enter_user_namespace()
"""


def now() -> Census:
    """Every namespace of this moment."""
    return census(tasks().tasks)


def test_own_namespace_comes_first() -> None:
    """It is the first, with this process in it and the mounts of mounts.mounts()."""
    own = now().namespaces[0]
    assert own.inode == namespaces.mount_namespace_id()
    assert os.getpid() in {task.pid for task in own.tasks}
    assert own.mounts == tuple(mounts.mounts())


@needs_mounting
def test_the_kernel_and_proc_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """A namespace with processes is the same, mount for mount, whether the kernel lists it or /proc leads to it.

    The kernel lists besides what its root directory lies on, as after switch_root(8): a process never sees that.
    """
    with child(_ENTER) as pid:
        inode = namespaces.mount_namespace_id(pid)
        (listed,) = [each for each in now().namespaces if each.inode == inode]
        # An ioctl of this family that no kernel has: what one without the request answers.
        monkeypatch.setattr(mount_namespaces, "_NS_MNT_GET_NEXT", 0x8010B7FF)
        (found,) = [each for each in now().namespaces if each.inode == inode]
    assert not now().complete
    assert [task.pid for task in listed.tasks] == [task.pid for task in found.tasks] == [pid]
    assert listed.mounts is not None
    assert found.mounts is not None
    beneath = _beneath_root(listed.mounts, found.mounts)
    assert {each.mount_id: each.mount_point for each in listed.mounts if each.mount_id not in beneath} == {
        each.mount_id: each.mount_point for each in found.mounts
    }


def _beneath_root(listed: tuple[Mount, ...], seen: tuple[Mount, ...]) -> set[int]:
    """The mounts of *listed* that the topmost one of *seen* is mounted on."""
    parents = {each.mount_id: each.parent_id for each in listed if each.parent_id != each.mount_id}
    ids = {each.mount_id for each in seen}
    at = next(each.parent_id for each in seen if each.parent_id not in ids or each.parent_id == each.mount_id)
    beneath: set[int] = set()
    while at in parents and at not in ids:
        beneath.add(at)
        at = parents[at]
    return beneath


# A namespace that no process is in, or none with its root directory, can be read in no other way.
@needs_root
@needs_statmount
def test_what_a_changed_root_directory_hides(scratch: str) -> None:
    """The kernel's list shows all mounts of a namespace whose only process has another root directory."""
    code = _ENTER + "import sys\nos.chroot(sys.argv[1])"
    with child(code, scratch) as pid:
        found = now()
        if not found.complete:
            pytest.skip("this kernel does not list mount namespaces")
        (listed,) = [each for each in found.namespaces if each.inode == namespaces.mount_namespace_id(pid)]
        seen = mounts.from_mountinfo(pid=pid)
    assert len(listed.mounts or ()) > len(seen)


@needs_root
@needs_statmount
def test_descriptor_of_a_namespace_file() -> None:
    """A namespace that only a descriptor keeps is there, with it."""
    with child(_ENTER) as pid:
        inode = namespaces.mount_namespace_id(pid)
        fd = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
    (found,) = [each for each in now().namespaces if each.inode == inode]
    assert (found.tasks, found.bound) == ((), ())
    assert [(each.pid, each.fd) for each in found.opened] == [(os.getpid(), fd)]
    assert found.mounts
    os.close(fd)
    # Not by its inode number, which a new namespace of anybody may have by now.
    assert os.getpid() not in {each.pid for space in now().namespaces for each in space.opened}


def test_descriptors_of_other_namespaces_are_none() -> None:
    """A descriptor of a network namespace's file keeps no mount namespace."""
    fd = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        assert all(each.fd != fd for space in now().namespaces for each in space.opened if each.pid == os.getpid())
    finally:
        os.close(fd)


def test_tasks() -> None:
    """A process is listed once, with the mounts of its directories and descriptors, as fdinfo tells them."""
    fd = os.open("/proc", os.O_PATH)
    try:
        (own,) = [task for task in tasks().tasks if task.pid == os.getpid() and task.tid == task.pid]
        assert own.namespace == namespaces.mount_namespace_id()
        assert own.fds[fd] == mounts.mount_id_of("/proc")
        assert own.places["cwd"] == mounts.mount_id_of(".")
        assert own.places["root"] == mounts.mount_id_of("/")
    finally:
        os.close(fd)


def test_kcmp() -> None:
    """A process shares its descriptors with itself, and not with another."""
    if kcmp(os.getpid(), os.getpid(), KCMP.FILES) is None:
        pytest.skip("no kcmp(2) here")
    with child("") as pid:
        assert kcmp(os.getpid(), pid, KCMP.FILES) is False
        assert kcmp(pid, pid, KCMP.FS) is True


def test_open_in_root(scratch: str) -> None:
    """Absolute links and ``..`` end at the root given."""
    (inner,) = overlays.directories(scratch, "inner")
    os.symlink("/file", os.path.join(inner, "absolute"))
    os.symlink("../../../file", os.path.join(inner, "up"))
    with open(os.path.join(inner, "file"), "w", encoding="ascii") as file:
        file.write("x")
    directory = os.open(inner, os.O_PATH)
    try:
        for name in ("absolute", "/up", "../file"):
            fd = lookup.open_in_root(directory, name)
            assert os.path.samestat(os.fstat(fd), os.stat(os.path.join(inner, "file")))
            os.close(fd)
        with pytest.raises(FileNotFoundError):
            lookup.open_in_root(directory, "/etc/passwd")
    finally:
        os.close(directory)


@needs_overlay
def test_detached_overlays(scratch: str) -> None:
    """An overlay in no table is found by what holds it, and others in no table are no overlays."""
    merged = overlays.simple(scratch, userxattr=not root())
    (other,) = overlays.directories(scratch, "other")
    mount("t", other, "tmpfs")
    assert statfs_type(merged) == OVERLAYFS_SUPER_MAGIC != statfs_type(other)
    held = [os.open(path, os.O_PATH) for path in (merged, other)]
    mount_id, dev = mounts.mount_id_of(merged), mounts.mount_at(merged).dev
    for point in (merged, other):
        umount2(point, MNT.DETACH)
    try:
        table = [each for space in now().namespaces for each in space.mounts or ()]
        found = detached_overlays(
            tasks().tasks, listed={each.mount_id for each in table}, devs={each.dev for each in table}
        )
        # Others may have some of their own on this machine.
        assert [each.mount_id for each in found if each.dev == dev] == [mount_id]
        assert mounts.mount_id_of(held[1]) not in {each.mount_id for each in found}
    finally:
        for fd in held:
            os.close(fd)


@needs_root
@needs_overlay_handles
def test_what_backs_an_object(scratch: str) -> None:
    """The real object of a name on an overlay: a lower's, or the upper's, and where it lies; none elsewhere."""
    merged = overlays.simple(scratch, userxattr=False)
    with open(os.path.join(merged, "new"), "w", encoding="ascii") as file:
        file.write("x")
    for name, layer, upper in (("file", "lower", False), ("sub", "lower", False), ("new", "upper", True)):
        real = backing.real_object(os.path.join(merged, name))
        assert real is not None
        assert (real.upper, backing.path_of(real, scratch)) == (upper, os.path.join(scratch, layer, name))
    assert backing.real_object(scratch) is None
