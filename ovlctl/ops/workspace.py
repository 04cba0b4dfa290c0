"""The scratch directory of a run: made, locked while the run lives, and removed; after a kill, by the next run.

The lock is flock(2) on the directory itself. A child process that works in it inherits the descriptor, so the lock
lasts until both processes are gone, and a directory whose lock is free belongs to nobody. Each purpose has a prefix of
its own, and sweeps its own directories only.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.errors import AccessDenied, NotADirectory, PathMissing, UpperReadOnly
from ovlctl.ops.removal import remove_at

if TYPE_CHECKING:
    from collections.abc import Iterator

BENCH = "ovlctl-bench-"
"""What directories of the benchmark are called."""

TRYING = "ovlctl-try-"
"""What directories of actions on a scratch upper are called."""

_HINT = "give another directory with `--dir`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """A directory of one run, and the descriptor that keeps it locked."""

    path: str
    lock: int


def default_directory() -> str:
    """Where scratch files go when nobody says: ``$TMPDIR``, else /var/tmp, which unlike /tmp is on a disk."""
    return os.environ.get("TMPDIR") or "/var/tmp"  # noqa: S108 - the directory made in it is private


@contextmanager
def scratch(parent: str, prefix: str) -> Iterator[Scratch]:
    """A new private directory in *parent*, gone afterwards; what killed runs left there goes first.

    Args:
        parent: Where to make it.
        prefix: What its name begins with: one of those above.

    Raises:
        PathMissing: *parent* is not there.
        NotADirectory: It is no directory.
        AccessDenied: It may not be written.
        UpperReadOnly: It is on a read-only file system.
    """
    try:
        sweep(parent, prefix)
        made = _make(parent, prefix)
    except FileNotFoundError as error:
        if os.path.isdir(parent):  # /proc says ENOENT to whoever makes a file in it
            raise AccessDenied("no files can be made in {}", parent, errno=error.errno, hint=_HINT) from error
        raise PathMissing("there is no directory {}", parent, errno=error.errno) from error
    except NotADirectoryError as error:
        raise NotADirectory("{} is not a directory", parent, errno=error.errno) from error
    except PermissionError as error:
        raise AccessDenied("no files may be made in {}", parent, errno=error.errno, hint=_HINT) from error
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        raise UpperReadOnly("{} is on a read-only file system", parent, errno=error.errno, hint=_HINT) from error
    try:
        yield made
    finally:
        remove_tree(made.path)
        os.close(made.lock)


def sweep(parent: str, prefix: str) -> tuple[str, ...]:
    """Remove what killed runs of this user left in *parent*, and return the paths.

    A directory counts as left when it has the prefix, our owner, mode 0700, and a free lock.
    """
    removed = []
    with os.scandir(parent) as entries:
        candidates = [e.path for e in entries if e.name.startswith(prefix) and e.is_dir(follow_symlinks=False)]
    for path in candidates:
        lock = _lock(path)
        if lock is None:
            continue
        try:
            found = os.fstat(lock)
            if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) == 0o700:  # noqa: PLR2004
                with suppress(OSError):  # what cannot go must not keep anybody from working
                    remove_tree(path)
                    removed.append(path)
        finally:
            os.close(lock)
    return tuple(removed)


def remove_tree(path: str) -> None:
    """Remove *path* and all below it, however deep, never following a symbolic link nor leaving its mount.

    overlayfs leaves WORK/work with mode 000, which an ordinary user cannot list before changing it. A directory
    that something is mounted on stays.
    """
    try:
        parent = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        with suppress(FileNotFoundError):
            if stat.S_ISDIR(os.stat(os.path.basename(path), dir_fd=parent, follow_symlinks=False).st_mode):
                remove_at(parent, os.path.basename(path))
            else:
                os.unlink(os.path.basename(path), dir_fd=parent)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    finally:
        os.close(parent)


def _make(parent: str, prefix: str) -> Scratch:
    while True:
        path = tempfile.mkdtemp(prefix=prefix, dir=os.path.abspath(parent))
        lock = _lock(path)
        # Another run's sweep may have taken the lock, and the directory, in between.
        if lock is not None:
            with suppress(FileNotFoundError):
                if os.path.samestat(os.lstat(path), os.fstat(lock)):
                    return Scratch(path=path, lock=lock)
            os.close(lock)


def _lock(path: str) -> int | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd
