"""The steps that put a new mount in the place of an old one, so that a path lookup finds the one or the other.

The new mount is made where nobody sees it, and then put beneath the old one (move_mount(2), MOVE_MOUNT_BENEATH);
when the old one steps aside and is unmounted (:mod:`ovlctl.ops.remounting.aside`), the new one is there. A mount that
somebody stays in cannot be unmounted: then the new one is taken away again, or, where the kernel gives no way, waits
beneath it, and the record says so.

An upper must not be in two live overlays. Where there is one, a read-only bridge goes beneath the old mount first: an
overlay whose topmost lower is the upper. The old mount ends and lets go of the upper; the new mount takes it, goes
beneath the bridge, and the bridge ends. Meanwhile, some milliseconds, who writes gets EROFS.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note
from ovlctl.kernel import fscontext, mounts
from ovlctl.kernel.fscontext import OPEN_TREE
from ovlctl.kernel.libc import AT_FDCWD
from ovlctl.kernel.own_mounts import without
from ovlctl.ops import keeping, records
from ovlctl.ops.mount_steps import WriteOutcome
from ovlctl.ops.records import Phase
from ovlctl.ops.remounting.aside import end_above, put_beneath
from ovlctl.ops.state import State, write_atomically
from ovlctl.ops.steps import failing_as
from ovlctl.ops.unmount_steps import end
from ovlctl.ops.views import same, views

if TYPE_CHECKING:
    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.mount_steps import MountOverlay, ReadBack
    from ovlctl.ops.records import Record

#: Seconds for which the old mount may be in use once the new one is beneath it.
END_PATIENCE = 5.0
#: The same, when it may be left to those who stay.
DETACH_PATIENCE = 0.2


def remember(state: State, record: Record) -> None:
    """Write *record*, and beside a kept upper which lowers it lies over now."""
    own = keeping.layout(state, record.name, in_memory=record.tmpfs is not None)
    if record.stack.upper == own.upper and os.path.exists(own.note):
        write_atomically(own.note, keeping.text(record.stack))
    records.write(state, record)


@dataclass(eq=False, repr=False)
class WriteRemounting:
    """Remember what is about to take whose place."""

    state: State
    before: Record
    intent: Record

    def describe(self) -> Note:
        """What will be written where."""
        return Note("write the intent into {}", (records.path_of(self.state, self.intent.name),))

    def apply(self) -> None:
        """Write it."""
        records.write(self.state, self.intent)

    def undo(self) -> None:
        """Write the record of the mount that stands; when it was made anew it has a new number."""
        standing = views(self.before)
        record = replace(self.before, mount_id=standing[-1].unique_id) if standing else self.before
        remember(self.state, record)


@dataclass(eq=False, repr=False)
class Make:
    """Make a mount where nobody sees it: in a mount namespace of its own, as if the old one were not there."""

    overlay: MountOverlay
    what: str
    read_back: ReadBack | None = None
    fd: int = -1
    attached: Mount | None = None

    def describe(self) -> Note:
        """The equivalent mount(8) line."""
        line = self.overlay.describe()
        return Note(f"{line.template}, detached: {self.what}", line.paths)

    def apply(self) -> None:
        """Mount it and keep a detached copy."""
        record = self.overlay.record
        hidden = [record.target] * len(views(record))
        with failing_as(errors.KernelRefused, "cannot make the new mount for {}", record.target):
            self.fd = without(hidden, self._made)

    def _made(self) -> int:
        self.overlay.apply()
        try:
            if self.read_back is not None:
                self.read_back.apply()
            return fscontext.open_tree(AT_FDCWD, self.overlay.record.target, OPEN_TREE.CLONE)
        except BaseException:
            self.overlay.undo()
            raise

    def put_beneath(self) -> Mount:
        """Put it beneath what is seen at the target, and return it.

        Raises:
            SwapRefused: when the kernel refuses; nothing has changed then.
        """
        put_beneath(self.fd, self.overlay.record.target)
        self.attached = mounts.mount_at(self.fd)
        return self.attached

    def close(self) -> None:
        """Let go of the descriptor, which keeps a mount that stands busy."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def undo(self) -> None:
        """End it. When it waits beneath a mount that cannot be ended this fails, and the record tells."""
        self.close()
        if self.attached is not None:
            standing = views(self.overlay.record)
            alone = len(standing) == 1
            if alone or not same(standing[-1], self.attached):
                raise _stuck(self.overlay.record, alone=alone)
            end(self.attached, patience=END_PATIENCE)
            self.attached = None
        self.overlay.clean_work()


def _stuck(record: Record, *, alone: bool) -> errors.OvlError:
    if alone:
        return errors.MountBusy(
            f"the new view stands at {{}}: `ovlctl refresh {record.name}` writes that down", record.target
        )
    return errors.MountBusy(
        f"the new view waits beneath the old one at {{}}: `ovlctl refresh {record.name}` goes on when nobody uses it, "
        f"and `ovlctl umount {record.name}` ends both",
        record.target,
    )


def end_old(state: State, new: Make | None, old: Mount, *, detach: bool = False) -> Note | None:
    """Put *new* beneath *old*, unless it is there already (None), and end *old*.

    Returns:
        Who keeps the old one, when *detach* leaves it to them.

    Raises:
        MountBusy: when somebody stays in the old one; :meth:`Make.undo` takes the new one away.
        SwapRefused: as for :func:`put_beneath`.
    """
    if new is None:
        end(old, patience=END_PATIENCE)
        return None
    new.put_beneath()
    try:
        return end_above(state, old, new.fd, patience=DETACH_PATIENCE if detach else END_PATIENCE, detach=detach)
    finally:
        new.close()


@dataclass(eq=False, repr=False)
class Swap:
    """Put the new mount beneath the old one and end that.

    Attributes:
        new: What was made before; None when it is there already, after an interruption.
        record: What is remembered in the end.
        detach: Leave the old one to those who hold it.
        remarks: What was found out and is no error.
    """

    state: State
    new: Make | None
    record: Record
    detach: bool = False
    remarks: list[Note] = field(default_factory=list)

    def describe(self) -> Note:
        """What happens in the end."""
        return Note("move the new mount beneath {0}, umount {0}, and write down the outcome", (self.record.target,))

    def apply(self) -> None:
        """Swap; when the old one turns out to be held, the new one is taken away again."""
        old = mounts.mount_at(self.record.target)
        kept = end_old(self.state, self.new, old, detach=self.detach)
        if kept is not None:
            self.remarks.append(kept)
        standing = mounts.mount_at(self.record.target)
        remember(self.state, replace(self.record, mount_id=standing.unique_id))

    def undo(self) -> None:
        """The old mount is gone; :meth:`Make.undo` says that the new one stands."""


@dataclass(eq=False, repr=False)
class EndForGap:
    """End the old mount before the new one is made, for a kernel that cannot swap."""

    mount: Mount
    again: MountOverlay

    def describe(self) -> Note:
        """The command."""
        return Note("umount {}", (self.mount.mount_point,))

    def apply(self) -> None:
        """Unmount it."""
        end(self.mount, patience=END_PATIENCE)

    def undo(self) -> None:
        """Mount the same again."""
        self.again.apply()


class WriteMounted(WriteOutcome):
    """Remember which mount was made where there was none."""

    def apply(self) -> None:
        """Write it."""
        remember(self.state, self.record)


@dataclass(eq=False, repr=False)
class WriteStanding:
    """After an interruption: write down which mount stands, when the mount table leaves only that to be done."""

    state: State
    record: Record
    ending: bool = False

    def describe(self) -> Note:
        """What is done."""
        path = records.path_of(self.state, self.record.name)
        if self.ending:
            return Note("umount {}, where the old view comes back, and write it into {}", (self.record.target, path))
        return Note("write what stands at {} into {}", (self.record.target, path))

    def apply(self) -> None:
        """Write it."""
        if self.ending:
            end(mounts.mount_at(self.record.target), patience=END_PATIENCE)
        standing = views(self.record)
        number = standing[-1].unique_id if standing else self.record.mount_id
        remember(self.state, replace(self.record, phase=Phase.MOUNTED, mount_id=number, successor=None))

    def undo(self) -> None:
        """It is true."""
