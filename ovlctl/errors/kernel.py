"""What only the kernel knows: OVL-E090 to E093."""

from __future__ import annotations

from ovlctl.errors.base import UnsupportedError


class KernelRefused(UnsupportedError):
    """The kernel refused for a reason that no check foresaw; its errno and words are passed on.

    Everything that ovlctl looks for beforehand was fine. The kernel's own words, where they could be read, stand in the
    message and after `kernel:`; `ovlctl why -` explains them.

        sudo dmesg | grep -E 'overlay(fs)?:' | tail
        ovlctl why -- mount -t overlay overlay -o ... TARGET

    ENOMEM and ENOSPC come from the machine and the upper's disk. With SELinux or AppArmor look at the audit log. If the
    cause turns out to be one that ovlctl could have seen, it is worth a report.
    """

    code = "OVL-E090"


class WeakerThanAsked(UnsupportedError):
    """The kernel mounted something weaker than what was asked, and the mount was undone.

    The kernel drops options with nothing but a line in its log, and can mount read-only what was to be writable. After
    every mount ovlctl reads back what is in force; a difference undoes the mount.

        sudo dmesg | grep 'falling back' | tail
        ovlctl doctor --dir UPPER
        ovlctl mount ... --allow-weaker       # accept it; `ovlctl show` has asked and effective side by side
    """

    code = "OVL-E091"


class KernelLacks(UnsupportedError):
    """A system call or a feature of it is missing on this kernel.

    The message says which, and in which release it came. Distributions take features back into older kernels, so they
    are tried, never guessed from the version; a seccomp filter (containers) can hide one that is there. In a chroot
    without /proc hardly anything can be told: `mount -t proc proc /proc`.

        uname -r
        ovlctl doctor
    """

    code = "OVL-E092"


class OutputFailed(UnsupportedError):
    """The result could not be written, to standard output or where `cp` was to put it; a full disk for one.

    The work itself was done; what could not be written is what was to be said about it. The disk may be full, or the
    other end of a pipe in trouble. A reader that stops early, such as `head`, is no error. Of a copy that could not be
    written, nothing is left.

        df -h .
        ovlctl ls                             # what is mounted now
    """

    code = "OVL-E093"
