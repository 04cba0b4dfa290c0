"""Overlays that are in no mount table and still alive: unmounted lazily, and held by a process.

Their mount ids show in /proc like those of other mounts, and statfs(2) on what a process holds tells the file system
type. Which overlay it was, nothing tells outright; f_fsid does when the overlay has a uuid of its own.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.kernel.holders import mappings
from ovlctl.kernel.libc import check, function
from ovlctl.kernel.tasks import mount_id_at

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from ovlctl.kernel.tasks import Task

OVERLAYFS_SUPER_MAGIC = 0x794C7630

_LINKS = 32

_statfs = function("statfs", ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detached:
    """An overlay mount that is in no table.

    Attributes:
        mount_id: Its id.
        fsid: f_fsid of statfs(2).
        dev: st_dev of something held on it: the superblock's for every directory, and for files of most overlays.
        links: Links of /proc that lead to what is held on it, the first few.
    """

    mount_id: int
    fsid: int
    dev: tuple[int, int]
    links: tuple[str, ...]


def detached_overlays(
    tasks: Iterable[Task], *, listed: Container[int], devs: Container[tuple[int, int]]
) -> list[Detached]:
    """Find the overlays that only processes still hold.

    Of each mount that is in no table one object is looked at with statfs(2); it waits where that file system is one of
    a server that does not answer.

    Args:
        tasks: Every process.
        listed: Ids of all mounts of all tables.
        devs: Superblocks of all tables; what is mapped from another one is looked at.
    """
    links: dict[int, list[str]] = {}
    for task in tasks:
        for link, mount_id in _held(task, devs):
            if mount_id not in listed:
                links.setdefault(mount_id, []).append(link)
    found = []
    for mount_id, held in links.items():
        with suppress(OSError):
            link = held[0]
            if statfs_type(link) == OVERLAYFS_SUPER_MAGIC:
                dev, fsid = os.stat(link).st_dev, os.statvfs(link).f_fsid
                found.append(
                    Detached(
                        mount_id=mount_id,
                        fsid=fsid,
                        dev=(os.major(dev), os.minor(dev)),
                        links=tuple(held[:_LINKS]),
                    )
                )
    return found


def _held(task: Task, devs: Container[tuple[int, int]]) -> Iterator[tuple[str, int]]:
    for kind, mount_id in task.places.items():
        yield f"{task.proc}/{kind}", mount_id
    for fd, mount_id in task.fds.items():
        yield f"{task.proc}/fd/{fd}", mount_id
    for mapping in mappings(task):
        # A major number is a disk's, which a table shows or a lazily unmounted disk has; overlays have none.
        if mapping.device[0] == 0 and mapping.device not in devs:
            with suppress(OSError):
                yield mapping.link, mount_id_at(mapping.link)


def statfs_type(path: str) -> int:
    """f_type of statfs(2), which os.statvfs() leaves out.

    Raises:
        OSError: *path* cannot be reached.
    """
    buffer = (ctypes.c_long * 32)()
    check(_statfs(os.fsencode(path), buffer), path)
    return int(buffer[0])
