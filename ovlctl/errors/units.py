"""Mounts after a reboot: OVL-E115 to E119."""

from __future__ import annotations

from ovlctl.errors.base import UnsupportedError, UsageError


class NoMountPoint(UsageError):
    """A stack without a target can have neither a mount unit nor a line in fstab.

    Both are named after the mount point. The one that ovlctl makes for a stack without a target lies in its private
    state directory, where systemd would make directories with the wrong mode.

    To fix it, write `target = "/some/directory"` into the stack. A stack that only others stand on needs none: it is
    mounted with the first of them.
    """

    code = "OVL-E115"


class NotWritable(UnsupportedError):
    """A name cannot be written in a unit file or in fstab.

    Both are lines of UTF-8 that people read: a newline or another control character, a character that is not seen,
    and a name that is not UTF-8 cannot stand in them. In a unit file neither can a backslash or a blank at the end of
    a value. A unit's name has at most 255 bytes, and every unusual one of a path takes four of them.

    To fix it, rename the directory or let a symbolic link with a plain name lead to it.
    """

    code = "OVL-E116"


class ForeignFile(UsageError):
    """A file is in the way that `ovlctl unit` did not write.

    Files that it wrote begin with a line that says so and are replaced. No other file is ever overwritten.

    To fix it, look at the file, then move it away: mv /etc/systemd/system/x.mount /root/
    """

    code = "OVL-E117"


class NotPlain(UsageError):
    """A stack needs ovlctl at boot and cannot be a plain overlay unit.

    A plain unit is one mount -t overlay line. It cannot make an upper (kept or in memory), has no way to say a path
    with a comma, a colon, a backslash or a double quote that all versions of mount(8) read alike, and cannot mount a
    stack without target that others stand on.

    To fix it, leave --plain out, or give the stack an upper and a work directory of its own.
    """

    code = "OVL-E118"


class VariablesLost(UsageError):
    """A stack file uses environment variables that will not be there at boot.

    Neither the system manager nor mount -a has the variables of a shell. A unit can carry them (`ovlctl unit` writes
    Environment= lines), a line in fstab cannot.

    To fix it, write the values into the stack file, or use `ovlctl unit` instead of `ovlctl fstab`.
    """

    code = "OVL-E119"
