"""Ending a mount: OVL-E060 to E063."""

from __future__ import annotations

from ovlctl.errors.base import UnsupportedError, UsageError


class MountBusy(UnsupportedError):
    """Somebody still uses the mount; the message names them.

    umount(2) answers EBUSY while a process has a file open in the mount, works in it (cwd), has it as its root, runs a
    program from it or maps a file of it, and while something is mounted inside it. The message names who it is.

        ovlctl who TARGET                     # everybody, in every mount namespace, with the command that ends each
        cd / && ovlctl umount TARGET          # often it is the own shell

    `umount -l` hides the mount and ends nothing: its users go on writing into the upper, which then cannot be used
    again safely until the last of them has ended. ovlctl never does it.
    """

    code = "OVL-E060"


class NotOurs(UsageError):
    """--discard was asked for something that ovlctl did not make.

    `--discard` removes what ovlctl made for a stack. The upper of this one was given by whoever mounted it, and belongs
    to them.

        ovlctl show STACK                     # where the upper is
        ovlctl umount STACK                   # without --discard
    """

    code = "OVL-E061"


class DiscardRefused(UnsupportedError):
    """What was to be removed holds a mount point or is used by a live overlay.

    Before anything is removed, every directory below is looked at: a mount point inside it would take somebody else's
    files with it, and an upper that a live overlay still uses (in another namespace, or after `umount -l`) would be
    pulled away from under it. Nothing was removed.

        findmnt -R DIR
        ovlctl who DIR
    """

    code = "OVL-E062"


class NotConfirmed(UsageError):
    """Something would be destroyed, and nobody said yes.

    On a terminal ovlctl asks before it removes anything that holds data; nobody was there to answer, or the answer was
    no. Nothing was removed.

        ovlctl umount STACK --discard --yes
    """

    code = "OVL-E063"
