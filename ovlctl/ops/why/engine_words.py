"""What mount(8), container engines and FUSE programs say when an overlay does not come about.

Matched anywhere in a line, unlike the kernel's words. Rows further up are tried first; one per line is enough.
"""

from __future__ import annotations

import re

from ovlctl import errors
from ovlctl.ops.why.rule import Rule


def _anywhere(
    pattern: str, causes: type[errors.OvlError] | tuple[type[errors.OvlError], ...], says: str, fix: str
) -> Rule:
    several = causes if isinstance(causes, tuple) else (causes,)
    return Rule(re.compile(pattern, re.IGNORECASE), several, says, fix)


_ROOT = "`findmnt -T DIR` of the engine's directory shows the file system; "
_POOR = _ROOT + "move it to ext4, xfs with ftype=1 or btrfs, or use fuse-overlayfs (Podman: `mount_program`)"

#: Tried with ``search``.
RULES: tuple[Rule, ...] = (
    # what mount says
    _anywhere(
        r"unknown filesystem type '?overlayfs'?",
        errors.BadUsage,
        "the type is `overlay` since Linux 3.18; `overlayfs` was its name in patched kernels before",
        "write `-t overlay`, and add a `workdir`",
    ),
    _anywhere(
        r"unknown filesystem type '?overlay\b|overlay: no such device|no such device.{0,80}overlay",
        errors.OverlayMissing,
        "this kernel has no overlay file system, or its module is not loaded",
        "`modprobe overlay` as root; in a container, on the host",
    ),
    _anywhere(
        r"modprobe: .{0,80}module overlay not found in directory (/\S{1,255})",
        errors.OverlayMissing,
        "there is no overlay module for the kernel that is running in {}",
        "`ls /lib/modules` and `uname -r`: where they differ the kernel was updated, and a reboot helps; else install "
        "the package with the kernel's modules",
    ),
    _anywhere(
        r"mount: (/.{0,4096}?): mount point does not exist",
        errors.PathMissing,
        "the target {} does not exist",
        "`mkdir -p {0}`",
    ),
    _anywhere(
        r"umount: (/.{0,4096}?): (?:target|device) is busy",
        errors.MountBusy,
        "{} is in use",
        "`ovlctl who {0}` lists who holds it, with the command that ends each",
    ),
    _anywhere(
        r"(?:unlinkat|remove|rmdir|unmount(?:ing)?) \"?(/[^\s\":]{1,4096}?)\"?: device or resource busy",
        errors.MountBusy,
        "{} is still mounted, here or in another mount namespace",
        "`ovlctl who {0}` lists who holds it, with the command that ends each",
    ),
    _anywhere(
        r"unmount(?:ing)? \"?(/[^\s\":]{1,4096}?)\"?: invalid argument",
        errors.NotAnOverlay,
        "{} was to be unmounted and was not mounted; what failed before that is the cause",
        "`findmnt {0}` prints nothing then",
    ),
    _anywhere(
        r"cannot mount \S{1,4096} read-only",
        errors.UpperReadOnly,
        "the upper lies on a read-only file system or mount; mount(8) tried without writing then, which helps nothing",
        "`findmnt -T UPPER` shows `ro`; `mount -o remount,rw` it, or mount without an upper",
    ),
    _anywhere(r"mount point does not exist", errors.PathMissing, "the target does not exist", "`mkdir -p TARGET`"),
    _anywhere(
        r"mount: (/.{0,4096}?): mount point is not a directory",
        errors.NotADirectory,
        "the target {} is no directory",
        "name a directory",
    ),
    _anywhere(
        r"mount point is not a directory", errors.NotADirectory, "the target is no directory", "name a directory"
    ),
    _anywhere(
        r"special device \S{1,255} does not exist \(a path prefix is not a directory\)",
        errors.NotADirectory,
        "something within the path of a layer is no directory",
        "`namei -l DIR` for each of lowerdir, upperdir and workdir shows which",
    ),
    _anywhere(
        r"special device \S{1,255} does not exist",
        (errors.PathMissing, errors.BadUsage, errors.OptionsTooLong),
        "the kernel did not find a layer; mount(8) blames the source, which an overlay has none of",
        "`ls -ld` each of lowerdir, upperdir and workdir; relative ones count from the present directory",
    ),
    _anywhere(
        r"already mounted or mount point busy",
        (errors.UpperInUse, errors.LowerInUse, errors.TargetOccupied),
        "a layer belongs to an overlay that is mounted; mount(8) blames the target",
        "`ovlctl who DIR` for upper, work and lowers names the other overlay; the kernel's log says which layer it is",
    ),
    _anywhere(
        r"can't find (?:\S{1,4096} )?in /etc/fstab",
        errors.BadUsage,
        "mount(8) was given a source or a target, not both, and looked into /etc/fstab",
        "any word serves as the source of an overlay: `mount -t overlay overlay -o ... DIR`",
    ),
    _anywhere(
        r"must be superuser to use mount|only root can (?:do that|mount|use)",
        errors.MissingCapability,
        "mounting needs CAP_SYS_ADMIN",
        "`sudo` the command, or mount in a user namespace: `unshare -Urm`, with `userxattr`",
    ),
    _anywhere(
        r"apparmor=\"DENIED\".{0,200}operation=\"mount\"",
        errors.AccessDenied,
        "AppArmor forbids the mount",
        "`aa-status` lists profiles; in a container `--security-opt apparmor=unconfined`",
    ),
    _anywhere(
        r"cannot mount using driver overlay in rootless mode",
        errors.MissingCapability,
        "rootless Podman mounts in a user namespace of its own only",
        "`podman unshare`, and in its shell `podman mount ...`",
    ),
    # engines, naming the file system below
    _anywhere(
        r"'?overlay2?'? is not supported over overlay(?:fs)?",
        errors.UpperOnOverlay,
        "the engine's directory lies on an overlay itself, as in a container or a live system",
        "give the engine a directory on a real file system: `-v /var/lib/docker`, `-v /var/lib/containers`, or a tmpfs",
    ),
    _anywhere(
        r"'?overlay2?'? is not supported over extfs",
        (errors.MissingCapability, errors.OverlayMissing, errors.UpperFileSystemPoor),
        "the engine's trial mount failed although ext4 can carry overlays",
        'rootless: Linux 5.13 or newer, or `mount_program = "/usr/bin/fuse-overlayfs"` in storage.conf; as root: '
        "`modprobe overlay`",
    ),
    _anywhere(
        r"'?overlay2?'? is not supported over \w{1,30}|backing file system is unsupported for this graph driver",
        errors.UpperFileSystemPoor,
        "the engine's directory lies on a file system that cannot carry an upper",
        _POOR,
    ),
    _anywhere(
        r"formatted without d_type support|configured to support d_type|requires? d_type|ftype=0",
        errors.UpperFileSystemPoor,
        "the file system does not tell the type of directory entries (xfs made with ftype=0)",
        "`xfs_info DIR | grep ftype`; back up, then `mkfs.xfs -n ftype=1`: it cannot be changed in place",
    ),
    _anywhere(
        r"unable to create kernel-style whiteout",
        (errors.MissingCapability, errors.UpperFileSystemPoor),
        "the engine could not make a whiteout (a character device 0:0)",
        "give the container CAP_MKNOD, or a newer Podman, which makes whiteouts without it",
    ),
    _anywhere(
        r"metacopy check.{0,200}(?:invalid argument)|metacopy=\w{1,10}.{0,40}options: invalid argument",
        errors.OptionUnknown,
        "the kernel does not know `metacopy` (Linux 4.19), or not with the other options",
        "take `metacopy=on` out of `mountopt` in /etc/containers/storage.conf",
    ),
    _anywhere(
        r"metacopy check.{0,200}(?:operation not permitted|permission denied)",
        errors.NeedsTrustedXattr,
        "metacopy needs trusted xattrs, which a user namespace does not give",
        "take `metacopy=on` out of `mountopt` in storage.conf",
    ),
    _anywhere(
        r"snapshotter cannot be enabled for \\?\"?([^\"\s\\]{1,4096}).{0,300}invalid argument",
        (errors.UpperOnOverlay, errors.UpperFileSystemPoor, errors.LayerFileSystemRefused),
        "no overlay can have its upper at {}",
        "`findmnt -T {0}` shows the file system; an overlay or NFS cannot: use ext4 or xfs, or `--snapshotter "
        "fuse-overlayfs`",
    ),
    _anywhere(
        r"snapshotter cannot be enabled for \\?\"?([^\"\s\\]{1,4096}).{0,300}operation not permitted",
        (errors.MissingCapability, errors.NeedsTrustedXattr),
        "mounting overlays at {} is not permitted",
        "in a container: `--privileged`, or `--snapshotter fuse-overlayfs`",
    ),
    _anywhere(
        r"driver not supported: overlay(?:2|fs)?|overlay2?\b.{0,40}driver not supported|snapshotter cannot be enabled",
        (errors.UpperOnOverlay, errors.UpperFileSystemPoor, errors.OverlayMissing, errors.LayerFileSystemRefused),
        "the engine's trial mount of an overlay failed",
        _ROOT + "the kernel's log has the reason: `dmesg | grep overlay`",
    ),
    # FUSE
    _anywhere(
        r"fuse-overlayfs.{0,80}(?:executable file not found|no such file or directory|command not found)",
        errors.ToolMissing,
        "fuse-overlayfs is not installed",
        "install the package fuse-overlayfs, or take `mount_program` out of storage.conf",
    ),
    _anywhere(
        r"fuse: device not found|/dev/fuse: (?:no such file|operation not permitted|permission denied)",
        errors.KernelLacks,
        "/dev/fuse, which fuse-overlayfs needs, is not there or not allowed",
        "`modprobe fuse` as root; in a container `--device /dev/fuse`",
    ),
)
