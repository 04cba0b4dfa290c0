"""Where a directory lies in its file system, whatever namespace, bind mount or link it is named through.

A layer of an overlay is a string in the mount table, written by whoever mounted it, in his namespace. Two of them, or
one and a directory here, mean the same place when they lead to the same position of the same superblock.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ovlctl.errors import KernelLacks
from ovlctl.kernel import mounts
from ovlctl.kernel.lookup import open_in_root

if TYPE_CHECKING:
    from ovlctl.kernel.mount_namespaces import MountNamespace
    from ovlctl.kernel.mounts import Mount


class Relation(StrEnum):
    """How one directory lies to another."""

    SAME = "same"
    INSIDE = "inside"
    ABOVE = "above"


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A place in a file system.

    Attributes:
        dev: Major and minor number of the superblock.
        position: The names that lead to it from the root of the file system.
    """

    dev: tuple[int, int]
    position: tuple[str, ...]

    def relation_to(self, other: Location) -> Relation | None:
        """How this place lies to *other*; None when neither holds the other."""
        mine, others = self.position, other.position
        if self.dev != other.dev:
            return None
        if mine == others:
            return Relation.SAME
        if mine[: len(others)] == others:
            return Relation.INSIDE
        return Relation.ABOVE if others[: len(mine)] == mine else None


def location_on(mount: Mount, path: str) -> Location | None:
    """Where *path*, which lies on *mount*, is in the file system; None when the path is not below the mount point."""
    inside = _components(path)
    point = _components(mount.mount_point)
    if inside[: len(point)] != point:
        return None
    return Location(dev=mount.dev, position=(*_components(mount.root), *inside[len(point) :]))


def shown_at(mount: Mount, location: Location) -> str | None:
    """The path under which *mount* shows *location* or, when it shows a part of that only, its mount point."""
    if mount.dev != location.dev:
        return None
    root = _components(mount.root)
    if location.position[: len(root)] == root:
        return os.path.join(mount.mount_point, *location.position[len(root) :])
    return mount.mount_point if root[: len(location.position)] == location.position else None


class Lookup:
    """Looks paths up in one namespace, each once."""

    def __init__(self, namespace: MountNamespace, *, own: bool) -> None:
        self._own = own
        self._table = namespace.mounts or ()
        self._by_id = {mount.mount_id: mount for mount in self._table}
        self._known: dict[str, Location | None] = {}
        self._pids = () if own else tuple(task.pid for task in namespace.tasks)
        self._root: int | None = None

    def location(self, path: str) -> Location | None:
        """Where the absolute *path* is; None when it leads nowhere in this namespace."""
        if path not in self._known:
            self._known[path] = self._find(path)
        return self._known[path]

    def close(self) -> None:
        """Let go of the namespace."""
        if self._root is not None:
            os.close(self._root)
            self._root = None

    def _find(self, path: str) -> Location | None:
        if not self._own and not self._enter():
            return self._by_name(path)
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC) if self._root is None else open_in_root(self._root, path)
        except (OSError, ValueError):
            return None
        except KernelLacks:
            return self._by_name(path)
        try:
            mount = self._by_id.get(mounts.mount_id_of(fd))
            # The kernel's own words for where it is, free of links; of a directory without a name, with a mark.
            real = os.readlink(f"/proc/self/fd/{fd}")
        finally:
            os.close(fd)
        return None if mount is None else location_on(mount, real)

    def _enter(self) -> bool:
        while self._root is None and self._pids:
            pid, *rest = self._pids
            self._pids = tuple(rest)
            try:
                self._root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue  # gone, or not ours to look into
        return self._root is not None

    def _by_name(self, path: str) -> Location | None:
        # Nobody is in there whose root could be looked through, so links stay unresolved.
        wanted = _components(path)
        best: Mount | None = None
        for mount in self._table:
            point = _components(mount.mount_point)
            # Of several on one point the last hides the others.
            if wanted[: len(point)] == point and (best is None or len(point) >= len(_components(best.mount_point))):
                best = mount
        return None if best is None else location_on(best, path)


def _components(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part)
