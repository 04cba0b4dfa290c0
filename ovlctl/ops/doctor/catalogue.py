"""What the lack of each ability costs, and what helps in general."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.errors import Note
from ovlctl.ops.doctor.values import Ability, Finding
from ovlctl.overlay.options import KEYS

if TYPE_CHECKING:
    from ovlctl.kernel.bootcache import Answer
    from ovlctl.ops.doctor.values import OptionValue

#: Abilities that are mount options, by the name of the option.
OPTIONS = {key.name: Ability(key.name) for key in KEYS}

#: What the lack of each ability costs.
COSTS = {
    Ability.OVERLAY: "no overlay can be mounted",
    Ability.REDIRECT_DIR: "renaming a directory of a lower fails with EXDEV; most programs then copy it",
    Ability.INDEX: "hard links of a lower come apart when one of them is written to",
    Ability.METACOPY: "chmod, chown and touch copy the whole file up",
    Ability.NFS_EXPORT: "the merged view cannot be exported over NFS",
    Ability.XINO: "over several file systems inode numbers may repeat, and those of directories may change",
    Ability.UUID: "the UUID of the merged view cannot be chosen",
    Ability.USERXATTR: "without root a directory that was removed cannot be made again",
    Ability.VERITY: "the data of metacopy files cannot be checked against a digest",
    Ability.VOLATILE: "throw-away stacks wait for the disk like all others",
    Ability.FSYNC: "what copy-up syncs cannot be chosen",
    Ability.DEFAULT_PERMISSIONS: "permissions are checked on the layers as well as on the merged file",
    Ability.OVERRIDE_CREDS: "layers are always reached with the rights of whoever mounted",
    Ability.LOWERDIR_PLUS: "many or oddly named lowers may not fit the 4095 bytes of the options",
    Ability.LAYER_DESCRIPTORS: "layers with paths of more than 255 bytes are shown by names that mean nothing later",
    Ability.STATMOUNT: "mounts are read from /proc/self/mountinfo, all at once",
    Ability.UNIQUE_MOUNT_IDS: "a mount that took the id of one that ended may be taken for it",
    Ability.MOUNT_BENEATH: "`remount` has a moment without a mount, in which paths are not found",
    Ability.MOUNT_SETATTR: "layers cannot be mounted with mapped ids",
    Ability.KERNEL_LOG: "the kernel's reason for a refused mount cannot be read",
    Ability.TASKSTATS: "`bench-copyup` counts bytes and times of a task less exactly, through /proc",
    Ability.DELAY_ACCOUNTING: "`bench-copyup` cannot tell waiting for the disk from other waiting",
    Ability.LOOP_DEVICES: "`bench-copyup` cannot measure on other file systems than those mounted",
    Ability.NEWUIDMAP: "without root only the own user id exists inside a stack",
    Ability.NEWGIDMAP: "without root only the own group id exists inside a stack",
    Ability.MKFS_EXT4: "`bench-copyup` cannot measure on ext4",
    Ability.MKFS_XFS: "`bench-copyup` cannot measure on xfs",
    Ability.MKFS_BTRFS: "`bench-copyup` cannot measure on btrfs",
    Ability.SYSTEMD_ANALYZE: "units that `unit` writes are not verified",
    Ability.ROOT: "no trusted xattrs: no metacopy, redirect_dir, index and nfs_export",
    Ability.MOUNT: "nothing can be mounted where everybody sees it",
    Ability.USER_NAMESPACE: "nothing can be mounted without root",
    Ability.ROOTLESS: "ordinary users cannot mount overlays",
    Ability.TMPFS_UPPER: "`--tmpfs-upper` loses replaced directories",
    Ability.ID_RANGES: "files of other users in the layers belong to nobody inside a stack, and chown fails",
    Ability.UPPER: "`ovlctl mount` refuses an upper here",
    Ability.LOWER: "no layer can lie here",
    Ability.WRITABLE: "nothing new can be made here",
    Ability.SPACE: "the next copy-up fails with ENOSPC",
    Ability.INODES: "the next copy-up or deletion fails with ENOSPC",
    Ability.D_TYPE: "files deleted in the merged view are still listed, although they cannot be opened",
    Ability.TRUSTED_XATTR: "root cannot mark opaque directories, redirects and metacopy files in an upper here",
    Ability.USER_XATTR: "without root removed directories cannot be made again in an upper here",
    Ability.WHITEOUT: "files of the lowers cannot be deleted",
    Ability.RENAME_WHITEOUT: "renaming a file of a lower takes several steps, which a crash can come between",
    Ability.O_TMPFILE: "copy-up goes through named files in work, which a crash leaves there until the next mount",
    Ability.FILE_HANDLES: "index, nfs_export and xino=auto are dropped, and inode numbers change at copy-up or remount",
    Ability.REFLINK: "the first write to a file copies all its data",
    Ability.FS_VERITY: "verity=on records no digests of files here, and verity=require refuses them",
    Ability.CASE_SENSITIVE: "overlays refuse the directory, or since 6.18 take it only if all layers fold case alike",
    Ability.ONE_SUBVOLUME: "upper and work in different subvolumes mount, then every copy-up fails with EXDEV",
    Ability.LOCAL: "what others change on the server is not seen in the merged view, or only later; NFS takes no upper",
}

_FIXES = {
    Ability.OVERLAY: "sudo modprobe overlay",
    Ability.LOWERDIR_PLUS: "Linux 6.7 or newer",
    Ability.LAYER_DESCRIPTORS: "Linux 6.15 or newer",
    Ability.STATMOUNT: "Linux 6.15 or newer",
    Ability.UNIQUE_MOUNT_IDS: "Linux 6.8 or newer",
    Ability.MOUNT_BENEATH: "Linux 6.5 or newer",
    Ability.MOUNT_SETATTR: "Linux 5.12 or newer",
    Ability.KERNEL_LOG: "sudo sysctl kernel.dmesg_restrict=0, or run as root",
    Ability.TASKSTATS: "run `bench-copyup` as root; the kernel needs CONFIG_TASKSTATS",
    Ability.DELAY_ACCOUNTING: "sudo sysctl kernel.task_delayacct=1",
    Ability.LOOP_DEVICES: "sudo modprobe loop; using them takes root",
    Ability.NEWUIDMAP: "install the package `uidmap` (Debian, Ubuntu) or `shadow-utils` (Fedora)",
    Ability.NEWGIDMAP: "install the package `uidmap` (Debian, Ubuntu) or `shadow-utils` (Fedora)",
    Ability.MKFS_EXT4: "install the package `e2fsprogs`",
    Ability.MKFS_XFS: "install the package `xfsprogs`",
    Ability.MKFS_BTRFS: "install the package `btrfs-progs`",
    Ability.SYSTEMD_ANALYZE: "install the package `systemd`",
    Ability.ROOT: "sudo ovlctl ...",
    Ability.MOUNT: "run as root, or use `ovlctl mount` as it is: without root it mounts in a namespace of its own",
    Ability.TMPFS_UPPER: "Linux 6.6 or newer with CONFIG_TMPFS_XATTR, or an upper on disk",
    Ability.UPPER: "use a directory on ext4, xfs, btrfs or tmpfs, or `--tmpfs-upper`",
    Ability.LOWER: "use a copy on another file system",
    Ability.D_TYPE: "use another file system; on xfs it takes `mkfs.xfs -n ftype=1`",
    Ability.TRUSTED_XATTR: "use a directory on ext4, xfs, btrfs or tmpfs",
    Ability.USER_XATTR: "use a directory on ext4, xfs or btrfs, or on tmpfs since Linux 6.6",
    Ability.WHITEOUT: "use a directory on ext4, xfs, btrfs or tmpfs",
    Ability.RENAME_WHITEOUT: "use a directory on ext4, xfs, btrfs or tmpfs",
    Ability.O_TMPFILE: "use a directory on ext4, xfs, btrfs or tmpfs",
    Ability.FILE_HANDLES: "use a directory on ext4, xfs, btrfs or tmpfs",
    Ability.REFLINK: "use a directory on xfs or btrfs",
    Ability.FS_VERITY: "use ext4 (after `tune2fs -O verity DEVICE`) or btrfs, and a kernel with CONFIG_FS_VERITY",
    Ability.CASE_SENSITIVE: "use a directory that was made without `chattr +F`",
    Ability.ONE_SUBVOLUME: "put upper and work side by side, outside or inside the same subvolume",
    Ability.LOCAL: "use a local disk for uppers",
}


def finding(
    ability: Ability,
    answer: Answer,
    tried: str | Note,
    *,
    fix: str | Note | None = None,
    values: tuple[OptionValue, ...] = (),
) -> Finding:
    """A finding with the cost and, unless *fix* says it better, the fix that belong to *ability*.

    Args:
        ability: What was asked.
        answer: What was found.
        tried: How; text that is no note has its braces doubled where they come from somewhere else.
        fix: What would help here.
        values: Of a mount option, its values.
    """
    fix = fix if fix is not None else _FIXES.get(ability)
    return Finding(
        ability=ability,
        answer=answer,
        tried=_note(tried),
        cost=COSTS[ability],
        fix=None if fix is None else _note(fix),
        values=values,
    )


def _note(text: str | Note) -> Note:
    return Note(text) if isinstance(text, str) else text
