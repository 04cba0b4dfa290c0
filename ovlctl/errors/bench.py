"""The benchmark: OVL-E080 to E086."""

from __future__ import annotations

from ovlctl.errors.base import UnsupportedError, UsageError


class NotEnoughSpace(UnsupportedError):
    """The run would not fit on the file system.

    The run was worked out beforehand: lowers, one copy per sample, and a plain copy for comparison. Nothing was
    written.

        df -h DIR
        ovlctl bench-copyup --dir /other/disk --size 4K,1M
        ovlctl bench-copyup --samples 5
    """

    code = "OVL-E080"


class ToolMissing(UnsupportedError):
    """A program that the run needs, such as mkfs.xfs, is not installed.

    It was looked for in PATH, /usr/sbin and /sbin. Its package is usually called e2fsprogs (mkfs.ext4), xfsprogs
    (mkfs.xfs), btrfs-progs (mkfs.btrfs), util-linux (unshare, findmnt), uidmap or shadow (newuidmap), fuse-overlayfs.

        apt install xfsprogs                  # or dnf, zypper, pacman
        ovlctl bench-copyup --fs tmpfs        # needs none
    """

    code = "OVL-E081"


class UnlikeRuns(UsageError):
    """Two results were measured under different conditions.

    Other kernels, file systems, machines or settings make other times; a comparison would say nothing about what was
    changed. The message names the differences.

        ovlctl bench-compare A.json B.json --force    # when they are what is to be compared
    """

    code = "OVL-E082"


class NoCopyUp(UnsupportedError):
    """A sample that should have copied up did not; its time means nothing.

    After each sample the benchmark looks into the upper. The file was not there, or was there before: another process
    touched it, or the operation copies nothing up on this kernel. No time is reported rather than a wrong one.

        ovlctl bench-copyup --op write --size 4K      # the plainest case
    """

    code = "OVL-E083"


class ResultUnreadable(UsageError):
    """A file is not a result of bench-copyup.

    `bench-compare` reads what `bench-copyup --json FILE` wrote. The file is something else, was cut short by a full
    disk, or comes from a version with another format.

        head -c 200 FILE
        ovlctl bench-copyup --json FILE
    """

    code = "OVL-E084"


class RunTooLong(UsageError):
    """The run as asked would take far longer than allowed.

    The time was estimated from a rehearsal of each size. Nothing was measured.

        ovlctl bench-copyup --max-time 3600
        ovlctl bench-copyup --size 4K,1M --samples 10
    """

    code = "OVL-E086"
