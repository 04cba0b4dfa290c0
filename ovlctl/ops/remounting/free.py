"""Whether the old mount can be ended: somebody may stay in it, or only look at it again and again."""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note, literal, strerror
from ovlctl.kernel import mounts
from ovlctl.kernel.mount import MNT, umount2
from ovlctl.kernel.tasks import mount_id_at
from ovlctl.ops import busy
from ovlctl.ops.unmount_steps import persistently
from ovlctl.ops.views import has_upper

if TYPE_CHECKING:
    from ovlctl.kernel.holders import Holder
    from ovlctl.kernel.mounts import Mount

#: How often a mount may be in use, though nobody is seen in it, before it counts as held: a second, on an idle machine.
_ROUNDS = 25
#: How often a holder is looked at before it counts as one that stays, and the seconds in between.
_LOOKS = 250
_BETWEEN_LOOKS = 0.004
#: Seconds of tries before anybody is looked for.
_AT_ONCE = 0.01


@dataclass(eq=False, repr=False)
class CheckFree:
    """Make sure that the old mount can be unmounted, without doing it.

    umount2(2) with MNT_EXPIRE answers EBUSY for a mount in use, and marks an unused one (EAGAIN), to unmount it when
    it is asked again and nobody has looked at the mount meanwhile; so it is looked at, before and after.
    """

    mount: Mount

    def describe(self) -> Note:
        """What will be looked at."""
        return Note("make sure that nobody keeps {} busy", (self.mount.mount_point,))

    def apply(self) -> None:
        """Ask until the answer is no, or who holds it only comes and goes, or patience ends."""
        rounds = 0
        while not self._free():
            staying = held_steadily(self.mount)
            rounds += 1
            if staying or (staying is None and rounds >= _ROUNDS):
                raise self._held()
            if staying is False:
                return

    def _held(self) -> errors.MountBusy:
        error = busy.explained(self.mount)
        error.add_note("nothing was changed")
        if not has_upper(self.mount):
            error.add_note("`--detach` leaves the old view to those who hold it, and shows the new one to all others")
        return error

    def _free(self) -> bool:
        point = self.mount.mount_point
        self._look()
        try:
            persistently(lambda: umount2(point, MNT.EXPIRE | MNT.UMOUNT_NOFOLLOW), _AT_ONCE)
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


def held_steadily(mount: Mount) -> bool | None:
    """Whether somebody holds *mount* all the time, and does not only look at it again and again; None: nobody seen.

    Whoever was seen in it is looked at many times in the following second.
    """
    from ovlctl.kernel import holders

    found = holders.holders(mount)
    if found.submounts:
        return True
    if not found.processes:
        return None
    staying = set(found.processes)
    for _ in range(_LOOKS):
        staying = {holder for holder in staying if _stays(holder, mount)}
        if not staying:
            return False
        time.sleep(_BETWEEN_LOOKS)
    return True


def _stays(holder: Holder, mount: Mount) -> bool:
    proc = f"/proc/{holder.pid}" if holder.tid == holder.pid else f"/proc/{holder.pid}/task/{holder.tid}"
    try:
        if holder.kind == "fd":
            with open(f"{proc}/fdinfo/{holder.fd}", "rb") as file:
                return mounts.parse_fdinfo(file.read()) == mount.mount_id
        if holder.kind == "map":
            with open(f"{proc}/maps", "rb") as file:
                return os.fsencode(holder.path.replace("\n", "\\012")) in file.read()
        return mount_id_at(f"{proc}/{holder.kind}") == mount.mount_id
    except OSError:
        return False
