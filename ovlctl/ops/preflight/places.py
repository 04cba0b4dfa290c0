"""Where a directory really is: which file system, and where in it, whatever mounts it is seen through."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import strerror
from ovlctl.kernel import mounts
from ovlctl.overlay.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.kernel.mounts import Mount

#: st_dev and st_ino.
Identity = tuple[int, int]


@dataclass(frozen=True)
class Place:
    """A directory, its mount, and its position in the file system below that mount.

    Two places of one file system can be compared even when they are seen through different (bind) mounts, which
    is how the kernel compares layers.
    """

    path: str
    mount: Mount
    status: os.stat_result

    @cached_property
    def position(self) -> tuple[str, ...]:
        """The components of the path from the root of the file system itself."""
        inside = os.path.relpath(self.path, self.mount.mount_point)
        whole = os.path.normpath(os.path.join(self.mount.root, inside))
        return tuple(part for part in whole.split("/") if part)

    @property
    def identity(self) -> Identity:
        """Which directory it is, whatever its name."""
        return (self.status.st_dev, self.status.st_ino)

    def ancestry(self) -> Iterator[tuple[str, Identity]]:
        """The directory itself and all above it on the same mount, each with its path."""
        path, status = self.path, self.status
        while True:
            yield path, (status.st_dev, status.st_ino)
            if path in {self.mount.mount_point, "/"}:
                return
            path = os.path.dirname(path)
            status = os.stat(path)

    def is_same(self, other: Place) -> bool:
        """Whether both are one directory."""
        return self.identity == other.identity

    def is_inside(self, other: Place) -> bool:
        """Whether this directory lies below *other* in the same file system."""
        mine, others = self.position, other.position
        return self.mount.dev == other.mount.dev and len(mine) > len(others) and mine[: len(others)] == others


def place(path: str) -> Place:
    """The place of the directory *path*, an absolute path without symbolic links.

    Raises:
        PathMissing, NotADirectory, AccessDenied: as the words say.
    """
    try:
        status = os.stat(path)
        found = Place(path, mounts.mount_at(path), status)
        if not os.path.isdir(path):
            raise errors.NotADirectory("{} is not a directory", path, errno=errno.ENOTDIR)
        if not os.access(path, os.R_OK | os.X_OK, effective_ids=True):
            raise errors.AccessDenied("{} may not be read by this user", path, errno=errno.EACCES)
    except OSError as error:
        raise translated(error, path) from error
    return found


def translated(error: OSError, path: str) -> errors.OvlError:
    """What an OSError on *path* means for somebody who named it."""
    if error.errno == errno.ENOENT:
        return errors.PathMissing("{} does not exist", path, errno=error.errno, hint="`mkdir {}`, or check the name")
    if error.errno in {errno.ENOTDIR, errno.ELOOP}:
        return errors.NotADirectory(f"{{}} cannot be a directory: {strerror(error)}", path, errno=error.errno)
    if error.errno in {errno.EACCES, errno.EPERM}:
        return errors.AccessDenied(f"{{}} cannot be reached: {strerror(error)}", path, errno=error.errno)
    return errors.BadUsage(f"{{}} cannot be used: {strerror(error)}", path, errno=error.errno)


def resolved(stack: Stack) -> Stack:
    """*stack* with absolute paths free of symbolic links, so that later readers of the mount table find the layers.

    Raises:
        PathMissing, NotADirectory, AccessDenied: when a path leads nowhere.
    """
    return Stack(
        map(real, stack.lowers),
        data_only=map(real, stack.data_only),
        upper=None if stack.upper is None else real(stack.upper),
        work=None if stack.work is None else real(stack.work),
        options=stack.options,
    )


def real(path: str) -> str:
    """The absolute path of *path* without symbolic links.

    Raises:
        PathMissing, NotADirectory, AccessDenied: when it leads nowhere.
    """
    if not path or "\0" in path:
        raise errors.BadUsage("a path is empty or holds a NUL byte")
    try:
        return os.path.realpath(path, strict=True)
    except OSError as error:
        raise translated(error, path) from error
