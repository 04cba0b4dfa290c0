"""The steps by which an upper goes from the old mount to the new one, while a read-only bridge shows it."""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note
from ovlctl.kernel import fscontext, mounts
from ovlctl.kernel.fscontext import OPEN_TREE
from ovlctl.kernel.libc import AT_FDCWD
from ovlctl.kernel.syncfs import open_and_syncfs, syncfs
from ovlctl.ops.preflight.in_use import in_use
from ovlctl.ops.remounting.aside import put_beneath
from ovlctl.ops.remounting.steps import Make, end_old
from ovlctl.ops.steps import failing_as
from ovlctl.ops.views import elsewhere, users

if TYPE_CHECKING:
    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.records import Record
    from ovlctl.ops.state import State

#: Seconds to wait until the kernel has let go of the upper.
_UPPER_PATIENCE = 2.0
_LOST = "writes through the volatile mount {} were lost"


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
        with failing_as(errors.VolatileUnsafe, _LOST, self.mount.mount_point):
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
        with failing_as(errors.VolatileUnsafe, _LOST, self.mount.mount_point):
            syncfs(self._fd)
        self.undo()

    def undo(self) -> None:
        """Let go of the upper."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


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
            end_old(self.state, self.bridge, old)
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
        self.again.close()


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
