"""unshare(2), setns(2) and the namespaces that mounts live in."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from enum import IntFlag, StrEnum
from pathlib import Path

from ovlctl.errors import NoUserNamespace, literal, strerror
from ovlctl.kernel.capabilities import Capability, has
from ovlctl.kernel.libc import check, function
from ovlctl.kernel.mount import MS, mount

_PROC_USER_INIT_INO = 0xEFFFFFFD
"""Inode number of the initial user namespace, fixed by the kernel's ABI (linux/nsfs.h, PROC_USER_INIT_INO)."""

_NS_GET_USERNS = 0xB701
"""ioctl_nsfs(2), linux/nsfs.h."""


class CLONE(IntFlag):
    """Kinds of namespaces and what else unshare(2) separates, linux/sched.h."""

    NEWTIME = 0x00000080
    FS = 0x00000200
    NEWNS = 0x00020000
    NEWCGROUP = 0x02000000
    NEWUTS = 0x04000000
    NEWIPC = 0x08000000
    NEWUSER = 0x10000000
    NEWPID = 0x20000000
    NEWNET = 0x40000000


_unshare = function("unshare", ctypes.c_int, ctypes.c_int)
_setns = function("setns", ctypes.c_int, ctypes.c_int, ctypes.c_int)


def unshare(flags: CLONE) -> None:
    """Give the calling thread namespaces of its own.

    unshare(2).

    Raises:
        OSError: EPERM without CAP_SYS_ADMIN (NEWUSER needs none); EINVAL for NEWUSER in a process with threads.
    """
    check(_unshare(flags))


def setns(fd: int, flags: CLONE = CLONE(0)) -> None:  # noqa: B008 -- an immutable constant
    """Move the calling thread into the namespace that *fd* stands for.

    setns(2).

    Args:
        fd: An open /proc/PID/ns/X, or a pidfd (since 5.8).
        flags: The kinds of namespaces expected; 0 for any, when *fd* is no pidfd.

    Raises:
        OSError: EPERM, EINVAL (a mount namespace while the thread shares its working directory with another).
    """
    check(_setns(fd, flags), fd)


def enter_private_mounts() -> None:
    """Move this process into a mount namespace of its own whose mounts nobody else sees.

    Everything below ``/`` is made private, so that nothing propagates either way.

    Raises:
        OSError: EPERM without CAP_SYS_ADMIN.
    """
    unshare(CLONE.NEWNS)
    mount(None, "/", None, MS.REC | MS.PRIVATE)


def enter_user_namespace(uid_inside: int = 0, gid_inside: int = 0) -> None:
    """Move this process into a user namespace of its own, and a private mount namespace in that.

    The present user and group appear inside as *uid_inside* and *gid_inside*; all others are unmapped
    (user_namespaces(7)). The process gets every capability over the new namespaces. It must have one thread.

    Raises:
        NoUserNamespace: The kernel or its settings forbid it; the message says which. When even the first step
            was refused the process is where it was; when the maps were refused it is not, and had better end.
    """
    uid, gid = os.geteuid(), os.getegid()
    try:
        unshare(CLONE.NEWUSER)
    except OSError as error:
        raise no_user_namespace("cannot make a user namespace", error) from error
    try:
        # gid_map may only be written by a process without CAP_SETGID outside once setgroups is given up.
        write_at_once("/proc/self/setgroups", b"deny")
        write_at_once("/proc/self/uid_map", b"%d %d 1" % (uid_inside, uid))
        write_at_once("/proc/self/gid_map", b"%d %d 1" % (gid_inside, gid))
    except OSError as error:
        raise no_user_namespace("cannot map this user into a new user namespace", error) from error
    try:
        enter_private_mounts()
    except OSError as error:
        raise no_user_namespace("cannot mount in a new user namespace", error) from error


def mount_namespace_id(pid: int | str = "self") -> int:
    """Inode number of the mount namespace of *pid*, which is what ``readlink /proc/PID/ns/mnt`` shows.

    Raises:
        OSError: ENOENT, no such process; EACCES, it belongs to somebody else.
    """
    return os.stat(f"/proc/{pid}/ns/mnt").st_ino


def namespace_ids(pid: int | str = "self") -> tuple[int, int]:
    """Inode numbers of the user and the mount namespace of *pid*.

    Raises:
        OSError: as for :func:`mount_namespace_id`.
    """
    return os.stat(f"/proc/{pid}/ns/user").st_ino, mount_namespace_id(pid)


def enter_slave_mounts() -> None:
    """Move this process into a mount namespace of its own that receives what is mounted outside and gives nothing.

    Raises:
        OSError: EPERM without CAP_SYS_ADMIN.
    """
    unshare(CLONE.NEWNS)
    mount(None, "/", None, MS.REC | MS.SLAVE)


def in_initial_user_namespace() -> bool:
    """Whether this process is in the user namespace the machine was booted with."""
    return os.stat("/proc/self/ns/user").st_ino == _PROC_USER_INIT_INO


class MountRight(StrEnum):
    """Whether the calling thread may mount in its present mount namespace, or what is in the way."""

    YES = "yes"
    NO_CAPABILITY = "no-capability"
    FOREIGN_NAMESPACE = "foreign-namespace"

    def __bool__(self) -> bool:
        """Only YES is true."""
        return self is MountRight.YES

    @property
    def reason(self) -> str:
        """Why not, to stand after "cannot mount: "; empty for YES."""
        return {
            MountRight.YES: "",
            MountRight.NO_CAPABILITY: "this process does not have CAP_SYS_ADMIN",
            MountRight.FOREIGN_NAMESPACE: "this process has CAP_SYS_ADMIN in its own user namespace only, "
            "and its mount namespace belongs to another one",
        }[self]


def may_mount() -> MountRight:
    """Whether this thread may mount and unmount here.

    It takes CAP_SYS_ADMIN in the user namespace that owns the mount namespace (the function of this name in
    fs/namespace.c). Who made a user namespace without a mount namespace (``unshare -Ur``) has the capability only
    over what belongs to the new one. Which file systems may be mounted there is another question.
    """
    if not has(Capability.CAP_SYS_ADMIN):
        return MountRight.NO_CAPABILITY
    fd = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # It gives the owner if that is this user namespace or one below it, where its capabilities count, too.
        os.close(fcntl.ioctl(fd, _NS_GET_USERNS))
    except OSError as error:
        if error.errno == errno.EPERM:
            return MountRight.FOREIGN_NAMESPACE
        # ENOTTY: before 4.9. Then the capability is all that is known.
        if error.errno != errno.ENOTTY:
            raise
    finally:
        os.close(fd)
    return MountRight.YES


def write_at_once(path: str, content: bytes) -> None:
    """Write a file of /proc by one write(2): the kernel takes a map of ids in one piece only."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)


def _sysctl(name: str) -> str | None:
    try:
        return Path("/proc/sys", *name.split("/")).read_text(encoding="ascii").strip()
    except OSError:
        return None


def no_user_namespace(what: str, error: OSError) -> NoUserNamespace:
    """The error for *what* could not be done, with the setting of this machine that is behind it."""
    reason, hint = _why(error.errno or 0)
    message = "; ".join(filter(None, (f"{what}: {strerror(error)}" if error.errno else what, reason)))
    return NoUserNamespace(literal(message), hint=hint and literal(hint), errno=error.errno or None)


def _why(number: int) -> tuple[str | None, str | None]:
    # The kernel gives EPERM for half a dozen causes; the settings behind it can be read by everybody.
    threads = len(os.listdir("/proc/self/task"))
    refused = number in {errno.EPERM, errno.EACCES}
    more = "sudo sysctl user.max_user_namespaces=15000"
    causes: tuple[tuple[bool, str, str | None], ...] = (
        (_sysctl("user/max_user_namespaces") == "0", "user.max_user_namespaces is 0", more),
        (number == errno.ENOSPC, "the limit user.max_user_namespaces is reached", more),
        (number == errno.EUSERS, "user namespaces are nested too deeply", None),
        (
            refused and _sysctl("kernel/unprivileged_userns_clone") == "0",
            "kernel.unprivileged_userns_clone is 0",
            "sudo sysctl kernel.unprivileged_userns_clone=1",
        ),
        (
            refused and _sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1",
            "AppArmor restricts it (kernel.apparmor_restrict_unprivileged_userns is 1)",
            "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0, or run as root",
        ),
        (refused, "a container's seccomp filter, a chroot or a security module forbids it", None),
        (number == errno.EINVAL and threads > 1, f"the process has {threads} threads", None),
        (number == errno.EINVAL, "the kernel was built without user namespaces", None),
    )
    return next(((reason, hint) for applies, reason, hint in causes if applies), (None, None))
