"""Every mount namespace there is, with its mounts, and what keeps the ones without processes.

A namespace lives as long as a process is in it, its file (``mnt:[N]`` of nsfs) is bind-mounted somewhere, or a
descriptor of that file is open. Since Linux 6.12 the kernel lists them all (NS_MNT_GET_NEXT of ioctl_nsfs(2), with
CAP_SYS_ADMIN in the initial user namespace), and listmount(2) reads one by its id since 6.11. Where that is missing or
refused, namespaces are found through /proc and read through the mountinfo of a process in them.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ovlctl.errors import KernelLacks
from ovlctl.kernel import mounts
from ovlctl.kernel.tasks import mount_id_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ovlctl.kernel.mounts import Mount
    from ovlctl.kernel.tasks import Task

# linux/nsfs.h: _IOR(0xb7, 10..12, struct mnt_ns_info). The encoding of size and direction is that of all but a few old
# architectures, where these requests fail and /proc does.
_NS_MNT_GET_INFO = 0x8010B70A
_NS_MNT_GET_NEXT = 0x8010B70B
_NS_MNT_GET_PREV = 0x8010B70C
# size, nr_mounts, mnt_ns_id
_MNT_NS_INFO = struct.Struct("=IIQ")

_NSFS_ROOT = re.compile(r"mnt:\[([0-9]+)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundFile:
    """A bind mount of a namespace's file, which keeps the namespace.

    Attributes:
        namespace: Inode number of the namespace in which it is mounted.
        mount_point: Where.
    """

    namespace: int
    mount_point: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFile:
    """A descriptor of a namespace's file, which keeps the namespace.

    Attributes:
        pid: Whose.
        tid: The thread whose it is, when threads of that process do not share descriptors; else *pid*.
        fd: Its number.
    """

    pid: int
    tid: int
    fd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MountNamespace:
    """One mount namespace.

    Attributes:
        inode: Its inode number, as in ``mnt:[N]``.
        tasks: Who is in it: processes, and threads that left their process's namespace.
        bound: Bind mounts of its file.
        opened: Descriptors of its file.
        mounts: Its mounts, oldest first; None when they could not be read.
    """

    inode: int
    tasks: tuple[Task, ...]
    bound: tuple[BoundFile, ...]
    opened: tuple[OpenFile, ...]
    mounts: tuple[Mount, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """Every mount namespace, the own one first.

    Attributes:
        namespaces: They.
        complete: Whether the kernel itself listed them; else those that nothing in /proc leads to are missing.
    """

    namespaces: tuple[MountNamespace, ...]
    complete: bool

    @property
    def unread(self) -> int:
        """How many of them could not be read."""
        return sum(each.mounts is None for each in self.namespaces)


@dataclass(slots=True)
class _Found:
    tasks: list[Task] = field(default_factory=list)
    bound: list[BoundFile] = field(default_factory=list)
    opened: list[OpenFile] = field(default_factory=list)
    mounts: tuple[Mount, ...] | None = None
    asked: bool = False


def census(tasks: Iterable[Task]) -> Census:
    """Find every mount namespace and read it.

    Args:
        tasks: Every process, from :func:`ovlctl.kernel.tasks.tasks`.
    """
    own = os.stat("/proc/self/ns/mnt").st_ino
    found: dict[int, _Found] = {own: _Found(mounts=tuple(mounts.mounts()), asked=True)}
    known = list(tasks)
    for task in known:
        if task.namespace is not None:
            found.setdefault(task.namespace, _Found()).tasks.append(task)
    complete = _ask_kernel(found)
    for each in found.values():
        if not each.asked:
            each.mounts, each.asked = _through_a_task(each.tasks), True
    _bound_files(found)
    _open_files(found, known)
    return Census(
        namespaces=tuple(
            MountNamespace(
                inode=inode,
                tasks=tuple(each.tasks),
                bound=tuple(each.bound),
                opened=tuple(each.opened),
                mounts=each.mounts,
            )
            for inode, each in found.items()
        ),
        complete=complete,
    )


def _ask_kernel(found: dict[int, _Found]) -> bool:
    """Let the kernel list the namespaces; whether it did."""
    try:
        for inode, mnt_ns_id in _listed():
            each = found.setdefault(inode, _Found())
            if not each.asked:
                with suppress(KernelLacks, OSError):
                    each.mounts, each.asked = tuple(mounts.from_statmount(mnt_ns_id=mnt_ns_id)), True
    except OSError:
        # EPERM without CAP_SYS_ADMIN, ENOTTY before 6.12.
        return False
    return True


def _listed() -> Iterator[tuple[int, int]]:
    start = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for request in (_NS_MNT_GET_NEXT, _NS_MNT_GET_PREV):
            at = os.dup(start)
            try:
                while True:
                    buffer = bytearray(_MNT_NS_INFO.pack(_MNT_NS_INFO.size, 0, 0))
                    try:
                        following = fcntl.ioctl(at, request, buffer)
                    except FileNotFoundError:
                        break  # the last one
                    os.close(at)
                    at = following
                    yield os.fstat(at).st_ino, _MNT_NS_INFO.unpack(buffer)[2]
            finally:
                os.close(at)
    finally:
        os.close(start)


def _info(path: str) -> tuple[int, int]:
    """Inode number and 64-bit id of the namespace whose file *path* is."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        buffer = bytearray(_MNT_NS_INFO.pack(_MNT_NS_INFO.size, 0, 0))
        fcntl.ioctl(fd, _NS_MNT_GET_INFO, buffer)
        return os.fstat(fd).st_ino, _MNT_NS_INFO.unpack(buffer)[2]
    finally:
        os.close(fd)


def _through_a_task(tasks: list[Task]) -> tuple[Mount, ...] | None:
    # Who has another root directory sees part of the table only.
    for task in sorted(tasks, key=_is_elsewhere):
        try:
            return tuple(mounts.from_mountinfo(pid=f"{task.pid}/task/{task.tid}"))
        except OSError:
            continue  # gone, or a zombie by now: the next one of the same namespace answers
    return None


def _is_elsewhere(task: Task) -> bool:
    try:
        return os.readlink(f"{task.proc}/root") != "/"
    except OSError:
        return True


def _bound_files(found: dict[int, _Found]) -> None:
    waiting = list(found)
    while waiting:
        holder = waiting.pop(0)
        for mount in found[holder].mounts or ():
            match = _NSFS_ROOT.fullmatch(mount.root) if mount.fs_type == "nsfs" else None
            if match is None:
                continue
            inode = int(match[1])
            if inode not in found:
                found[inode] = _Found(mounts=_by_file(_reached(holder, mount.mount_point, found)), asked=True)
                waiting.append(inode)
            found[inode].bound.append(BoundFile(namespace=holder, mount_point=mount.mount_point))


def _reached(namespace: int, path: str, found: dict[int, _Found]) -> str | None:
    if namespace == next(iter(found)):
        return path
    return next((f"{task.proc}/root{path}" for task in found[namespace].tasks), None)


def _open_files(found: dict[int, _Found], tasks: Iterable[Task]) -> None:
    # Descriptors lie on the bind mount through which they were opened, or on nsfs's own mount, which is in no table.
    binds = {
        mount.mount_id: int(match[1])
        for each in found.values()
        for mount in each.mounts or ()
        if mount.fs_type == "nsfs" and (match := _NSFS_ROOT.fullmatch(mount.root))
    }
    nsfs = mount_id_at("/proc/self/ns/mnt")
    for task in tasks:
        for fd, mount_id in task.fds.items():
            if mount_id != nsfs and mount_id not in binds:
                continue
            path = f"{task.proc}/fd/{fd}"
            inode = binds[mount_id] if mount_id in binds else _namespace_of(path)
            if inode is not None:
                if inode not in found:
                    found[inode] = _Found(mounts=_by_file(path), asked=True)
                found[inode].opened.append(OpenFile(pid=task.pid, tid=task.tid, fd=fd))


def _namespace_of(link: str) -> int | None:
    try:
        match = _NSFS_ROOT.fullmatch(os.readlink(link))
    except OSError:
        return None  # closed meanwhile
    return int(match[1]) if match else None


def _by_file(path: str | None) -> tuple[Mount, ...] | None:
    """The mounts of the namespace whose file *path* is, without entering it."""
    if path is None:
        return None
    try:
        return tuple(mounts.from_statmount(mnt_ns_id=_info(path)[1]))
    except (KernelLacks, OSError):
        return None
