"""Whether what is to be ended can be ended, found out before anything of it is."""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.kernel import mountinfo, mounts
from ovlctl.kernel.mount import MNT, umount2
from ovlctl.ops import busy
from ovlctl.ops.sets.graph import is_below
from ovlctl.ops.views import elsewhere, same

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ovlctl.kernel.mounts import Mount, NamespacedMount
    from ovlctl.ops.discover import Overlay

#: Somebody who only looks a path up holds the mount for an instant.
_PAUSES = (0.0, 0.005, 0.02)


def check_idle(ending: Sequence[Overlay]) -> None:
    """Make sure that nobody uses any of the mounts in *ending*, apart from each other.

    Raises:
        MountBusy: for the first that is in use; the message names who uses it.
    """
    table = mounts.mounts()
    points = {overlay.mount.mount_id for overlay in ending if overlay.mount is not None}
    for overlay in ending:
        mount = overlay.mount
        if mount is not None:
            _check_reached(mount)
            children = [each for each in table if each.parent_id == mount.mount_id]
            going = [each for each in children if each.mount_id in points]
            if len(going) < len(children) or not _idle(mount, busy_anyway=bool(going)):
                error = busy.explained(mount)
                error.add_note("nothing was ended")
                raise error


def covering(mount: Mount) -> Mount | None:
    """The mount that hides *mount*, at the same place or above it; None when *mount* can be reached."""
    path = mount.mount_point
    while True:
        try:
            found = mounts.mount_at(path)
        except (FileNotFoundError, NotADirectoryError):
            path = os.path.dirname(path)
        except OSError:
            return None  # whoever may look there knows
        else:
            return None if same(found, mount) else found


def _check_reached(mount: Mount) -> None:
    """Refuse one that another mount above it hides; one at the same place keeps it busy, and is named as its user."""
    over = covering(mount)
    if over is not None and over.mount_point != mount.mount_point:
        error = errors.TargetOccupied(
            "the overlay at {} cannot be reached: the mount at {} hides it",
            mount.mount_point,
            over.mount_point,
            hint="`umount {1}` ends what is on top",
        )
        error.add_note("nothing was ended")
        raise error


def _idle(mount: Mount, *, busy_anyway: bool) -> bool:
    """Whether *mount* could be unmounted; with *busy_anyway* it holds mounts that are going to be ended before it."""
    if busy_anyway:
        from ovlctl.kernel import holders

        return not holders.holders(mount).processes
    return any(_unused(mount.mount_point, pause) for pause in _PAUSES)


def _unused(point: str, pause: float) -> bool:
    """Whether the mount at *point* is used by nobody.

    umount2(2) with MNT_EXPIRE ends a mount that nobody used since the call before, and only marks it the first time:
    EAGAIN. Using it in any way takes the mark off (mntput in fs/namespace.c), so it is looked at before and after;
    seen on 6.18.
    """
    time.sleep(pause)
    os.stat(point)
    try:
        umount2(point, MNT.EXPIRE | MNT.UMOUNT_NOFOLLOW)
    except OSError as error:
        # Whatever else the kernel says, the unmount itself will hear it too, and can name it.
        return error.errno != errno.EBUSY
    finally:
        with suppress(OSError):
            os.stat(point)
    # Somebody else marked it between the two calls before this line.
    raise errors.KernelRefused("{} was ended while it was asked whether it is in use; nothing else was", point)


def check_alone(changing: Iterable[Overlay]) -> None:
    """Make sure that the uppers of *changing* are free once these are ended: nobody else keeps them mounted.

    A copy of a mount in another mount namespace goes with it only where what it lies on there still hears of it
    (mount_namespaces(7)); one in a private namespace, or a bind mount, keeps the upper in use, and then neither the
    new mount nor the old one could be made.

    Raises:
        MountBusy: for the first that is kept.
    """
    for overlay in changing:
        if overlay.mount is None or overlay.stack.upper is None:
            continue
        for namespace, copy in elsewhere(overlay.mount):
            if namespace == 0 or _is_cut_off(copy):
                where = "at {1} as well" if namespace == 0 else f"in the mount namespace of pid {copy.pid} as well"
                inside = "" if namespace == 0 else f"nsenter -t {copy.pid} -m "
                error = errors.MountBusy(
                    f"{overlay.name} has to be mounted anew, but the mount at {{0}} is {where}, which keeps its upper",
                    overlay.mount.mount_point,
                    copy.mount.mount_point,
                    errno=errno.EBUSY,
                    hint=f"`{inside}umount {{1}}` first",
                )
                error.add_note("nothing was ended")
                raise error


def _is_cut_off(copy: NamespacedMount) -> bool:
    """Whether an unmount elsewhere never reaches *copy*, because the mount it lies on is private."""
    try:
        parents = [info for info in mountinfo.read(copy.pid) if info.mount_id == copy.mount.parent_id]
    except OSError:
        return False  # its last process is gone, and it with it
    return not any(info.propagation for info in parents)


def check_free(ending: Sequence[Overlay], others: Iterable[Overlay], *, file: str | None = None) -> None:
    """Make sure that no other overlay stands on one of those in *ending*.

    Args:
        ending: What is to be ended.
        others: The other overlays that are mounted here.
        file: For the hint: the stack file from which `ovlctl down` would end the other one as well.

    Raises:
        StackStoodUpon: for the first one that is stood upon.
    """
    mounted = [overlay for overlay in ending if overlay.mount is not None]
    for other in others:
        for below in mounted:
            if _later(other, below) and any(is_below(path, below.target or "") for path in _of(other)):
                alike = other.record is not None and other.record.origin == file
                names = " ".join(overlay.name or "" for overlay in (*mounted, other))
                hint = f"`ovlctl down {{2}} {names}`" if alike and file else "`ovlctl umount {1}` first"
                raise errors.StackStoodUpon(
                    f"{other.name or 'the overlay'} at {{1}} stands on {below.name} at {{0}}, which is to be ended",
                    below.target or "",
                    other.target or "",
                    file or "",
                    hint=hint,
                )


def _of(overlay: Overlay) -> Iterator[str]:
    """Where *overlay* touches other mounts: its target and its layers."""
    yield from filter(None, (overlay.target, *overlay.stack.layers()))


def _later(other: Overlay, below: Overlay) -> bool:
    """Whether *other* was mounted after *below*: a directory named before was another one, now covered."""
    ids = [None if each.mount is None else each.mount.unique_id for each in (other, below)]
    return ids[0] is None or ids[1] is None or ids[0] > ids[1]
