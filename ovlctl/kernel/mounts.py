"""The mount table, whichever way this kernel tells it: statmount(2) or /proc/PID/mountinfo."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.errors import KernelLacks, literal, strerror
from ovlctl.kernel import mountinfo, statmount
from ovlctl.kernel.mount_attr import MOUNT_ATTR
from ovlctl.kernel.statmount import STATMOUNT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.kernel.libc import FdOrPath
    from ovlctl.kernel.mountinfo import MountInfo
    from ovlctl.kernel.statmount import Statmount

# Written by show_sb_opts() (fs/proc_namespace.c) and the security modules before the file system's own options.
_SB_FLAGS = frozenset({"sync", "dirsync", "mand", "lazytime"})
_SECURITY = ("seclabel", "context=", "fscontext=", "defcontext=", "rootcontext=", "smackfs")


# Without these (all there with 6.15) mountinfo tells more. What is known and does not come back is empty.
_NEEDED = STATMOUNT.OPT_ARRAY | STATMOUNT.SB_SOURCE | STATMOUNT.FS_SUBTYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One mount.

    Attributes:
        mount_id: Its id in mountinfo and fdinfo, reused after it is gone.
        unique_id: Its id for statmount(2), never reused; None when mountinfo told of it.
        parent_id: ``mount_id`` of the mount it lies on.
        dev: Major and minor number of the superblock.
        root: Which part of the file system it shows.
        mount_point: Where, seen from the root directory of the process that was asked.
        fs_type: File system type, with its subtype.
        source: What the mounter gave as the source, or ``"none"``.
        read_only: The mount is read-only.
        sb_read_only: The whole superblock is read-only.
        options: Options of the file system, decoded once, without ``rw``, ``ro`` and other flags of the kernel's.
    """

    mount_id: int
    unique_id: int | None
    parent_id: int
    dev: tuple[int, int]
    root: str
    mount_point: str
    fs_type: str
    source: str
    read_only: bool
    sb_read_only: bool
    options: tuple[str, ...]

    @property
    def st_dev(self) -> int:
        """:attr:`dev` as os.stat() gives it."""
        return os.makedev(*self.dev)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespacedMount:
    """A mount and the mount namespace it was seen in.

    Attributes:
        namespace: Inode number of the namespace.
        pid: A process in it.
        mount: The mount, its paths as that process sees them.
    """

    namespace: int
    pid: int
    mount: Mount


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespacedMounts:
    """What :func:`mounts_of_all_namespaces` found; iterating gives the mounts.

    Attributes:
        mounts: The mounts of every namespace that could be read, the own one first.
        namespaces: How many namespaces were read.
        unreadable: How many processes could not be asked which namespace they are in.
    """

    mounts: tuple[NamespacedMount, ...]
    namespaces: int
    unreadable: int

    def __iter__(self) -> Iterator[NamespacedMount]:
        return iter(self.mounts)

    def __len__(self) -> int:
        return len(self.mounts)


# A seccomp filter (containers, systemd's SystemCallFilter=) gives EPERM, a security module EACCES: statmount(2) and
# listmount(2) ask it, reading mountinfo does not. For a mount out of reach EPERM is the kernel's own, and mountinfo,
# which then does not list it, decides as well.
_REFUSED = {errno.EPERM, errno.EACCES}


def mounts(fs_type: str | None = None) -> list[Mount]:
    """The mounts of this process's namespace that it can reach, in the kernel's order.

    Mountinfo answers where statmount(2) is missing, does not tell enough or is refused.

    Law: asking through statmount(2) and through mountinfo gives the same values but for ``unique_id``.

    Args:
        fs_type: Only those of this type; None for all.
    """
    try:
        return from_statmount(fs_type)
    except KernelLacks:
        return from_mountinfo(fs_type)


def mount_at(path: FdOrPath) -> Mount:
    """The mount that *path* lies on, which need not be its mount point.

    Args:
        path: A path, whose last symbolic link is followed, or a descriptor.

    Raises:
        OSError: It cannot be reached; or ENOENT, it lies on a mount that is in no table (a detached one).
    """
    try:
        unique_id = statmount.mnt_id_unique(path)
        with _refusals():
            return _from_statmount(statmount.statmount(unique_id))
    except KernelLacks:
        mount_id = mount_id_of(path)
        for mount in from_mountinfo():
            if mount.mount_id == mount_id:
                return mount
    except OSError as error:
        if error.filename is not None or error.errno != errno.ENOENT:
            raise
    raise OSError(errno.ENOENT, "the mount it lies on is in no mount table", path)


def mounts_of_all_namespaces(fs_type: str | None = None) -> NamespacedMounts:
    """The mounts of every mount namespace that has a process.

    One process answers for its namespace, so the cost is one readlink(2) per process and one mountinfo per
    namespace. Processes may vanish meanwhile. Not seen: namespaces kept only by a bind mount, a descriptor or a
    single thread, and processes hidden by hidepid=2.

    Args:
        fs_type: Only mounts of this type; None for all.
    """
    members, unreadable = pids_by_namespace()
    found: list[NamespacedMount] = []
    read = 0
    for namespace, pids in members.items():
        for pid in pids:
            try:
                table = from_mountinfo(fs_type, pid)
            except OSError:
                continue  # gone, or a zombie by now: the next one of the same namespace answers
            found += (NamespacedMount(namespace=namespace, pid=pid, mount=mount) for mount in table)
            read += 1
            break
    return NamespacedMounts(mounts=tuple(found), namespaces=read, unreadable=unreadable)


def pids_by_namespace() -> tuple[dict[int, list[int]], int]:
    """Processes by the inode number of their mount namespace, the own one first; and how many could not be asked."""
    own = os.stat("/proc/self/ns/mnt").st_ino
    members: dict[int, list[int]] = {own: [os.getpid()]}
    unreadable = 0
    with os.scandir("/proc") as entries:
        pids = [int(entry.name) for entry in entries if entry.name.isdecimal()]
    for pid in pids:
        try:
            namespace = namespace_of(f"/proc/{pid}")
        except PermissionError:
            unreadable += 1
        except OSError:
            continue  # gone meanwhile, or a zombie, which is in no namespace any more
        else:
            members.setdefault(namespace, []).append(pid)
    return members, unreadable


def namespace_of(proc: str) -> int:
    """The inode number of a task's mount namespace.

    Args:
        proc: Its directory in /proc.

    Raises:
        PermissionError: It belongs to somebody else.
        OSError: It is gone, or a zombie, which is in no namespace any more.
    """
    path = f"{proc}/ns/mnt"
    link = os.readlink(path)
    if not link:
        # Some kernels (5.10) let everybody read the link of anybody's, and tell nothing.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    return int(link[len("mnt:[") : -1])


def from_statmount(fs_type: str | None = None, *, mnt_ns_id: int = 0) -> list[Mount]:
    """:func:`mounts` through listmount(2) and statmount(2).

    Args:
        fs_type: As there.
        mnt_ns_id: Another mount namespace by its 64-bit id, mount points seen from its root; 0 for the own one.

    Raises:
        KernelLacks: They are missing, are refused or do not tell enough.
    """
    found = []
    with _refusals():
        for mnt_id in statmount.listmount(mnt_ns_id=mnt_ns_id):
            try:
                # A cheap look first: a host with many containers has thousands of mounts, few of them wanted.
                if fs_type is None or statmount.fs_type(mnt_id, mnt_ns_id=mnt_ns_id) == fs_type:
                    found.append(_from_statmount(statmount.statmount(mnt_id, mnt_ns_id=mnt_ns_id)))
            except OSError as error:
                if error.errno != errno.ENOENT:  # else: unmounted since it was listed
                    raise
    return found


@contextmanager
def _refusals() -> Iterator[None]:
    """Take a refusal of statmount(2) or listmount(2) for their absence."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        raise KernelLacks(literal(f"statmount(2) is refused: {strerror(error)}"), errno=error.errno) from error


def from_mountinfo(fs_type: str | None = None, pid: int | str = "thread-self") -> list[Mount]:
    """:func:`mounts` through /proc/PID/mountinfo.

    Raises:
        OSError: As for mountinfo.read().
    """
    # A cheap look first: a host with many containers has thousands of lines, few of them wanted.
    wanted = None if fs_type is None else b" - " + os.fsencode(fs_type) + b" "
    parsed = (mountinfo.parse(line) for line in mountinfo.read_raw(pid) if wanted is None or wanted in line)
    return [_from_mountinfo(info) for info in parsed if fs_type is None or info.fs_type == fs_type]


def _from_statmount(told: Statmount) -> Mount:
    if told.supported is None or _NEEDED not in told.supported:
        raise KernelLacks("statmount(2) of this kernel tells less than mountinfo (Linux 6.15)")
    return Mount(
        mount_id=told.mnt_id_old,
        unique_id=told.mnt_id,
        parent_id=told.mnt_parent_id_old,
        dev=told.sb_dev,
        root=told.mnt_root,
        mount_point=told.mnt_point,
        fs_type=told.fs_type,
        source=told.sb_source or "",
        read_only=bool(told.mnt_attr & MOUNT_ATTR.RDONLY),
        sb_read_only=bool(told.sb_flags & statmount.SB_RDONLY),
        options=told.options,
    )


def _from_mountinfo(info: MountInfo) -> Mount:
    return Mount(
        mount_id=info.mount_id,
        unique_id=None,
        parent_id=info.parent_id,
        dev=info.dev,
        root=info.root,
        mount_point=info.mount_point,
        fs_type=info.fs_type,
        source=info.source,
        read_only="ro" in info.mount_options,
        sb_read_only=info.super_options[:1] == ("ro",),
        options=_own_options(info.super_options),
    )


def _own_options(super_options: tuple[str, ...]) -> tuple[str, ...]:
    start = 1
    while start < len(super_options) and super_options[start] in _SB_FLAGS:
        start += 1
    while start < len(super_options) and super_options[start].startswith(_SECURITY):
        start += 1
    return super_options[start:]


def mount_id_of(path: FdOrPath) -> int:
    """The mountinfo id of the mount that *path* lies on, on any kernel since 3.15.

    Raises:
        OSError: It cannot be reached; ENOSYS on an older kernel.
    """
    fd = path if isinstance(path, int) else os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        with open(f"/proc/self/fdinfo/{fd}", "rb") as file:
            mount_id = parse_fdinfo(file.read())
    finally:
        if not isinstance(path, int):
            os.close(fd)
    if mount_id is None:
        raise OSError(errno.ENOSYS, "the kernel does not tell mount ids", path)
    return mount_id


def parse_fdinfo(content: bytes) -> int | None:
    """The ``mnt_id:`` of a /proc/PID/fdinfo/N, or None when it has none."""
    before, found, after = content.partition(b"mnt_id:")
    return int(after.split(maxsplit=1)[0]) if found and before.endswith((b"\n", b"")) else None
