"""End a mount that has another one beneath it, although readers come in all the time.

umount(2) wants an instant in which nobody uses the mount, which may never come where many look. So the old mount is
moved to a place that nobody can see: from then on a path lookup finds the one beneath, and who is in the old one
leaves sooner or later. A mount on a shared one cannot be moved (mount_namespaces(7)). What it lies on here is the new
mount, which is made private for that moment, if no other namespace has a copy that had to follow.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note, literal, strerror
from ovlctl.kernel import fscontext, mountinfo, mounts
from ovlctl.kernel.fscontext import MOVE_MOUNT
from ovlctl.kernel.libc import AT_EMPTY_PATH, AT_FDCWD
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from ovlctl.ops import busy
from ovlctl.ops.unmount_steps import end, not_ended, persistently
from ovlctl.ops.views import elsewhere, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.state import State


def put_beneath(fd: int, target: str) -> None:
    """Put the mount *fd* beneath the one that is seen at *target*.

    Raises:
        SwapRefused: when the kernel refuses.
    """
    try:
        fscontext.move_mount(fd, "", AT_FDCWD, target, MOVE_MOUNT.F_EMPTY_PATH | MOVE_MOUNT.BENEATH)
    except OSError as error:
        raise errors.SwapRefused(
            f"the kernel puts no mount beneath {{}}: {literal(strerror(error))}",
            target,
            errno=error.errno,
            hint="`--with-gap` unmounts first and mounts then",
        ) from error


def end_above(state: State, old: Mount, below: int, *, patience: float, detach: bool = False) -> Note | None:
    """End *old*, which is seen at its mount point; the mount *below* it, a descriptor, is seen from then on.

    Args:
        state: Where the place is to which the old mount steps aside.
        old: The mount to end.
        below: The mount beneath it.
        patience: Seconds to wait for those who are in it.
        detach: Leave it to those who stay.

    Returns:
        Who stays in it, with *detach*; else None.

    Raises:
        MountBusy: when somebody stays in it. It is then seen again, or lies beneath the new one.
        OvlError: As for :func:`ovlctl.ops.unmount_steps.end`.
    """
    with _hidden(state) as hidden:
        aside = hidden is not None and _aside(old, below, hidden)
        point = hidden if hidden is not None and aside else old.mount_point
        try:
            persistently(lambda: umount2(point, MNT.UMOUNT_NOFOLLOW), patience)
        except OSError as error:
            if error.errno == errno.EBUSY and detach:
                held = busy.explained(old)
                umount2(point, MNT.DETACH | MNT.UMOUNT_NOFOLLOW)
                return Note(f"the old view was detached, and lives on: {held.template}", held.paths)
            if aside:
                _back(old, point)
            raise not_ended(old, error) from error
    return None


def _aside(old: Mount, below: int, point: str) -> bool:
    """Move *old* to *point*; False where the kernel does not let it."""
    held = fscontext.open_tree(AT_FDCWD, old.mount_point)
    try:
        if not same(mounts.mount_at(held), old):
            return False
        if _moved(held, point):
            return True
        new = mounts.mount_at(below)
        if not _shared(new) or any(True for each in (old, new) for _ in elsewhere(each)):
            # Copies of the old one end with it, by propagation, when it ends where it is; those of the new one follow
            # this one for as long as it is shared.
            return False
        fscontext.mount_setattr(below, "", AT_EMPTY_PATH, propagation=MS.PRIVATE)
        try:
            return _moved(held, point)
        finally:
            fscontext.mount_setattr(below, "", AT_EMPTY_PATH, propagation=MS.SHARED)
    finally:
        os.close(held)


def _moved(mount: int, point: str) -> bool:
    with suppress(OSError):
        fscontext.move_mount(mount, "", AT_FDCWD, point, MOVE_MOUNT.F_EMPTY_PATH)
        return True
    return False


def _shared(mount: Mount) -> bool:
    (info,) = (each for each in mountinfo.read("thread-self") if each.mount_id == mount.mount_id)
    return any(tag.startswith("shared:") for tag in info.propagation)


def _back(old: Mount, point: str) -> None:
    """Put *old* beneath what is seen now, which can then end, and the old view is there again."""
    held = fscontext.open_tree(AT_FDCWD, point)
    try:
        put_beneath(held, old.mount_point)
    finally:
        os.close(held)


@contextmanager
def _hidden(state: State) -> Iterator[str | None]:
    """A mount point that nobody else looks at, on a private mount; None where none can be made."""
    stage = stage_of(state)
    try:
        os.makedirs(stage, mode=0o700, exist_ok=True)
        mount("ovlctl:stage", stage, "tmpfs", MS.NOSUID | MS.NODEV, b"size=4k,mode=0700")
    except OSError:
        yield None
        return
    try:
        point = os.path.join(stage, "old")
        os.mkdir(point)
        mount(None, stage, None, MS.PRIVATE)
        yield point
    finally:
        with suppress(OSError):
            umount2(stage, MNT.UMOUNT_NOFOLLOW)
            os.rmdir(stage)


def stage_of(state: State) -> str:
    """Where a mount stands that stepped aside."""
    return os.path.join(state.run, "stage")


class ClearStage:
    """End what had stepped aside when the program was killed; what is seen at its target has taken its place."""

    def __init__(self, state: State) -> None:
        self._stage = stage_of(state)

    @property
    def needed(self) -> bool:
        """Whether something was left there."""
        return os.path.lexists(self._stage)

    def describe(self) -> Note:
        """The command."""
        return Note("umount -R {}   # left when a remount was interrupted", (self._stage,))

    def apply(self) -> None:
        """Unmount; who is in the old view is named."""
        point = os.path.join(self._stage, "old")
        # One above the other where several remounts were killed.
        while os.path.ismount(self._stage):
            if os.path.ismount(point):
                end(mounts.mount_at(point))
            end(mounts.mount_at(self._stage))
        with suppress(OSError):
            os.rmdir(self._stage)

    def undo(self) -> None:
        """It had ended already for all who look."""
