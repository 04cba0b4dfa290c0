"""What a diagnosis is made of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ovlctl.kernel.bootcache import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.errors import Note


class Ability(StrEnum):
    """Everything that ``doctor`` answers, by the name that ``--need`` takes; mount options are spelt as the kernel's.

    Each is something good to have: YES is never bad news.
    """

    OVERLAY = "overlay"
    REDIRECT_DIR = "redirect_dir"
    INDEX = "index"
    METACOPY = "metacopy"
    NFS_EXPORT = "nfs_export"
    XINO = "xino"
    UUID = "uuid"
    USERXATTR = "userxattr"
    VERITY = "verity"
    VOLATILE = "volatile"
    FSYNC = "fsync"
    DEFAULT_PERMISSIONS = "default_permissions"
    OVERRIDE_CREDS = "override_creds"
    LOWERDIR_PLUS = "lowerdir-plus"
    LAYER_DESCRIPTORS = "layer-descriptors"
    STATMOUNT = "statmount"
    UNIQUE_MOUNT_IDS = "unique-mount-ids"
    MOUNT_BENEATH = "mount-beneath"
    MOUNT_SETATTR = "mount-setattr"
    KERNEL_LOG = "kernel-log"
    TASKSTATS = "taskstats"
    DELAY_ACCOUNTING = "delay-accounting"
    LOOP_DEVICES = "loop-devices"
    NEWUIDMAP = "newuidmap"
    NEWGIDMAP = "newgidmap"
    MKFS_EXT4 = "mkfs.ext4"
    MKFS_XFS = "mkfs.xfs"
    MKFS_BTRFS = "mkfs.btrfs"
    SYSTEMD_ANALYZE = "systemd-analyze"

    ROOT = "root"
    MOUNT = "mount"
    USER_NAMESPACE = "user-namespace"
    ROOTLESS = "rootless"
    TMPFS_UPPER = "tmpfs-upper"
    ID_RANGES = "id-ranges"

    UPPER = "upper"
    LOWER = "lower"
    WRITABLE = "writable"
    SPACE = "space"
    INODES = "inodes"
    D_TYPE = "d_type"
    TRUSTED_XATTR = "trusted-xattr"
    USER_XATTR = "user-xattr"
    WHITEOUT = "whiteout"
    RENAME_WHITEOUT = "rename_whiteout"
    O_TMPFILE = "o_tmpfile"
    FILE_HANDLES = "file-handles"
    REFLINK = "reflink"
    FS_VERITY = "fs-verity"
    CASE_SENSITIVE = "case-sensitive"
    ONE_SUBVOLUME = "one-subvolume"
    LOCAL = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer of a trial, and the kernel's words for a NO or an UNKNOWN."""

    answer: Answer
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionValue:
    """One value of a mount option.

    Attributes:
        value: As the kernel spells it; None for an option that is a flag.
        known: Whether the kernel knows it.
        usable: Whether a mount by this user would have it in force.
    """

    value: str | None
    known: Answer
    usable: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The answer to one question.

    Attributes:
        ability: What was asked.
        answer: UNKNOWN is not NO: it was not to be found out by this user, here.
        tried: What was tried or read, and what came of it.
        cost: What its lack costs, whether it is lacking or not.
        fix: What would help, a command where there is one.
        values: Of a mount option, each of its values.
    """

    ability: Ability
    answer: Answer
    tried: Note
    cost: str
    fix: Note | None
    values: tuple[OptionValue, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of the overlay module, which decides what a mount does that does not say.

    Attributes:
        name: Its name.
        value: What it is here; None, the kernel has none of this name.
        upstream: What it is in the kernel's own default configuration.
    """

    name: str
    value: str | None
    upstream: str

    @property
    def differs(self) -> bool:
        """Whether this host decided otherwise."""
        return self.value is not None and self.value != self.upstream


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A number that cannot be exceeded.

    Attributes:
        name: What is limited.
        value: The largest number that is still good; None for one that the kernel does not tell.
        meaning: What happens there.
    """

    name: str
    value: int | None
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReport:
    """The kernel and what is installed beside it.

    Attributes:
        release: ``uname -r``.
        machine: ``uname -m``.
        findings: What was asked.
        parameters: The defaults of the overlay module.
        limits: Numbers of this kernel.
        selinux: ``"enforcing"``, ``"permissive"`` or None.
        apparmor: The profile of this process, or None where AppArmor is off.
        advice: What a security module changes for an overlay.
    """

    release: str
    machine: str
    findings: tuple[Finding, ...]
    parameters: tuple[Parameter, ...]
    limits: tuple[Limit, ...]
    selinux: str | None
    apparmor: str | None
    advice: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UserReport:
    """What this user may do.

    Attributes:
        uid: Effective user id.
        gid: Effective group id.
        initial_namespace: Whether in the user namespace the machine was booted with.
        findings: What was asked.
    """

    uid: int
    gid: int
    initial_namespace: bool
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryReport:
    """A directory and the file system it lies on.

    Attributes:
        path: Absolute, without symbolic links.
        mount_point: Of the mount it lies on.
        fs_type: File system type.
        source: What that was mounted from.
        read_only: Whether nobody can write there.
        overlay_depth: How many overlays stand on each other here; 0 on anything else, 2 is the kernel's limit.
        is_subvolume: Whether it is the top of a btrfs subvolume.
        subvolumes: Subvolumes directly below.
        project: The id of its quota project, 0 for none; None where the file system has none.
        label: Its SELinux label, if any.
        free_bytes: Left for this user; None where the file system does not count.
        free_inodes: As above.
        losses: What an upper here would do without.
        findings: What was asked, the two verdicts first.
    """

    path: str
    mount_point: str
    fs_type: str
    source: str
    read_only: bool
    overlay_depth: int
    is_subvolume: bool
    subvolumes: tuple[str, ...]
    project: int | None
    label: str | None
    free_bytes: int | None
    free_inodes: int | None
    losses: tuple[Ability, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What :func:`ovlctl.ops.doctor.diagnose` found."""

    host: HostReport
    user: UserReport
    directories: tuple[DirectoryReport, ...]

    def findings(self) -> Iterator[tuple[DirectoryReport | None, Finding]]:
        """Every finding, with the directory it is about."""
        for finding in (*self.host.findings, *self.user.findings):
            yield None, finding
        for directory in self.directories:
            for finding in directory.findings:
                yield directory, finding


def worst(answers: Iterator[Answer]) -> Answer:
    """NO when one is, else UNKNOWN when one is, else YES."""
    found = set(answers)
    return next((answer for answer in (Answer.NO, Answer.UNKNOWN) if answer in found), Answer.YES)
