"""The steps that put a new mount in the place of an old one, so that a path lookup finds the one or the other.

The new mount is made where nobody sees it, and then put beneath the old one (move_mount(2), MOVE_MOUNT_BENEATH);
when the old one is unmounted, the new one is there. A mount that is in use cannot be unmounted, and the new one waits
beneath it until it can.

An upper must not be in two live overlays. Where there is one, a read-only bridge goes beneath the old mount first: an
overlay whose topmost lower is the upper. The old mount ends and lets go of the upper; the new mount takes it, goes
beneath the bridge, and the bridge ends. Meanwhile, some milliseconds, who writes gets EROFS.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note, literal, strerror
from ovlctl.kernel import fscontext, mounts
from ovlctl.kernel.fscontext import MOVE_MOUNT, OPEN_TREE
from ovlctl.kernel.libc import AT_FDCWD
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from ovlctl.kernel.own_mounts import without
from ovlctl.kernel.syncfs import open_and_syncfs, syncfs
from ovlctl.ops import busy, keeping, records
from ovlctl.ops.preflight.in_use import in_use
from ovlctl.ops.records import Phase
from ovlctl.ops.state import State, write_atomically
from ovlctl.ops.steps import failing_as
from ovlctl.ops.unmount_steps import end
from ovlctl.ops.views import elsewhere, same, users, views

if TYPE_CHECKING:
    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.mount_steps import MountOverlay, ReadBack
    from ovlctl.ops.records import Record

#: Seconds for which a mount may be in use before it counts as held: readers come and go.
FREE_PATIENCE = 1.0
#: Seconds for which the old mount may be in use once the new one is beneath it.
END_PATIENCE = 5.0
#: Seconds to wait until the kernel has let go of the upper.
_UPPER_PATIENCE = 2.0
_PAUSE = 0.0003
_LOST = "writes through the volatile mount {} were lost"


def remember(state: State, record: Record) -> None:
    """Write *record*, and beside a kept upper which lowers it lies over now."""
    own = keeping.layout(state, record.name, in_memory=record.tmpfs is not None)
    if record.stack.upper == own.upper and os.path.exists(own.note):
        write_atomically(own.note, keeping.text(record.stack))
    records.write(state, record)


@dataclass(eq=False, repr=False)
class CheckFree:
    """Make sure that the old mount can be unmounted, without doing it.

    umount2(2) with MNT_EXPIRE answers EBUSY for a mount in use, and marks an unused one (EAGAIN), to unmount it when
    it is asked again and nobody has looked at the mount meanwhile; so it is looked at, before and after.
    """

    mount: Mount
    patience: float = FREE_PATIENCE

    def describe(self) -> Note:
        """What will be looked at."""
        return Note("make sure that nobody keeps {} busy", (self.mount.mount_point,))

    def apply(self) -> None:
        """Ask until the answer is no, or patience ends."""
        deadline = time.monotonic() + self.patience
        while not self._free():
            if time.monotonic() > deadline:
                raise busy.explained(self.mount)
            time.sleep(_PAUSE)

    def _free(self) -> bool:
        point = self.mount.mount_point
        self._look()
        try:
            umount2(point, MNT.EXPIRE | MNT.UMOUNT_NOFOLLOW)
        except OSError as error:
            if error.errno not in {errno.EBUSY, errno.EAGAIN}:
                text = f"the kernel does not let {{}} be unmounted: {literal(strerror(error))}"
                raise errors.KernelRefused(text, point, errno=error.errno) from error
            return error.errno == errno.EAGAIN
        finally:
            self._look()
        # Somebody else marked it in between: nothing looks at mounts that way but autofs.
        raise errors.KernelRefused("{} was unmounted by its expiry", point, hint="mount it again")

    def _look(self) -> None:
        """Take the mark away."""
        with suppress(OSError):
            os.close(os.open(self.mount.mount_point, os.O_PATH | os.O_CLOEXEC))

    def undo(self) -> None:
        """Nothing was changed."""


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
class FlushVolatile:
    """Write back what a volatile mount never synced, and make sure that none of it was lost."""

    mount: Mount
    upper: str
    _fd: int = -1

    def describe(self) -> Note:
        """The command."""
        return Note("sync -f {}   # volatile until now", (self.mount.mount_point,))

    def apply(self) -> None:
        """Ask the overlay, which remembers every error since it was mounted, then write back."""
        with failing_as(
            errors.VolatileUnsafe, "writes through the volatile mount {} were lost", self.mount.mount_point
        ):
            # From here on the descriptor hears of every error; it is on the upper, and does not keep the mount busy.
            self._fd = os.open(self.upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                open_and_syncfs(self.mount.mount_point)
                syncfs(self._fd)
            except OSError:
                self.undo()
                raise

    def finish(self) -> None:
        """Write back what came after :meth:`apply`; the mount has ended."""
        with failing_as(
            errors.VolatileUnsafe, "writes through the volatile mount {} were lost", self.mount.mount_point
        ):
            syncfs(self._fd)
        self.undo()

    def undo(self) -> None:
        """Let go of the upper."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


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
        self._close()
        return self.attached

    def _close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def undo(self) -> None:
        """End it. When it waits beneath a mount that cannot be ended this fails, and the record tells."""
        self._close()
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
        return errors.MountBusy("the new view stands at {}", record.target)
    return errors.MountBusy(
        f"the new view waits beneath the old one at {{}}: `ovlctl refresh {record.name}` goes on when nobody uses it, "
        f"and `ovlctl umount {record.name}` ends both",
        record.target,
    )


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
        if self.new is not None:
            self.new.put_beneath()
        try:
            end(old, patience=END_PATIENCE)
        except errors.MountBusy as error:
            if not self.detach:
                if self.new is not None:
                    taken_back(self.state, self.new, old)
                raise
            umount2(old.mount_point, MNT.DETACH | MNT.UMOUNT_NOFOLLOW)
            self.remarks.append(Note(f"the old view was detached, and lives on: {error.template}", error.paths))
        standing = mounts.mount_at(self.record.target)
        remember(self.state, replace(self.record, mount_id=standing.unique_id))

    def undo(self) -> None:
        """The old mount is gone; :meth:`Make.undo` says that the new one stands."""


@dataclass(eq=False, repr=False)
class SwapBridge:
    """Put the bridge in the place of the old mount, of which a copy is kept for going back."""

    state: State
    bridge: Make | None
    before: Record
    again: Make
    spare: int = -1

    def describe(self) -> Note:
        """What happens."""
        return Note("move the read-only bridge beneath {0}, umount {0}", (self.before.target,))

    def apply(self) -> None:
        """Swap, and make sure that nothing but the copy keeps the old overlay alive."""
        target = self.before.target
        old = mounts.mount_at(target)
        with failing_as(errors.KernelRefused, "cannot copy the mount {}", target):
            self.spare = fscontext.open_tree(AT_FDCWD, target, OPEN_TREE.CLONE)
        try:
            if self.bridge is not None:
                self.bridge.put_beneath()
            end(old, patience=END_PATIENCE)
        except errors.MountBusy:
            if self.bridge is not None:
                taken_back(self.state, self.bridge, old)
            self.let_go()
            raise
        except BaseException:
            self.let_go()
            raise
        held = holding(old)
        if held is not None:
            self.undo()
            raise held

    def let_go(self) -> None:
        """Drop the copy: there is no way back to the old mount itself."""
        if self.spare >= 0:
            os.close(self.spare)
            self.spare = -1

    def undo(self) -> None:
        """Put the copy, or the same stack mounted anew, beneath the bridge, which ends next."""
        if self.spare >= 0:
            put_beneath(self.spare, self.before.target)
            self.let_go()
            return
        upper = self.before.stack.upper
        if upper is not None and in_use(upper):
            raise errors.UpperHeld("the upper {} is in use still", upper, errno=errno.EBUSY)
        self.again.apply()
        self.again.put_beneath()


@dataclass(eq=False, repr=False)
class PassUpper:
    """Wait until the kernel has let go of the upper, and take the marker of a volatile mount away."""

    upper: str
    work: str
    swap: SwapBridge | None
    volatile: bool
    flush: FlushVolatile | None = None

    def describe(self) -> Note:
        """What happens."""
        if self.volatile:
            marker = os.path.join(self.work, "work", "incompat", "volatile")
            return Note("wait until the upper {} is free, sync it, and remove {}", (self.upper, marker))
        return Note("wait until the upper {} is free", (self.upper,))

    def apply(self) -> None:
        """Wait."""
        if self.swap is not None:
            self.swap.let_go()
        deadline = time.monotonic() + _UPPER_PATIENCE
        while in_use(self.upper):
            if time.monotonic() > deadline:
                raise errors.UpperHeld(
                    "the mount has ended, but something that /proc does not show keeps the upper {} in use",
                    self.upper,
                    errno=errno.EBUSY,
                    hint="`ovlctl who {}` may tell; when it has ended, `ovlctl refresh` goes on",
                )
        if self.volatile:
            self._clear()

    def _clear(self) -> None:
        if self.flush is not None:
            self.flush.finish()
        else:
            with failing_as(errors.VolatileUnsafe, "cannot write back the upper {}", self.upper):
                open_and_syncfs(self.upper)
        incompat = os.path.join(self.work, "work", "incompat")
        for path in ("volatile/dirty", "volatile", ""):
            with suppress(OSError):
                where = os.path.join(incompat, path).rstrip("/")
                (os.unlink if path == "volatile/dirty" else os.rmdir)(where)

    def undo(self) -> None:
        """What was let go of is taken again by who mounts."""


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


def holding(mount: Mount) -> errors.UpperHeld | None:
    """The error for an old overlay that will not let go of its upper, or None."""
    for namespace, each in elsewhere(mount):
        if namespace == 0:
            return errors.UpperHeld(
                "the mount {} shows the old view of {} and keeps its upper in use",
                each.mount.mount_point,
                mount.mount_point,
                errno=errno.EBUSY,
                hint="`umount {0}` first",
            )
        return errors.UpperHeld(
            f"mount namespace {namespace} (pid {each.pid}) has the old view of {{}} at {{}} and keeps its upper in use",
            mount.mount_point,
            each.mount.mount_point,
            errno=errno.EBUSY,
            hint=f"end it, or `nsenter -t {each.pid} -m umount {{1}}`",
        )
    for user in users(mount):
        return errors.UpperHeld(
            "the overlay mounted at {} has {} as a layer and keeps its upper in use",
            user.mount_point,
            mount.mount_point,
            errno=errno.EBUSY,
            hint="unmount {0} first",
        )
    return None


def taken_back(state: State, new: Make, old: Mount) -> bool:
    """Take *new* away from beneath *old*, without a moment without a view; False where the kernel gives no way.

    The old mount steps aside, which shows the new one, comes back beneath it, and the new one ends. A mount below a
    shared one cannot be moved (mount_namespaces(7)), so this works below private ones only.
    """
    stage = stage_of(state)
    try:
        os.makedirs(stage, mode=0o700, exist_ok=True)
        mount("ovlctl:stage", stage, "tmpfs", MS.NOSUID | MS.NODEV, b"size=4k")
    except OSError:
        return False
    moved = False
    try:
        mount(None, stage, None, MS.PRIVATE)
        point = os.path.join(stage, "old")
        os.mkdir(point)
        held = fscontext.open_tree(AT_FDCWD, old.mount_point)
        try:
            if not same(mounts.mount_at(held), old):
                return False
            fscontext.move_mount(held, "", AT_FDCWD, point, MOVE_MOUNT.F_EMPTY_PATH)
            moved = True
            put_beneath(held, old.mount_point)
            moved = False
        finally:
            if moved:
                fscontext.move_mount(held, "", AT_FDCWD, old.mount_point, MOVE_MOUNT.F_EMPTY_PATH)
            os.close(held)
    except (OSError, errors.SwapRefused):
        return False
    finally:
        with suppress(OSError):
            umount2(stage, MNT.UMOUNT_NOFOLLOW)
            os.rmdir(stage)
    try:
        new.undo()
    except errors.OvlError:
        return False
    return True


def stage_of(state: State) -> str:
    """Where a mount stands for the moment in which it changes places."""
    return os.path.join(state.run, "stage")
