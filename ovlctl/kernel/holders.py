"""Who keeps a mount busy, and who keeps its superblock alive.

umount(2) says EBUSY while a process holds the mount itself: an open file, a working or root directory, a running
program or a mapping on it, or another mount on top of it. A copy of the mount in another mount namespace does not
hinder that, but keeps the file system (and the upper of an overlay) in use afterwards.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ovlctl.errors import KernelLacks
from ovlctl.kernel import mounts
from ovlctl.kernel.statmount import mnt_id_unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.kernel.mounts import Mount


class HolderKind(StrEnum):
    """How a process holds a mount."""

    FD = "fd"
    CWD = "cwd"
    ROOT = "root"
    EXE = "exe"
    MAP = "map"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """One way in which one process holds the mount.

    Attributes:
        pid: The process.
        name: Its name.
        kind: How it holds it.
        path: On what, as /proc shows it: ``" (deleted)"`` follows the name of a file that is gone.
        fd: The descriptor of an open file, else None.
    """

    pid: int
    name: str
    kind: HolderKind
    path: str
    fd: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceHolder:
    """Another mount namespace that has the same superblock mounted.

    Attributes:
        namespace: Inode number of the namespace.
        pids: The processes in it, at least one.
        mount_points: Where, as those processes see it.
    """

    namespace: int
    pids: tuple[int, ...]
    mount_points: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holders:
    """What was found.

    Attributes:
        processes: What makes umount(2) say EBUSY.
        submounts: Mount points of mounts on top of it, which do so too.
        binds: Mount points of other mounts of the same superblock in this namespace; they keep it alive.
        namespaces: Other namespaces that keep it alive.
        unreadable: Processes that could not be looked into, who may hold it.
    """

    processes: tuple[Holder, ...]
    submounts: tuple[str, ...]
    binds: tuple[str, ...]
    namespaces: tuple[NamespaceHolder, ...]
    unreadable: int

    @property
    def busy(self) -> bool:
        """Whether something was found that makes umount(2) fail."""
        return bool(self.processes or self.submounts)


# start-end perms offset major:minor inode path; proc_pid_maps(5).
_MAP = re.compile(
    rb"(?P<range>[0-9a-f]+-[0-9a-f]+) \S+ \S+ (?P<major>[0-9a-f]+):(?P<minor>[0-9a-f]+) \d+ +(?P<path>/.*)"
)


def holders(mount: Mount) -> Holders:
    """Find who holds *mount*.

    Not to be seen from user space: descriptors in flight over a socket, files of io_uring, swap files, loop devices,
    threads with a working directory or a file table of their own, and processes hidden by hidepid=2.

    Args:
        mount: A mount of the own namespace that is there now; device numbers and ids of dead ones are used again.
    """
    import psutil

    found: list[Holder] = []
    unreadable = 0
    for pid in psutil.pids():
        refused = False
        for search in (_directories, _fds, _maps):
            try:
                hits = list(search(pid, mount))
                if hits:
                    name = psutil.Process(pid).name()
                    found += (Holder(pid=pid, name=name, kind=kind, path=path, fd=fd) for kind, path, fd in hits)
            except PermissionError:
                refused = True
            except (OSError, psutil.NoSuchProcess):
                continue  # gone meanwhile, a zombie or a kernel thread
        unreadable += refused
    table = mounts.mounts()
    return Holders(
        processes=tuple(found),
        submounts=tuple(
            other.mount_point
            for other in table
            if other.parent_id == mount.mount_id and other.mount_id != mount.mount_id
        ),
        binds=tuple(other.mount_point for other in table if _same_superblock(other, mount) and other != mount),
        namespaces=tuple(_namespaces(mount)),
        unreadable=unreadable,
    )


def _same_superblock(one: Mount, other: Mount) -> bool:
    return (one.dev, one.fs_type) == (other.dev, other.fs_type)


def _lies_on(link: str, mount: Mount) -> bool:
    # The links of /proc jump to the very object, so its mount is exact: st_dev would take a bind mount, or the same
    # mount of another namespace, for this one, and miss the files of an overlay of several file systems.
    if mount.unique_id is not None:
        try:
            return mnt_id_unique(link) == mount.unique_id
        except KernelLacks:
            pass
    return mounts.mount_id_of(link) == mount.mount_id


def _directories(pid: int, mount: Mount) -> Iterator[tuple[HolderKind, str, None]]:
    for kind in (HolderKind.CWD, HolderKind.ROOT, HolderKind.EXE):
        link = f"/proc/{pid}/{kind}"
        try:
            if _lies_on(link, mount):
                yield kind, os.readlink(link), None
        except FileNotFoundError:
            continue  # a kernel thread has no exe


def _fds(pid: int, mount: Mount) -> Iterator[tuple[HolderKind, str, int]]:
    # fdinfo has the id itself and asks nobody: neither a hung network file system nor a FUSE daemon.
    wanted = mount.mount_id
    directory = f"/proc/{pid}/fdinfo"
    for fd in os.listdir(directory):
        try:
            with open(f"{directory}/{fd}", "rb") as file:
                held = mounts.parse_fdinfo(file.read()) == wanted
            if held:
                yield HolderKind.FD, os.readlink(f"/proc/{pid}/fd/{fd}"), int(fd)
        except FileNotFoundError:
            continue  # closed meanwhile


def _maps(pid: int, mount: Mount) -> Iterator[tuple[HolderKind, str, None]]:
    below = os.fsencode(mount.mount_point).rstrip(b"/") + b"/"
    seen: set[bytes] = set()
    with open(f"/proc/{pid}/maps", "rb") as file:
        for line in file:
            match = _MAP.match(line)
            if match is None or match["path"] in seen:
                continue
            device = (int(match["major"], 16), int(match["minor"], 16))
            # Before 6.8 the device of a mapped file on an overlay is that of the layer; the path is right always.
            if device != mount.dev and not match["path"].startswith(below):
                continue
            link = f"/proc/{pid}/map_files/{_plain(match['range'])}"
            try:
                held, path = _lies_on(link, mount), os.readlink(link)
            except PermissionError:
                # map_files asks for CAP_CHECKPOINT_RESTORE. maps escapes newlines and does not escape its escapes.
                held, path = device == mount.dev, os.fsdecode(match["path"].replace(b"\\012", b"\n"))
            except FileNotFoundError:
                continue  # unmapped meanwhile
            if held:
                seen.add(match["path"])
                yield HolderKind.MAP, path, None


def _plain(addresses: bytes) -> str:
    # maps pads addresses to eight digits, map_files does not.
    start, _, end = addresses.partition(b"-")
    return f"{int(start, 16):x}-{int(end, 16):x}"


def _namespaces(mount: Mount) -> Iterator[NamespaceHolder]:
    own = os.stat("/proc/self/ns/mnt").st_ino
    points: dict[int, list[str]] = {}
    asked: dict[int, int] = {}
    for entry in mounts.mounts_of_all_namespaces(mount.fs_type):
        if entry.namespace != own and _same_superblock(entry.mount, mount):
            points.setdefault(entry.namespace, []).append(entry.mount.mount_point)
            asked[entry.namespace] = entry.pid
    if not points:
        return
    members, _ = mounts.pids_by_namespace()
    for namespace, mount_points in points.items():
        pids = tuple(sorted(members.get(namespace, ()))) or (asked[namespace],)
        yield NamespaceHolder(namespace=namespace, pids=pids, mount_points=tuple(mount_points))
