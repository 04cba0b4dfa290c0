"""Directories that nobody but their owner may look into, and that nobody else can put something in the place of."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from ovlctl import errors
from ovlctl.errors import strerror
from ovlctl.kernel.namespaces import in_initial_user_namespace

#: The uid that stands for all ids that a user namespace does not know; /proc/sys/kernel/overflowuid.
_OVERFLOW_UID = 65534


def make_private(directory: str, *, above: bool) -> None:
    """Make a directory for its owner alone, unless it is there.

    Args:
        directory: Its path.
        above: Make the directories that lead there, too, open to everybody.

    Raises:
        StateUnusable: when the file system says no; ENOENT: what leads there is not there any more.
        StateUnsafe: as for :func:`check_private`.
    """
    try:
        if not os.path.lexists(directory):
            if above:
                os.makedirs(os.path.dirname(directory), mode=0o755, exist_ok=True)
            with suppress(FileExistsError):
                os.mkdir(directory, mode=0o700)
    except OSError as error:
        hint = "choose another place with `--state-dir DIR` or OVLCTL_STATE_DIR"
        message = f"cannot make the state directory {{}}: {strerror(error)}"
        raise errors.StateUnusable(message, directory, errno=error.errno, hint=hint) from error
    check_private(directory)


def make_link(link: str, target: str) -> None:
    """Make *link* lead to *target*, unless it leads to a directory.

    Raises:
        StateUnusable: when the file system says no.
    """
    try:
        if os.path.isdir(link):
            return
        with suppress(FileNotFoundError):
            os.unlink(link)
        # Another command may be as far.
        with suppress(FileExistsError):
            os.symlink(target, link)
    except OSError as error:
        raise errors.StateUnusable(f"cannot write {{}}: {strerror(error)}", link, errno=error.errno) from error


def check_above(directory: str) -> None:
    """Refuse a place where somebody else could put another directory in the state's place."""
    try:
        found = os.stat(directory)
    except OSError:
        return
    if found.st_uid not in {0, os.geteuid()} and not _foreign_root(found.st_uid):
        message = f"{{}}, which holds the state directory, belongs to uid {found.st_uid}"
        hint = "choose another place with `--state-dir DIR` or OVLCTL_STATE_DIR"
        raise errors.StateUnsafe(message, directory, hint=hint)
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise errors.StateUnsafe("{}, which holds the state directory, may be written by anybody", directory)


def _foreign_root(uid: int) -> bool:
    """Whether *uid* is nobody in particular: what a user namespace shows for ids outside it, root's among them."""
    return uid == _OVERFLOW_UID and not in_initial_user_namespace()


def check_private(directory: str) -> None:
    """Refuse a directory that is somebody else's, or open to others; one that is not there is fine.

    Raises:
        StateUnsafe, StateUnusable: when it is not what it has to be, or cannot be looked at.
    """
    try:
        found = os.lstat(directory)
    except FileNotFoundError:
        return
    except OSError as error:
        hint = "choose another place with `--state-dir DIR` or OVLCTL_STATE_DIR"
        message = f"cannot look at {{}}: {strerror(error)}"
        raise errors.StateUnusable(message, directory, errno=error.errno, hint=hint) from error
    if not stat.S_ISDIR(found.st_mode):
        raise errors.StateUnsafe("the state directory {} is not a directory", directory)
    if found.st_uid != os.geteuid():
        message = f"the state directory {{}} belongs to uid {found.st_uid}, not to you (uid {os.geteuid()})"
        hint = "choose another place with `--state-dir DIR` or OVLCTL_STATE_DIR"
        raise errors.StateUnsafe(message, directory, hint=hint)
    if stat.S_IMODE(found.st_mode) & 0o077:
        message = f"the state directory {{}} is open to others (mode {stat.S_IMODE(found.st_mode):04o})"
        raise errors.StateUnsafe(message, directory, hint="`chmod 700 {}`, after a look at what is in it")
