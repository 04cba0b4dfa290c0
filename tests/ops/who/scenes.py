"""What the tests of ``who`` share: programs for children, and ways into an answer."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel import namespaces
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from tests.capabilities import root
from tests.kernel.children import child

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.ops.who.answer import Answer, Group, Process

ENTER = """
import os, sys
if sys.argv[1].isdecimal():
    os.sched_setaffinity(0, {int(sys.argv[1])})
from ovlctl.kernel.namespaces import enter_private_mounts, enter_user_namespace
enter_private_mounts() if os.geteuid() == 0 else enter_user_namespace()
"""
OPEN = "import os, sys\nfd = os.open(sys.argv[1], os.O_RDWR)\n"
MMAP = OPEN + "import mmap\nmemory = mmap.mmap(fd, 0)\nos.closerange(3, 64)\n"


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
        with child(ENTER, str(cpu)) as pid:
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
