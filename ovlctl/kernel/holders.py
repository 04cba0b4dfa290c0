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

from ovlctl.kernel import mounts
from ovlctl.kernel.tasks import mount_id_at, tasks

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from ovlctl.kernel.mounts import Mount
    from ovlctl.kernel.tasks import Task


class HolderKind(StrEnum):
    """How a process holds a mount."""

    FD = "fd"
    CWD = "cwd"
    ROOT = "root"
    EXE = "exe"
    MAP = "map"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """One way in which one process holds a mount.

    Attributes:
        pid: The process.
        name: Its name.
        kind: How it holds it.
        path: On what, as /proc shows it: ``" (deleted)"`` follows the name of a file that is gone.
        fd: The descriptor of an open file, else None.
        tid: The thread, when it is one with directories or descriptors of its own; else *pid*.
        mount_id: The mount, as in mountinfo; None for a mapping of which only the path is known.
        namespace: Inode number of the mount namespace of the process; None when not known.
    """

    pid: int
    name: str
    kind: HolderKind
    path: str
    fd: int | None = None
    tid: int
    mount_id: int | None
    namespace: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holders:
    """What was found: what umount(2) asks about, and not what keeps a superblock alive elsewhere.

    Attributes:
        processes: What makes umount(2) say EBUSY.
        submounts: Mount points of mounts on top of it, which do so too.
    """

    processes: tuple[Holder, ...]
    submounts: tuple[str, ...]

    @property
    def busy(self) -> bool:
        """Whether something was found that makes umount(2) fail."""
        return bool(self.processes or self.submounts)


# start-end perms offset major:minor inode path; proc_pid_maps(5).
_MAP = re.compile(
    rb"^(?P<range>[0-9a-f]+-[0-9a-f]+) \S+ \S+ (?P<major>[0-9a-f]+):(?P<minor>[0-9a-f]+) \d+ +(?P<path>/.*)",
    re.MULTILINE,
)


def holders(mount: Mount) -> Holders:
    """Find who holds *mount*.

    Not to be seen from user space: descriptors in flight over a socket, files of io_uring, and processes hidden by
    hidepid=2.

    Args:
        mount: A mount of the own namespace that is there now; device numbers and ids of dead ones are used again.
    """
    return Holders(
        processes=tuple(search(tasks().tasks, {mount.mount_id: mount.mount_point}, devs={mount.dev})),
        submounts=tuple(
            other.mount_point
            for other in mounts.mounts()
            if other.parent_id == mount.mount_id and other.mount_id != mount.mount_id
        ),
    )


def same_superblock(one: Mount, other: Mount) -> bool:
    """Whether two mounts, of whatever namespaces, show one file system."""
    return (one.dev, one.fs_type) == (other.dev, other.fs_type)


def search(
    everybody: Iterable[Task], where: Mapping[int, str], *, devs: Container[tuple[int, int]], whole: bool = True
) -> Iterator[Holder]:
    """Find who holds one of several mounts, or a directory on them.

    Args:
        everybody: The processes.
        where: The mounts by their id; to each the path of its mount point, or of the directory, as /proc shows it.
        devs: The superblocks they show.
        whole: Whether everything on the mounts counts; else only what lies at or below those paths.
    """
    import psutil

    for task in everybody:
        try:
            hits = [*_places(task, where, whole=whole), *_maps(task, where, devs, whole=whole)]
            name = psutil.Process(task.pid).name() if hits else ""
        except (OSError, psutil.Error):
            continue  # gone meanwhile
        for kind, path, fd, mount_id in hits:
            yield Holder(
                pid=task.pid,
                name=name,
                kind=kind,
                path=path,
                fd=fd,
                tid=task.tid,
                mount_id=mount_id,
                namespace=task.namespace,
            )


def lies_below(path: str, directory: str) -> bool:
    """Whether *path*, as a link of /proc shows it, is *directory* or below it."""
    path = path.removesuffix(" (deleted)")
    return directory in {"/", path} or path.startswith(f"{directory}/")


_Hit = tuple[HolderKind, str, int | None, int | None]


def _places(task: Task, where: Mapping[int, str], *, whole: bool) -> Iterator[_Hit]:
    held: list[tuple[HolderKind, str, int | None, int]] = [
        (HolderKind(kind), f"{task.proc}/{kind}", None, mount_id)
        for kind, mount_id in task.places.items()
        if mount_id in where
    ]
    held += [
        (HolderKind.FD, f"{task.proc}/fd/{fd}", fd, mount_id) for fd, mount_id in task.fds.items() if mount_id in where
    ]
    for kind, link, fd, mount_id in held:
        try:
            path = os.readlink(link)
        except FileNotFoundError:
            continue  # closed meanwhile
        if whole or lies_below(path, where[mount_id]):
            yield kind, path, fd, mount_id


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedFile:
    """A file that a process has mapped.

    Attributes:
        raw: Its path as maps shows it.
        device: Major and minor number as maps shows them: of the superblock since 6.8.
        link: The link in map_files that leads to it.
    """

    raw: bytes
    device: tuple[int, int]
    link: str


def mappings(task: Task) -> Iterator[MappedFile]:
    """The files a process has mapped, each path once; none where they may not be read, or for a thread."""
    if task.tid != task.pid:
        return  # threads share their memory
    try:
        with open(f"/proc/{task.pid}/maps", "rb") as file:
            content = file.read()
    except OSError:
        return  # gone, or counted when the process was looked at
    seen: set[bytes] = set()
    for match in _MAP.finditer(content):
        if match["path"] not in seen:
            seen.add(match["path"])
            device = (int(match["major"], 16), int(match["minor"], 16))
            link = f"/proc/{task.pid}/map_files/{_plain(match['range'])}"
            yield MappedFile(raw=match["path"], device=device, link=link)


def _maps(task: Task, where: Mapping[int, str], devs: Container[tuple[int, int]], *, whole: bool) -> Iterator[_Hit]:
    below = tuple(os.fsencode(path).rstrip(b"/") + b"/" for path in where.values())
    for mapping in mappings(task):
        # Before 6.8 the device of a mapped file on an overlay is that of the layer; the path is right always.
        if not mapping.raw.startswith(below) and (mapping.device not in devs or not whole):
            continue
        try:
            mount_id, path = mount_id_at(mapping.link), os.readlink(mapping.link)
            held = mount_id in where
        except PermissionError:
            # map_files asks for CAP_CHECKPOINT_RESTORE. maps escapes newlines and does not escape its escapes.
            mount_id, path = None, os.fsdecode(mapping.raw.replace(b"\\012", b"\n"))
            held = mapping.device in devs
        except FileNotFoundError:
            continue  # unmapped meanwhile
        if held:
            yield HolderKind.MAP, path, None, mount_id


def _plain(addresses: bytes) -> str:
    # maps pads addresses to eight digits, map_files does not.
    start, _, end = addresses.partition(b"-")
    return f"{int(start, 16):x}-{int(end, 16):x}"
