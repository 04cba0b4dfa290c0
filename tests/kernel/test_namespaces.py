"""Namespaces and capabilities; what changes this process happens in a child."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel import capabilities, namespaces
from ovlctl.kernel.capabilities import Capability
from tests.capabilities import needs_root, needs_userns
from tests.kernel.children import child

if TYPE_CHECKING:
    from tests.conftest import OrdinaryUser

_ENTER = """
import os, sys
from ovlctl.errors import NoUserNamespace
from ovlctl.kernel import capabilities, mountinfo, namespaces
from ovlctl.kernel.mount import MS, mount
outside = namespaces.mount_namespace_id()
"""


def test_namespace_id_is_what_readlink_shows() -> None:
    """mount_namespace_id() is the number in the link."""
    assert os.readlink("/proc/self/ns/mnt") == f"mnt:[{namespaces.mount_namespace_id()}]"
    assert namespaces.mount_namespace_id(os.getpid()) == namespaces.mount_namespace_id()


def test_initial_user_namespace() -> None:
    """The initial one maps every uid onto itself."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        whole = file.read().split() == ["0", "0", "4294967295"]
    assert namespaces.in_initial_user_namespace() == whole


@needs_userns
def test_ordinary_user_enters(ordinary_user: OrdinaryUser) -> None:
    """An ordinary user becomes root in namespaces of their own, and can mount there; nothing of it shows outside."""
    code = (
        _ENTER
        + """
assert not capabilities.has(capabilities.Capability.CAP_SYS_ADMIN)
namespaces.enter_user_namespace()
assert (os.getuid(), os.getgid()) == (0, 0)
assert not namespaces.in_initial_user_namespace()
assert namespaces.mount_namespace_id() != outside
assert capabilities.has(capabilities.Capability.CAP_SYS_ADMIN)
mount("mine", os.environ["HOME"], "tmpfs", MS(0), b"size=64k")
assert not any(tag.startswith("shared") for each in mountinfo.read() for tag in each.propagation)
print(sum(each.source == "mine" for each in mountinfo.read()))
"""
    )
    done = ordinary_user.run([sys.executable, "-c", code])
    assert (done.stdout, done.stderr) == ("1\n", "")
    assert os.listdir(ordinary_user.home) == []


@needs_userns
def test_same_uid_inside(ordinary_user: OrdinaryUser) -> None:
    """With uid_inside the user keeps their number and still has the capabilities."""
    code = (
        _ENTER
        + """
uid, gid = os.getuid(), os.getgid()
namespaces.enter_user_namespace(uid, gid)
assert (os.getuid(), os.getgid()) == (uid, gid)
print(len(capabilities.effective()) > 30)
"""
    )
    done = ordinary_user.run([sys.executable, "-c", code])
    assert (done.stdout, done.stderr) == ("True\n", "")


@needs_userns
def test_threads_are_the_reason(ordinary_user: OrdinaryUser) -> None:
    """A process with threads cannot; the error says so and the process stays where it was."""
    code = (
        _ENTER
        + """
import threading
stop = threading.Event()
threading.Thread(target=stop.wait).start()
try:
    namespaces.enter_user_namespace()
except NoUserNamespace as error:
    print(error.errno_name, "2 threads" in error.message(), namespaces.mount_namespace_id() == outside)
finally:
    stop.set()
"""
    )
    done = ordinary_user.run([sys.executable, "-c", code])
    assert (done.stdout, done.stderr) == ("EINVAL True True\n", "")


@needs_root
def test_limit_is_the_reason() -> None:
    """Where a user namespace may hold none of its own, the sysctl is named and the command that raises it."""
    code = (
        _ENTER
        + """
namespaces.enter_user_namespace()
with open("/proc/sys/user/max_user_namespaces", "w") as file:
    file.write("0")
try:
    namespaces.enter_user_namespace()
except NoUserNamespace as error:
    assert "max_user_namespaces is 0" in error.message(), error
    assert "sysctl" in error.hint()
else:
    raise AssertionError("it could")
"""
    )
    with child(code):
        pass


@needs_root
def test_setns_joins(scratch: str) -> None:
    """After setns() the process is in the other's mount namespace."""
    with child("from ovlctl.kernel.namespaces import *\nenter_private_mounts()") as pid:
        joined = """
import os, sys
from ovlctl.kernel import namespaces
fd = os.open(f"/proc/{sys.argv[1]}/ns/mnt", os.O_RDONLY)
namespaces.setns(fd, namespaces.CLONE.NEWNS)
assert namespaces.mount_namespace_id() == int(sys.argv[2])
"""
        there = namespaces.mount_namespace_id(pid)
        assert there != namespaces.mount_namespace_id()
        with child(joined, str(pid), str(there)):
            pass


_MAY_MOUNT = (
    _ENTER
    + """
def told_and_true(point):
    told = namespaces.may_mount()
    assert bool(told) == (told is namespaces.MountRight.YES) == (not told.reason)
    try:
        mount("mine", point, "tmpfs", MS(0), b"size=64k")
    except PermissionError:
        return told, False
    return told, True
"""
)


@needs_userns
@pytest.mark.parametrize(
    ("options", "told"), [(None, "no-capability"), ("-Ur", "foreign-namespace"), ("-Urm", "yes"), ("-Um", "yes")]
)
def test_who_may_mount(ordinary_user: OrdinaryUser, options: str | None, told: str) -> None:
    """A user may not, nor one who is root in a user namespace alone; one who took a mount namespace along may.

    Law: it says yes if and only if mounting a tmpfs works.
    """
    if options is not None and shutil.which("unshare") is None:
        pytest.skip("unshare(1) is not installed")
    inside = [] if options is None else ["unshare", options]
    if options == "-Um":
        # Capabilities of an unmapped uid do not survive execve(2), so this one enters by itself.
        inside = []
    code = _MAY_MOUNT + ("namespaces.unshare(namespaces.CLONE.NEWUSER | namespaces.CLONE.NEWNS)\n" * (options == "-Um"))
    code += "print(*told_and_true(sys.argv[1]))"
    done = ordinary_user.run([*inside, sys.executable, "-c", code, ordinary_user.home])
    assert (done.stdout, done.stderr) == (f"{told} {told == 'yes'}\n", "")


@needs_root
def test_root_may_mount(scratch: str) -> None:
    """Root may, also in a mount namespace of a user namespace below its own."""
    with child(
        _MAY_MOUNT + "namespaces.enter_private_mounts()\nassert told_and_true(sys.argv[1]) == ('yes', True)", scratch
    ):
        pass
    below = "from ovlctl.kernel.namespaces import *\nenter_user_namespace()"
    join = """
fd = os.open(f"/proc/{sys.argv[1]}/ns/mnt", os.O_RDONLY)
namespaces.setns(fd, namespaces.CLONE.NEWNS)
assert told_and_true(sys.argv[2]) == ("yes", True)
"""
    with child(below) as pid, child(_MAY_MOUNT + join, str(pid), scratch):
        pass


@needs_root
def test_root_without_the_capability_may_not(scratch: str) -> None:
    """It is not the uid that counts."""
    drop = """
import ctypes
from ovlctl.kernel.libc import check, function
# capset(2), version 3: no capability at all
header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
check(function("capset", ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(header, none))
assert os.geteuid() == 0
assert told_and_true(sys.argv[1]) == ("no-capability", False)
"""
    with child(_MAY_MOUNT + drop, scratch):
        pass


def test_unshare_refuses_nonsense() -> None:
    """An error keeps its number: a flag that does not exist is EINVAL."""
    with pytest.raises(OSError, match="Invalid argument"):
        namespaces.unshare(namespaces.CLONE(1))


def test_effective_capabilities_are_those_of_status() -> None:
    """The set and has() agree with the mask in /proc."""
    with open("/proc/thread-self/status", encoding="utf-8") as file:
        mask = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
    assert sum(1 << capability for capability in capabilities.effective()) == mask & (1 << len(Capability)) - 1
    assert all(capabilities.has(capability) for capability in capabilities.effective())
