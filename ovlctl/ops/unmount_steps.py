"""The steps of an unmount, and of removing what ovlctl made."""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note, literal, strerror
from ovlctl.kernel import mounts
from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.mount import MNT, umount2
from ovlctl.kernel.namespaces import in_initial_user_namespace
from ovlctl.ops import busy, records
from ovlctl.ops.preflight.in_use import surely
from ovlctl.ops.records import Phase, Record
from ovlctl.ops.removal import check_unmounted, remove_tree
from ovlctl.ops.steps import PointOfNoReturn, failing_as

if TYPE_CHECKING:
    from collections.abc import Callable

    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.keeping import Layout
    from ovlctl.ops.state import State

#: Seconds between two attempts to end a mount that is in use.
_PAUSE = 0.0003


@dataclass(eq=False, repr=False)
class WriteEnding:
    """Remember that the mount is being ended, and what was made for it removed."""

    state: State
    record: Record

    def describe(self) -> Note:
        """What will be written where."""
        return Note("write the intent into {}", (records.path_of(self.state, self.record.name),))

    def apply(self) -> None:
        """Write it."""
        records.write(self.state, replace(self.record, phase=Phase.UNMOUNTING, discard=True))

    def undo(self) -> None:
        """Back to what it was."""
        records.write(self.state, self.record)


@dataclass(eq=False, repr=False)
class Unmount:
    """End the mount, unless somebody uses it."""

    mount: Mount

    def describe(self) -> Note:
        """The command."""
        return Note("umount {}", (self.mount.mount_point,))

    def apply(self) -> None:
        """Unmount; EBUSY becomes the list of who holds it."""
        end(self.mount)

    def undo(self) -> None:
        """An ended mount stays ended: its record, put back as it was, says that it is stale."""


def end(mount: Mount, *, patience: float = 0.0) -> None:
    """Unmount *mount*, which is the topmost at its mount point.

    Args:
        mount: Which one; that it is the one there is looked at before.
        patience: Seconds for which to try again while somebody uses it, as readers come and go.

    Raises:
        MountBusy: when somebody uses it, with the list of who does.
        MissingCapability, KernelRefused, DiscardRefused: for other reasons.
    """
    with failing_as(errors.KernelRefused, "cannot look at {}", mount.mount_point):
        seen = mounts.mount_at(mount.mount_point)
    if (seen.mount_id, seen.unique_id) != (mount.mount_id, mount.unique_id):
        raise errors.DiscardRefused(
            f"something else ({literal(seen.fs_type)}) is mounted over {{}}",
            mount.mount_point,
            hint="`umount {}` ends what is on top",
        )
    try:
        persistently(lambda: umount2(mount.mount_point, MNT.UMOUNT_NOFOLLOW), patience)
    except OSError as error:
        raise not_ended(mount, error) from error


def persistently(call: Callable[[], None], patience: float) -> None:
    """Make a system call again and again while it says EBUSY, as readers come and go.

    Args:
        call: The call.
        patience: Seconds.

    Raises:
        OSError: What *call* raised in the end.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            call()
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() >= deadline:
                raise
            # Each try makes path lookups slower, and readers stay longer.
            time.sleep(_PAUSE)
        else:
            return


def not_ended(mount: Mount, error: OSError) -> errors.OvlError:
    """What it means that *mount* could not be unmounted."""
    if error.errno == errno.EBUSY:
        return busy.explained(mount)
    if error.errno == errno.EPERM:
        return errors.MissingCapability(
            "unmounting {} needs CAP_SYS_ADMIN, which this process does not have",
            mount.mount_point,
            errno=error.errno,
            hint="run it as root",
        )
    if error.errno == errno.EINVAL and not in_initial_user_namespace():
        # What came along when the mount namespace was made is locked (mount_namespaces(7)).
        return errors.MissingCapability(
            "{} was mounted outside of this user namespace, and only there can it be unmounted",
            mount.mount_point,
            errno=error.errno,
            hint="run it as root",
        )
    message = f"the kernel refused to unmount {{}}: {strerror(error)}"
    return errors.KernelRefused(message, mount.mount_point, errno=error.errno)


@dataclass(eq=False, repr=False)
class UnmountTmpfs:
    """End the tmpfs of an upper in memory, and with it what the upper holds."""

    place: Layout

    def describe(self) -> Note:
        """The command."""
        return Note("umount {}   # the upper in memory is lost", (self.place.tmpfs,))

    def apply(self) -> None:
        """Unmount it, when it is mounted and is ours."""
        mount = self.place.mounted_tmpfs()
        if mount is not None:
            Unmount(mount).apply()

    def undo(self) -> None:
        """Memory does not come back; the steps after this one only remove empty directories."""


@dataclass(eq=False, repr=False)
class MoveAside:
    """Take a stack's directory out of the way by one rename, so that a crash finds all of it or nothing."""

    place: Layout
    aside: str

    def describe(self) -> Note:
        """The command."""
        return Note("mv {} {}", (self.place.base, self.aside))

    def apply(self) -> None:
        """Check that nothing lives in it, and rename it."""
        _refuse_if_used(self.place)
        if os.path.lexists(self.aside):
            # Left by a discard that was interrupted.
            remove_tree(self.aside)
        with failing_as(errors.DiscardRefused, "cannot move {} aside", self.place.base):
            os.rename(self.place.base, self.aside)

    def removes(self) -> frozenset[str]:
        """All that lies in it."""
        own = self.place
        return frozenset({own.base, own.tmpfs, own.upper, own.work, own.merged})

    def undo(self) -> None:
        """Put it back."""
        os.rename(self.aside, self.place.base)


def _refuse_if_used(place_of: Layout) -> None:
    check_unmounted(place_of.base)
    answer = surely(place_of.upper) if os.path.isdir(place_of.upper) else Answer.NO
    if answer is Answer.UNKNOWN:
        raise errors.DiscardRefused(
            "the kernel cannot be asked here whether a live overlay uses the upper {}; nothing was removed",
            place_of.upper,
            errno=errno.EPERM,
            hint="run it where you may mount, outside of `unshare` and of containers",
        )
    if answer is Answer.YES:
        line = busy.Line()
        upper = line.place(place_of.upper)
        whose, hint = busy.user_of_layer(place_of.upper, line)
        anybody = ": one in another mount namespace, one on top of this one, or this one, unmounted lazily"
        raise errors.DiscardRefused(
            f"the mount has ended here, but a live overlay still uses the upper {upper}{whose or anybody}; nothing was "
            "removed",
            *line.paths,
            errno=errno.EBUSY,
            hint=f"{hint or 'end that one'}, then `ovlctl umount --discard` again",
        )


@dataclass(eq=False, repr=False)
class RemoveTree(PointOfNoReturn):
    """Remove what was moved aside."""

    path: str

    def describe(self) -> Note:
        """The command."""
        return Note("rm -r {}", (self.path,))

    def apply(self) -> None:
        """Remove it without following any link and without leaving its mount."""
        remove_tree(self.path)

    def undo(self) -> None:
        """Gone is gone."""


class RemoveLeftover(RemoveTree):
    """Remove what an earlier discard of another stack left, as far as it can be: `ls` tells of the rest."""

    def apply(self) -> None:
        """Remove it, which is no reason for this unmount to fail."""
        with suppress(errors.DiscardRefused):
            remove_tree(self.path)


@dataclass(eq=False, repr=False)
class RemoveEmpty:
    """Remove a directory that ovlctl made, when it is empty."""

    path: str

    def describe(self) -> Note:
        """The command."""
        return Note("rmdir {}   # if empty", (self.path,))

    def apply(self) -> None:
        """Remove it; one that is in use, gone, or on a disk that became read-only stays as it is."""
        with suppress(OSError):
            os.rmdir(self.path)

    def removes(self) -> frozenset[str]:
        """The directory."""
        return frozenset({self.path})

    def undo(self) -> None:
        """Make it again."""
        os.makedirs(self.path, mode=0o700, exist_ok=True)


@dataclass(eq=False, repr=False)
class RemoveNote:
    """Remove the note about an upper that is lost."""

    path: str

    def describe(self) -> Note:
        """The command."""
        return Note("rm {}", (self.path,))

    def apply(self) -> None:
        """Remove it; one that is gone, or on a disk that became read-only, is no harm."""
        with suppress(OSError):
            os.unlink(self.path)

    def undo(self) -> None:
        """Nobody misses it."""


@dataclass(eq=False, repr=False)
class Forget:
    """Remove the record."""

    state: State
    record: Record

    def describe(self) -> Note:
        """What will be removed."""
        return Note("remove {}", (records.path_of(self.state, self.record.name),))

    def apply(self) -> None:
        """Remove it; on a read-only disk it stays, and is stale."""
        try:
            records.remove(self.state, self.record.name)
        except errors.StateUnusable as error:
            if error.errno != errno.EROFS:
                raise

    def undo(self) -> None:
        """Write it again."""
        records.write(self.state, self.record)
