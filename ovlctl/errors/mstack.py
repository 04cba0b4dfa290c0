"""systemd's stack directories: OVL-E110 to E114."""

from __future__ import annotations

from ovlctl.errors.base import UnsupportedError, UsageError


class MstackMalformed(UsageError):
    """A stack directory holds an entry that systemd.mstack(7) does not know.

    systemd refuses the whole directory then, and so does ovlctl: leaving an entry out would give another tree than
    the one that was meant. Known are layer@ID, rw, bind@PLACE, robind@PLACE and root; names that begin with a
    dot are ignored. A link that leads nowhere, a file without the ending .raw, a socket or a pipe is refused too.

    To fix it, look at the entry the message names and move it away: ls -l DIR.mstack
    """

    code = "OVL-E110"


class MstackUnsupported(UnsupportedError):
    """A stack directory asks for more than one overlay of directories.

    systemd.mstack(7) also knows disk images (layer@ID.raw), bind mounts (bind@PLACE, robind@PLACE), a root directory
    with the overlay on its usr, and versioned directories (NAME.v). One overlay can express none of them, and
    ovlctl mounts nothing rather than a part.

    To fix it, mount the directory with systemd-mstack(1) of systemd 260, or mount an image
    yourself and let layer@ID be a link to its mount point.
    """

    code = "OVL-E111"


class MstackAmbiguous(UsageError):
    """The layers of a stack directory have no single order, or there are none.

    Layers are ordered by version (layer@9 below layer@10). Two names that compare as equal, such as layer@1 and
    layer@01, could come out either way; a directory with rw alone, or without any layer, is no overlay.

    To fix it, rename one of them: mv DIR.mstack/layer@01 DIR.mstack/layer@2
    """

    code = "OVL-E112"


class MstackInexpressible(UsageError):
    """A stack cannot be written as a stack directory without changing what it means.

    A stack directory holds lowers and one rw directory whose data is the upper and whose work is the work directory.
    It has no place for options: systemd mounts with userxattr and the kernel's defaults for the rest. So data-only
    lowers, an upper that is not called data, a work directory elsewhere, and an upper whose marks are
    trusted.overlay.* (which systemd would not see: deleted files would come back) are refused.

    To fix it, export the lowers alone: ovlctl export-mstack STACK DIR.mstack --no-upper
    """

    code = "OVL-E113"


class MstackExists(UsageError):
    """What export-mstack should make is there already.

    Nothing is ever overwritten.

    To fix it, choose another name, or move the old one away: mv DIR.mstack DIR.old
    """

    code = "OVL-E114"
