"""Every process there is, and the ids of the mounts it stands on: one look at /proc, questions to it afterwards.

A mount id of mountinfo is never shared by two mounts that are alive, in whatever namespace (mnt_alloc_id() in
fs/namespace.c), and fdinfo and statx(2) tell it without asking any file system. So neither a hung network file system
nor a bind mount can mislead.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from ovlctl.errors import KernelLacks
from ovlctl.kernel import mounts
from ovlctl.kernel.kcmp import KCMP, kcmp
from ovlctl.kernel.statmount import mnt_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A process, or a thread of one that has directories or descriptors of its own.

    Attributes:
        pid: The process.
        tid: The thread; *pid* itself for the process as a whole.
        namespace: Inode number of its mount namespace; None when that may not be read.
        places: Mount ids of ``cwd``, ``root`` and ``exe``, as far as they are there.
        fds: Mount ids by descriptor.
    """

    pid: int
    tid: int
    namespace: int | None
    places: dict[str, int]
    fds: dict[int, int]

    @property
    def proc(self) -> str:
        """Its directory in /proc."""
        return f"/proc/{self.pid}" if self.tid == self.pid else f"/proc/{self.pid}/task/{self.tid}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    """What :func:`tasks` found.

    Attributes:
        tasks: Every task that could be read, in part at least.
        unreadable: Ids of the processes that may not be looked into.
    """

    tasks: tuple[Task, ...]
    unreadable: tuple[int, ...]


def tasks() -> Tasks:
    """Look at every process.

    Threads share directories and descriptors with their process unless they asked not to; those that do not are
    listed beside it, where kcmp(2) tells. Not seen: processes hidden by hidepid=2, descriptors in flight over a socket
    and files of io_uring.
    """
    found: list[Task] = []
    unreadable: list[int] = []
    with os.scandir("/proc") as entries:
        pids = sorted(int(entry.name) for entry in entries if entry.name.isdecimal())
    for pid in pids:
        try:
            found += _tasks(pid)
        except PermissionError:
            unreadable.append(pid)
        except OSError:
            continue  # gone meanwhile, or a zombie, which holds nothing any more
    return Tasks(tasks=tuple(found), unreadable=tuple(unreadable))


def _tasks(pid: int) -> list[Task]:
    proc = f"/proc/{pid}"
    found = [_task(proc, pid, pid, files=True)]
    for name in os.listdir(f"{proc}/task"):
        tid = int(name)
        if tid == pid:
            continue
        apart = kcmp(pid, tid, KCMP.FS) is False, kcmp(pid, tid, KCMP.FILES) is False
        if any(apart):
            try:
                found.append(_task(f"{proc}/task/{tid}", pid, tid, files=apart[1]))
            except OSError:
                continue  # ended meanwhile
    return found


def _task(proc: str, pid: int, tid: int, *, files: bool) -> Task:
    namespace = mounts.namespace_of(proc)
    places: dict[str, int] = {}
    for kind in ("cwd", "root", "exe") if tid == pid else ("cwd", "root"):
        try:
            places[kind] = mount_id_at(f"{proc}/{kind}")
        except FileNotFoundError:
            continue  # a kernel thread has no exe
    return Task(pid=pid, tid=tid, namespace=namespace, places=places, fds=_fds(proc) if files else {})


def _fds(proc: str) -> dict[int, int]:
    found: dict[int, int] = {}
    directory = f"{proc}/fdinfo"
    for name in os.listdir(directory):
        try:
            # os.open() and not open(): this is done for every descriptor of the machine.
            fd = os.open(f"{directory}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # closed meanwhile
        try:
            mount_id = mounts.parse_fdinfo(os.read(fd, 4096))
        finally:
            os.close(fd)
        if mount_id is not None:
            found[int(name)] = mount_id
    return found


def mount_id_at(link: str) -> int:
    """The mount id of what a link of /proc leads to.

    Raises:
        OSError: ENOENT, EACCES, as the words say.
    """
    try:
        return mnt_id(link)
    except KernelLacks:
        return mounts.mount_id_of(link)
