"""What ovlctl remembers: OVL-E070 to E074."""

from __future__ import annotations

from ovlctl.errors.base import PermissionDeniedError, UnsupportedError, UsageError


class StateUnsafe(PermissionDeniedError):
    """A state directory belongs to somebody else or is open to others.

    Records decide what a later command unmounts and removes, so nobody else may be able to write them. The directories
    have mode 0700 and belong to who uses them.

        ls -ld /run/ovlctl /var/lib/ovlctl    # root
        ls -ld "$XDG_RUNTIME_DIR/ovlctl" ~/.local/state/ovlctl
        chmod 700 DIR && chown "$(id -u)" DIR

    Look first who made it so, and what is in it. `--state-dir DIR` or OVLCTL_STATE_DIR name another place.
    """

    code = "OVL-E070"


class StateUnusable(UnsupportedError):
    """A state directory cannot be made, read or written.

    The file system is full or read-only, the directory above is missing or may not be written, or something else than a
    directory stands there.

        df -h DIR; df -i DIR
        findmnt -T DIR
        ovlctl --help                         # and with --state-dir DIR somewhere else

    Without a login session XDG_RUNTIME_DIR may be unset; OVLCTL_STATE_DIR helps there.
    """

    code = "OVL-E071"


class RecordDamaged(UnsupportedError):
    """A record in the state directory cannot be read.

    It is no JSON, was cut short, or was written by a version with another format. The mount that it is about is not
    touched by this, and can be ended by its mount point.

        findmnt -t overlay
        ovlctl umount /mount/point
        mv RECORD RECORD.damaged              # then it is forgotten
    """

    code = "OVL-E072"


class KeptUpperDiffers(UsageError):
    """The kept upper of this name was made over other lowers.

    An upper holds changes to the lowers it was made over; above others its whiteouts and copies mean something else.
    The kernel would mount it and show a mixture.

        ovlctl show NAME                      # which lowers it belongs to
        ovlctl mount TARGET -l ... --name OTHER
        ovlctl umount NAME --discard          # throws the old changes away
    """

    code = "OVL-E073"


class StateLocked(UnsupportedError):
    """Another ovlctl has held the lock for too long.

    One command at a time changes the records of a user. The other one is still working, waits for an answer on its
    terminal, or is stopped (Ctrl-Z). The lock goes with its process; there is no file to remove.

        ps aux | grep '[o]vlctl'
        fg                                    # in the shell where it was stopped
    """

    code = "OVL-E074"
