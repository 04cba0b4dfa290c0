"""Putting a new mount in the place of an old one: OVL-E130 to E135."""

from __future__ import annotations

from ovlctl.errors.base import UnsupportedError, UsageError


class BeneathMissing(UnsupportedError):
    """This kernel cannot put a mount beneath another one, so a stack cannot be replaced without a gap.

    `ovlctl remount` and `refresh` use move_mount(2) with MOVE_MOUNT_BENEATH, which Linux has since 6.5. An older
    kernel answers EINVAL, and nothing is changed.

    `ovlctl remount --with-gap` unmounts first and mounts then. For a few milliseconds a path lookup finds the
    directory below the mount point, and nothing in it; when the second mount fails the old one is made again. Killed in
    that moment it leaves nothing mounted: `ovlctl refresh NAME` then makes the new mount.
    """

    code = "OVL-E130"


class SwapRefused(UnsupportedError):
    """The kernel does not let another mount be put beneath this one.

    move_mount(2) answers EINVAL when the mount is locked (it was there before this mount namespace was made by a
    less privileged user namespace), or when propagation would have to put the new mount beneath a mount of another
    namespace that is not the topmost one there. Nothing is changed.

    Run the command in the mount namespace that the stack was mounted in (`nsenter -t PID -m`), or accept a moment
    without the view: `ovlctl remount --with-gap`.
    """

    code = "OVL-E131"


class BridgeImpossible(UnsupportedError):
    """The upper of this stack cannot be shown read-only for the moment in which it changes hands.

    Two live overlays on one upper are undefined behaviour. So while the old mount is gone and the new one is not yet
    there, a read-only overlay stands in, whose topmost lower is the upper. That needs an upper that does not lie
    inside a lower, and one layer less than the 500 that the kernel takes.

    `ovlctl remount --with-gap` unmounts first and mounts then, without a view for a few milliseconds.
    """

    code = "OVL-E132"


class UpperHeld(UnsupportedError):
    """Something keeps the old overlay alive, and with it the upper, after its mount has ended here.

    A copy of the mount in another mount namespace, a bind mount of it, or another overlay that has the merged view as
    a lower keeps the old overlay and its hold on the upper. A second overlay on that upper is undefined behaviour, and
    with index=off the kernel would only write a line into its log.

    `ovlctl who NAME` tells who it is. End those, then remount. A stack without an upper can be remounted all the same:
    those keep the old view until they end.
    """

    code = "OVL-E133"


class VolatileUnsafe(UnsupportedError):
    """The volatile mount that is to be replaced has lost writes.

    A volatile mount never syncs, and its marker WORK/work/incompat/volatile keeps the work directory from being
    mounted again. Before a volatile stack is replaced ovlctl writes everything back (syncfs(2)) and removes the marker
    only when that succeeded. After an error of the disk the kernel answers EIO here until the mount ends.

    Copy what is wanted out of the merged view, then `ovlctl umount NAME --discard`.
    """

    code = "OVL-E134"


class DetachNeedsReadOnly(UsageError):
    """--detach leaves the old view to whoever holds it, which is safe for stacks without an upper only.

    A writer in the old view and one in the new view would be two overlays on one upper. End the holders that the
    busy error names, or leave out `--detach`.
    """

    code = "OVL-E135"
