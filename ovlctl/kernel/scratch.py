"""A directory inside somebody's directory to try things in, for the blink of an eye.

A process killed meanwhile leaves it behind; the next one that tries something there sweeps it. So the name tells who
made it, and what may lie in it is a closed set of names.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ovlctl.kernel.temporary_names import left_behind, temporary_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.kernel.libc import StrPath

CONTENT = frozenset({"old", "new", "types", "source", "clone"})
"""The names that may be used inside."""

_PURPOSE = "probe"


@contextmanager
def scratch(directory: StrPath) -> Iterator[str]:
    """A new directory in *directory*, which is removed again in all cases; before that, sweep after dead processes.

    Yields:
        Its path. Only files with names of :data:`CONTENT` may be made in it.

    Raises:
        OSError: None can be made there (EACCES, EROFS, ENOSPC, ...).
    """
    parent = os.fspath(directory)
    sweep(parent)
    path = _make(parent)
    try:
        yield path
    finally:
        # Made a moment ago, whoever owns it by now: NFS and FUSE may give what is made to another user.
        _remove(path, only_if_ours=False)


def sweep(directory: StrPath) -> None:
    """Remove the directories that dead processes of this user left in *directory*.

    One goes only if its whole name is as we write it, it belongs to this user, its process was of this pid namespace
    and is gone, and everything in it is a file with one of our names that belongs to this user. What cannot be
    looked at or removed stays.
    """
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if left_behind(entry.name, _PURPOSE):
                with suppress(OSError):
                    _remove(entry.path, only_if_ours=True)


def _make(parent: str) -> str:
    while True:
        path = os.path.join(parent, temporary_name(_PURPOSE))
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
            return path


def _remove(path: str, *, only_if_ours: bool) -> None:
    """Remove *path* and what of :data:`CONTENT` is in it; on request only if all of it is as :func:`sweep` says."""
    # Through a descriptor: whatever takes the directory's place meanwhile is not looked at instead.
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if only_if_ours and not _is_ours(fd):
            return
        for name in CONTENT.intersection(os.listdir(fd)):
            os.unlink(name, dir_fd=fd)
    finally:
        os.close(fd)
    os.rmdir(path)


def _is_ours(fd: int) -> bool:
    me = os.geteuid()
    with os.scandir(fd) as entries:
        found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
    return os.fstat(fd).st_uid == me and all(
        name in CONTENT and status.st_uid == me and (stat.S_ISREG(status.st_mode) or _is_whiteout(status))
        for name, status in found
    )


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
