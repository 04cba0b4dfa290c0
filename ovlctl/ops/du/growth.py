"""How an upper has grown since it was last looked at.

Each look is remembered in the state directory, one small file for each upper, which the next look replaces. An upper
goes by its device and inode number and by the uuid that overlayfs gave it, or by its path when it has none: a directory
that was made anew in the same place is another one.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.ops.state import write_atomically
from ovlctl.overlay.marks import Mark

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ovlctl.ops.reading import Subject
    from ovlctl.ops.state import State
    from ovlctl.overlay.layers import Layer

_FORMAT = 1
#: Looks that are kept; the oldest go first.
KEPT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What an upper took at a moment.

    Attributes:
        time_ns: Since the epoch.
        bytes: On disk, as GNU du says: cloned extents are in it.
        files: Objects in it that are no directories.
    """

    time_ns: int
    bytes: int
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """An upper now and at the look before.

    Attributes:
        stack: The number of its stack.
        directory: Where the upper is.
        before: None when this is the first look at it that is remembered.
        now: This look.
    """

    stack: int
    directory: str
    before: Look | None
    now: Look


def names_of(subject: Subject, upper: Layer) -> tuple[str, ...]:
    """What an upper goes by, best first: strings that can be a file's name.

    The uuid comes with the first mount; what was remembered before that goes by the path.

    Raises:
        OSError: It cannot be looked at.
    """
    root = upper.tree.lstat("")
    if root is None:
        return ()
    uuid = upper.tree.xattr("", subject.following.prefix + Mark.UUID)
    own = [*([b"uuid " + uuid] if uuid is not None else []), b"path " + os.fsencode(upper.directory)]
    return tuple(sha256(b"%d %d %b" % (root.dev, root.ino, each)).hexdigest()[:32] for each in own)


def now() -> int:
    """The time of a look."""
    return time.time_ns()


def recall(state: State, names: Iterable[str]) -> Look | None:
    """The look that is remembered by the first of *names* that has one which can be read and trusted, else None."""
    return next(filter(None, (_recalled(state, name) for name in names)), None)


def _recalled(state: State, name: str) -> Look | None:
    with suppress(OSError, ValueError, KeyError, TypeError, errors.OvlError):
        state.check()
        with open(os.path.join(_directory(state), f"{name}.json"), encoding="ascii") as file:
            found = json.load(file)
        if found["format"] == _FORMAT:
            return Look(time_ns=int(found["time_ns"]), bytes=int(found["bytes"]), files=int(found["files"]))
    return None


def remember(state: State, name: str, look: Look) -> None:
    """Keep *look* for the upper *name*, for the next time.

    Raises:
        StateUnsafe, StateUnusable, StateLocked: It cannot be kept.
    """
    # A lock of its own: whoever mounts something meanwhile neither waits for this nor is waited for.
    lock = state.take_lock("looks.lock", make=True)
    assert lock is not None, "it is made"  # noqa: S101 -- for the type checker
    try:
        directory = _directory(state)
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            _forget(directory)
        except OSError as error:
            message = f"cannot keep looks in {{}}: {errors.strerror(error)}"
            raise errors.StateUnusable(message, directory, errno=error.errno) from error
        text = {"format": _FORMAT, "time_ns": look.time_ns, "bytes": look.bytes, "files": look.files}
        write_atomically(os.path.join(directory, f"{name}.json"), json.dumps(text))
    finally:
        os.close(lock)


def _directory(state: State) -> str:
    return os.path.join(state.keep, "looks")


def _forget(directory: str) -> None:
    with os.scandir(directory) as entries:
        kept = sorted(((entry.stat(follow_symlinks=False).st_mtime_ns, entry.path) for entry in entries), reverse=True)
    for _, path in kept[KEPT - 1 :]:
        os.unlink(path)
