"""Who holds what, and why something failed: OVL-E140 to E149."""

from __future__ import annotations

from ovlctl.errors.base import NotFoundError, UnsupportedError, UsageError


class LowerdirMalformed(UsageError):
    r"""The list of lowers in an option string has empty entries or a wrong order.

    `lowerdir=A:B::DATA` is cut at every colon without a backslash. The kernel refuses with EINVAL a colon at the
    beginning or the end, more than two in a row, and an ordinary lower after a data-only one. Its log has one of

        overlayfs: unescaped trailing colons in lowerdir mount option.
        overlayfs: only single ':' or double '::' sequences of unescaped colons in lowerdir mount option allowed.
        overlayfs: regular lower layers cannot follow data lower layers
        overlayfs: cannot append lower layer

    A colon often comes from an empty variable in a script: `lowerdir=$A:$B` with B unset. A colon that belongs to a
    name needs a backslash that the shell must not eat:

        mount -t overlay overlay -o 'lowerdir=/a\:b:/c' /mnt

    `ovlctl mount --lower DIR` takes every name as it is.
    """

    code = "OVL-E145"


class LowerHoldsMounts(UnsupportedError):
    """In a user namespace, a lower with mounts below it that came from outside cannot be used.

    The kernel makes a private copy of the mount under each lower. A user namespace must not uncover what is hidden
    beneath a mount it did not make, so the copy is refused with EINVAL, and the log has

        overlayfs: failed to clone lowerpath

    It happens with `lowerdir=/`, `/home` or `/run` inside `unshare -Ur` or a rootless container. See what is mounted
    there, and name directories without mounts below them, each with an overlay of its own:

        findmnt -R -o TARGET,FSTYPE /home

    As root in the initial user namespace it works; the merged view then shows the directories beneath those mounts.
    """

    code = "OVL-E146"


class MarksNotFollowed(UnsupportedError):
    """A layer holds redirects or metacopy files that this mount was told not to follow.

    The mount works, and single names in it give EPERM. The layer was written by a mount with redirect_dir=on or
    metacopy=on; this one has redirect_dir=nofollow or metacopy=off. The kernel's log has one of

        overlayfs: refusing to follow redirect for (/dir)
        overlayfs: refusing to follow metacopy origin for (/file)

    Mount the layers again with the options they were written with:

        mount -t overlay overlay -o lowerdir=L,upperdir=U,workdir=W,metacopy=on /mnt

    With userxattr, and so without root, neither is followed: copy the merged view as root to fresh layers instead.
    A redirect that is no name and no absolute path is damage; the log calls it an invalid redirect, and the error
    is EINVAL.
    """

    code = "OVL-E147"


class OriginMisleads(UnsupportedError):
    """An object in the upper remembers a lower object that is another one now (ESTALE).

    overlayfs notes on each copied-up object where it came from, in the attribute overlay.origin. A copy made with
    `cp -a` or `rsync -X` inside an upper, or of a whole upper to another disk, takes the note along, and then two
    objects claim one origin, or the origin is gone. Names give ESTALE (`Stale file handle`), and the log has

        overlayfs: failed to get inode (-116)

    Copy through the merged view, never inside the upper; when moving an upper, leave the attributes out that belong
    to the old place:

        rsync -aX --filter='-x trusted.overlay.origin' OLD/ NEW/
        setfattr -x trusted.overlay.origin UPPER/file
    """

    code = "OVL-E148"


class NothingRecognised(NotFoundError):
    """`ovlctl why` found nothing in the text that it knows.

    It knows mount(8) commands for overlays, lines of mountinfo, /proc/mounts, findmnt, mount and fstab, what mount(8)
    and the kernel's log say about overlays, and what Docker, Podman, containerd and BuildKit make of that.

    The kernel's own words help most, as the errno alone has a dozen causes. Try again and look:

        sudo dmesg | grep -E 'overlay(fs)?:' | tail
        journalctl -k -g overlay -n 20

    Best is the command itself, explained on the machine where it fails:

        ovlctl why -- mount -t overlay overlay -o lowerdir=L,upperdir=U,workdir=W /mnt
    """

    code = "OVL-E149"
