"""Remove a directory with everything in it, and nothing else.

What is removed may have been written by anybody: links are removed, never followed; every directory is opened
relative to its parent; and a directory on another mount stops the removal, bind mounts of the same file system
included, which st_dev does not tell.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import strerror
from ovlctl.kernel import mounts

if TYPE_CHECKING:
    from collections.abc import Collection

#: Directories held open at once.
_DEPTH = 200
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def check_unmounted(path: str, *, except_for: Collection[str] = ()) -> None:
    """Make sure that nothing is mounted below *path*.

    Args:
        path: A directory.
        except_for: Mount points that are about to go.

    Raises:
        DiscardRefused: when something is; the message names the first.
    """
    inside = path.rstrip("/") + "/"
    for mount in mounts.mounts():
        if mount.mount_point.startswith(inside) and mount.mount_point not in except_for:
            raise errors.DiscardRefused(
                "{} holds the mount point {}", path, mount.mount_point, hint="`umount {1}` first"
            )


def remove_tree(path: str) -> None:
    """Remove the directory *path* with everything in it; one that is gone already is fine.

    Raises:
        DiscardRefused: when something is mounted in it, or cannot be removed; the rest of it is still there then.
    """
    check_unmounted(path)
    try:
        parent = os.open(os.path.dirname(path), _OPEN)
    except FileNotFoundError:
        return
    try:
        _remove(parent, os.path.basename(path), mounts.mount_id_of(parent))
    except FileNotFoundError:
        return
    except OSError as error:
        raise errors.DiscardRefused(
            f"cannot remove all of {{}}: {strerror(error)}",
            path,
            errno=error.errno,
            hint="an immutable file needs `chattr -i`; then try again",
        ) from error
    finally:
        os.close(parent)


def remove_at(parent: int, name: str) -> None:
    """Remove the directory *name* in the directory *parent*, a descriptor, with everything in it.

    Raises:
        OSError: EXDEV, something is mounted in it; or anything else. The rest of it is still there then.
    """
    _remove(parent, name, mounts.mount_id_of(parent))


def _remove(parent: int, name: str, mount_id: int) -> None:
    """Remove the directory *name* in *parent*, however deep it is."""
    trail: list[tuple[int, str]] = [(parent, name)]
    opened: list[int] = []
    raised = 0
    try:
        opened.append(_enter(parent, name, mount_id))
        while opened:
            below = _empty(opened[-1])
            if below is None:
                os.close(opened.pop())
                holder, done = trail.pop()
                os.rmdir(done, dir_fd=holder)
            elif len(opened) < _DEPTH:
                trail.append((opened[-1], below))
                opened.append(_enter(opened[-1], below, mount_id))
            else:
                # A trap of endless depth would use up all descriptors: what is deep is hung in higher up.
                raised += 1
                os.rename(below, f".deep-{os.getpid()}-{raised}", src_dir_fd=opened[-1], dst_dir_fd=opened[0])
    finally:
        for directory in opened:
            os.close(directory)


def _empty(directory: int) -> str | None:
    """Remove everything in *directory* up to the first directory in it, and return that one's name."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                return entry.name
            os.unlink(entry.name, dir_fd=directory)
    return None


def _let_in(parent: int, name: str) -> None:
    """Give the owner access: overlayfs leaves WORK/work with mode 000, which stops everybody but root."""
    directory = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{directory}", 0o700)
    finally:
        os.close(directory)


def _enter(parent: int, name: str, mount_id: int) -> int:
    try:
        directory = os.open(name, _OPEN, dir_fd=parent)
    except PermissionError:
        _let_in(parent, name)
        directory = os.open(name, _OPEN, dir_fd=parent)
    if mounts.mount_id_of(directory) != mount_id:
        os.close(directory)
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)
    if not os.access(f"/proc/self/fd/{directory}", os.W_OK | os.X_OK, effective_ids=True):
        # Readable, and its owner could not remove what is in it.
        os.fchmod(directory, 0o700)
    return directory
