"""Who holds a mount: a real process for each way to do so."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel import holders, mounts
from ovlctl.kernel.holders import Holder, HolderKind
from ovlctl.kernel.mount import MS, mount, umount2
from tests.capabilities import needs_overlay, needs_root, root
from tests.kernel import overlays
from tests.kernel.children import child

if TYPE_CHECKING:
    from tests.conftest import MakeFs, OrdinaryUser

pytestmark = needs_overlay

_OPEN = "import os, sys\nfd = os.open(sys.argv[1], os.O_RDWR)\n"
_MMAP = _OPEN + "import mmap\nmemory = mmap.mmap(fd, 0)\nos.closerange(3, 64)  # mmap keeps one of its own\n"
_ENTER = """
import os, sys
from ovlctl.kernel.namespaces import enter_private_mounts, enter_user_namespace
enter_private_mounts() if sys.argv[1] == "root" else enter_user_namespace()
"""


@pytest.fixture
def merged(scratch: str) -> str:
    """Mount point of an overlay."""
    return overlays.simple(scratch, userxattr=not root())


def held_by(point: str, pid: int) -> list[Holder]:
    """How *pid* holds the mount at *point*, checked against the kernel: a holder means EBUSY."""
    found = holders.holders(mounts.mount_at(point))
    assert found.busy
    with pytest.raises(OSError, match="busy") as caught:
        umount2(point)
    assert caught.value.errno == errno.EBUSY
    assert {holder.pid for holder in found.processes} == {pid}
    return list(found.processes)


def test_nobody(merged: str) -> None:
    """Nobody holds a mount that the kernel then unmounts."""
    found = holders.holders(mounts.mount_at(merged))
    assert (found.processes, found.submounts) == ((), ())
    assert not found.busy
    umount2(merged)


@pytest.mark.parametrize("name", ["file", "sub"])
def test_open_file(merged: str, name: str) -> None:
    """An open file, and an open directory."""
    path = os.path.join(merged, name)
    with child(_OPEN.replace("O_RDWR", "O_RDONLY"), path) as pid:
        (holder,) = held_by(merged, pid)
    assert (holder.kind, holder.path) == (HolderKind.FD, path)
    assert holder.fd is not None
    assert holder.name.startswith("python")
    umount2(merged)


def test_deleted_file(merged: str) -> None:
    """An open file that has no name any more."""
    path = os.path.join(merged, "file")
    with child(_OPEN + "os.unlink(sys.argv[1])", path) as pid:
        (holder,) = held_by(merged, pid)
    assert (holder.kind, holder.path) == (HolderKind.FD, f"{path} (deleted)")


def test_working_directory(merged: str) -> None:
    """A working directory, also one that was deleted."""
    path = os.path.join(merged, "sub")
    with child("import os, sys\nos.chdir(sys.argv[1])", path) as pid:
        (holder,) = held_by(merged, pid)
        assert (holder.kind, holder.path, holder.fd) == (HolderKind.CWD, path, None)
        os.rmdir(path)
        (holder,) = held_by(merged, pid)
        assert (holder.kind, holder.path) == (HolderKind.CWD, f"{path} (deleted)")


@needs_root
def test_root_directory(merged: str) -> None:
    """A root directory: the process left with its working directory on it as well, by chroot(2)."""
    with child("import os, sys\nos.chroot(sys.argv[1])", merged) as pid:
        (holder,) = held_by(merged, pid)
    assert (holder.kind, holder.path) == (HolderKind.ROOT, merged)


def test_program(merged: str) -> None:
    """A running program holds the mount by exe, and by the mapping of its text."""
    program = os.path.join(merged, "sleeper")
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    with subprocess.Popen([program, "60"]) as process:
        try:
            found = held_by(merged, process.pid)
        finally:
            process.kill()
    assert {holder.kind for holder in found} == {HolderKind.EXE, HolderKind.MAP}
    assert {holder.path for holder in found} == {program}
    assert {holder.name for holder in found} == {"sleeper"}


def test_mapping_without_descriptor(merged: str) -> None:
    """A mapping whose descriptor is closed, under a name with every byte that /proc treats in its own way."""
    path = os.path.join(merged, 'a b\n\\c,#"\udcff')
    os.rename(os.path.join(merged, "file"), path)
    with child(_MMAP, path) as pid:
        (holder,) = held_by(merged, pid)
        assert (holder.kind, holder.path) == (HolderKind.MAP, path)
        os.unlink(path)
        (holder,) = held_by(merged, pid)
        assert holder.kind is HolderKind.MAP


@needs_root
def test_files_of_an_overlay_of_two_file_systems(make_fs: MakeFs, scratch: str) -> None:
    """Files whose st_dev is not that of the overlay are found, open and mapped."""
    lower, (upper, work, merged) = make_fs("tmpfs"), overlays.directories(scratch, "upper", "work", "merged")
    path = os.path.join(merged, "file")
    with open(os.path.join(lower, "file"), "w", encoding="ascii") as file:
        file.write("x")
    mount("o", merged, "overlay", MS(0), os.fsencode(f"lowerdir={lower},upperdir={upper},workdir={work},xino=off"))
    assert os.stat(path).st_dev != os.stat(merged).st_dev
    with child(_OPEN.replace("O_RDWR", "O_RDONLY"), path) as pid:
        assert [holder.kind for holder in held_by(merged, pid)] == [HolderKind.FD]
    reading = _MMAP.replace("O_RDWR", "O_RDONLY").replace("(fd, 0)", "(fd, 0, prot=mmap.PROT_READ)")
    with child(reading, path) as pid:
        assert [holder.kind for holder in held_by(merged, pid)] == [HolderKind.MAP]
    umount2(merged)


def test_one_process_many_ways(merged: str) -> None:
    """Every descriptor and the working directory of one process are told apart."""
    code = "import os, sys\nos.chdir(sys.argv[1])\nfds = [os.open('file', os.O_RDONLY) for _ in range(3)]"
    with child(code, merged) as pid:
        found = held_by(merged, pid)
    assert sorted(holder.kind for holder in found) == ["cwd", "fd", "fd", "fd"]
    assert len({holder.fd for holder in found}) == 4


def test_submount(merged: str) -> None:
    """Another mount on top makes it busy, and is no process."""
    (point,) = overlays.directories(merged, "below")
    mount("t", point, "tmpfs")
    found = holders.holders(mounts.mount_at(merged))
    assert (found.processes, found.submounts, found.busy) == ((), (point,), True)
    with pytest.raises(OSError, match="busy"):
        umount2(merged)
    umount2(point)


def test_bind_is_another_mount(merged: str, scratch: str) -> None:
    """A bind mount elsewhere keeps the superblock, not the mount; who holds the bind does not hold the mount."""
    (other,) = overlays.directories(scratch, "bind")
    mount(merged, other, None, MS.BIND)
    with child(_OPEN, os.path.join(other, "file")):
        found = holders.holders(mounts.mount_at(merged))
        assert (found.processes, found.busy) == ((), False)
        umount2(merged)
        assert holders.holders(mounts.mount_at(other)).busy


def test_other_namespace(merged: str) -> None:
    """A copy in another mount namespace does not make the mount busy, whoever holds it there."""
    mount_held = mounts.mount_at(merged)
    with child(_ENTER + "os.chdir(sys.argv[2])", "root" if root() else "user", merged):
        assert not holders.holders(mount_held).busy
        umount2(merged)


@needs_root
def test_ordinary_user_is_told_what_cannot_be_read(ordinary_user: OrdinaryUser, scratch: str) -> None:
    """Processes of others are named as unreadable, while the own ones are found."""
    (point,) = overlays.directories(scratch, "tmpfs")
    mount("t", point, "tmpfs", MS(0), b"mode=0777")
    code = """
import os, subprocess, sys
from ovlctl.kernel import holders, mounts, tasks
fd = os.open(sys.argv[1], os.O_RDONLY)
found = holders.holders(mounts.mount_at(sys.argv[1]))
assert [(each.pid, each.kind, each.fd) for each in found.processes] == [(os.getpid(), "fd", fd)], found
print(1 in tasks.tasks().unreadable)
"""
    done = ordinary_user.run([sys.executable, "-c", code, point])
    assert (done.stdout, done.stderr) == ("True\n", "")
