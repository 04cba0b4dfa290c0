"""The mount API by file descriptors: fsopen, fsconfig, fsmount, move_mount, open_tree, mount_setattr.

In the kernel since 5.2 (mount_setattr: 5.12); the sources of truth are the man pages of the same names
(man-pages >= 6.17) and linux/mount.h. Every descriptor made here is close-on-exec.
"""

from __future__ import annotations

import ctypes
import errno
import os
from dataclasses import dataclass
from enum import IntEnum, IntFlag, StrEnum

from ovlctl.kernel import libc
from ovlctl.kernel.libc import StrPath, check, encode, syscall
from ovlctl.kernel.mount_attr import MOUNT_ATTR


class MOVE_MOUNT(IntFlag):  # noqa: N801 -- kernel spelling
    """Flags of move_mount(2)."""

    F_SYMLINKS = 0x001
    F_AUTOMOUNTS = 0x002
    F_EMPTY_PATH = 0x004
    T_SYMLINKS = 0x010
    T_AUTOMOUNTS = 0x020
    T_EMPTY_PATH = 0x040
    SET_GROUP = 0x100
    BENEATH = 0x200


class OPEN_TREE(IntFlag):  # noqa: N801 -- kernel spelling
    """Flags of open_tree(2), the AT_ ones it takes included."""

    CLONE = 1
    SYMLINK_NOFOLLOW = libc.AT_SYMLINK_NOFOLLOW
    NO_AUTOMOUNT = libc.AT_NO_AUTOMOUNT
    EMPTY_PATH = libc.AT_EMPTY_PATH
    RECURSIVE = libc.AT_RECURSIVE
    CLOEXEC = os.O_CLOEXEC


class FSCONFIG(IntEnum):
    """Commands of fsconfig(2)."""

    SET_FLAG = 0
    SET_STRING = 1
    SET_BINARY = 2
    SET_PATH = 3
    SET_PATH_EMPTY = 4
    SET_FD = 5
    CMD_CREATE = 6
    CMD_RECONFIGURE = 7
    CMD_CREATE_EXCL = 8


class Level(StrEnum):
    """How bad a message of a file system context is."""

    ERROR = "e"
    WARNING = "w"
    INFO = "i"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message read from a file system context.

    Attributes:
        level: Error, warning or information.
        origin: Who speaks, such as ``"overlay"``; empty when the kernel does not say.
        text: What it says.
    """

    level: Level
    origin: str
    text: str


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


_open_tree = syscall(428, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
_move_mount = syscall(429, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
_fsopen = syscall(430, ctypes.c_char_p, ctypes.c_uint)
_fsconfig = syscall(431, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int)
_fsmount = syscall(432, ctypes.c_int, ctypes.c_uint, ctypes.c_uint)
_mount_setattr = syscall(442, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint, ctypes.POINTER(_MountAttr), ctypes.c_size_t)

_FSOPEN_CLOEXEC = 1
_FSMOUNT_CLOEXEC = 1
_LONGEST_MESSAGE = 16384


def fsopen(fstype: str) -> int:
    """Give a descriptor of a new, empty context for *fstype*.

    fsopen(2), since 5.2.

    Raises:
        KernelLacks: No such system call.
        OSError: ENODEV, the file system is unknown; EPERM, no CAP_SYS_ADMIN in the user namespace.
    """
    return check(_fsopen(encode(fstype), _FSOPEN_CLOEXEC), call="fsopen")


def fsconfig_set_flag(fd: int, key: str) -> None:
    """Set option *key*, which has no value.

    fsconfig(2) FSCONFIG_SET_FLAG, since 5.2.

    Raises:
        OSError: EINVAL for an unknown key; :func:`messages` says more.
    """
    check(_fsconfig(fd, FSCONFIG.SET_FLAG, encode(key), None, 0), call="fsconfig")


def fsconfig_set_string(fd: int, key: str, value: StrPath) -> None:
    """Set option *key* to *value*, whose bytes pass unchanged.

    fsconfig(2) FSCONFIG_SET_STRING, since 5.2.

    Raises:
        OSError: EINVAL for an unknown key, a bad value, or, without any message, a value of more than 255 bytes.
            *value* is its file name, since most values that fail are paths.
    """
    check(_fsconfig(fd, FSCONFIG.SET_STRING, encode(key), encode(value), 0), value, call="fsconfig")


def fsconfig_set_fd(fd: int, key: str, aux_fd: int) -> None:
    """Set option *key* to the open file *aux_fd*.

    fsconfig(2) FSCONFIG_SET_FD, since 5.2.

    overlay takes descriptors of layers since 6.13, O_PATH ones since 6.15.

    Raises:
        OSError: EINVAL, the option takes no descriptor; EOPNOTSUPP, no option of this file system does (overlay before
            6.5); EBADF, *aux_fd* is closed, or O_PATH on an old kernel.
    """
    check(_fsconfig(fd, FSCONFIG.SET_FD, encode(key), None, aux_fd), aux_fd, call="fsconfig")


def fsconfig_create(fd: int) -> None:
    """Make the superblock.

    fsconfig(2) FSCONFIG_CMD_CREATE, since 5.2.

    Raises:
        OSError: Whatever the file system has against it.
    """
    check(_fsconfig(fd, FSCONFIG.CMD_CREATE, None, None, 0), call="fsconfig")


def fsmount(fd: int, attrs: MOUNT_ATTR = MOUNT_ATTR(0)) -> int:  # noqa: B008 -- an immutable constant
    """Give a descriptor of a detached mount of the context's superblock.

    fsmount(2), since 5.2.

    Raises:
        OSError: EBUSY when the context is not in the right phase.
    """
    return check(_fsmount(fd, _FSMOUNT_CLOEXEC, attrs), call="fsmount")


def move_mount(from_fd: int, from_path: StrPath, to_fd: int, to_path: StrPath, flags: MOVE_MOUNT) -> None:
    """Attach a detached mount, or move an attached one.

    move_mount(2), since 5.2.

    Args:
        from_fd: Descriptor of the mount or of a directory, or AT_FDCWD.
        from_path: Path relative to it; empty with ``F_EMPTY_PATH``.
        to_fd: Descriptor of the target or of a directory, or AT_FDCWD.
        to_path: Path relative to it; empty with ``T_EMPTY_PATH``.
        flags: See there.

    Raises:
        OSError: With *to_path* as its file name.
    """
    result = _move_mount(from_fd, encode(from_path), to_fd, encode(to_path), flags)
    check(result, to_path, from_path or None, call="move_mount")


def beneath_known() -> bool:
    """Whether move_mount(2) knows ``MOVE_MOUNT.BENEATH``, in Linux since 6.5 (commit 6ac392815628).

    Asked with a descriptor that cannot be: flags are looked at first.

    Raises:
        OSError: EPERM, without CAP_SYS_ADMIN no answer is given.
        KernelLacks: No such system call.
    """
    flags = MOVE_MOUNT.F_EMPTY_PATH | MOVE_MOUNT.T_EMPTY_PATH | MOVE_MOUNT.BENEATH
    try:
        move_mount(-1, "", -1, "", flags)
    except OSError as error:
        if error.errno not in {errno.EBADF, errno.EINVAL}:
            raise
        return error.errno == errno.EBADF
    return True


def open_tree(dirfd: int, path: StrPath, flags: OPEN_TREE = OPEN_TREE(0)) -> int:  # noqa: B008 -- as above
    """Give an O_PATH descriptor of *path*, or with ``CLONE`` of a detached copy of its mount.

    open_tree(2), since 5.2.

    Raises:
        OSError: With *path* as its file name.
    """
    return check(_open_tree(dirfd, encode(path), flags | OPEN_TREE.CLOEXEC), path, call="open_tree")


def mount_setattr(
    dirfd: int,
    path: StrPath,
    flags: int = 0,
    *,
    attr_set: MOUNT_ATTR = MOUNT_ATTR(0),  # noqa: B008 -- an immutable constant
    attr_clr: MOUNT_ATTR = MOUNT_ATTR(0),  # noqa: B008 -- an immutable constant
    propagation: int = 0,
    userns_fd: int = 0,
) -> None:
    """Change the attributes of a mount.

    mount_setattr(2), since 5.12.

    Args:
        dirfd: Directory that *path* is relative to, or AT_FDCWD.
        path: The mount, empty with AT_EMPTY_PATH.
        flags: AT_EMPTY_PATH, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW.
        attr_set: Attributes to set.
        attr_clr: Attributes to clear.
        propagation: One of MS.PRIVATE, MS.SHARED, MS.SLAVE, MS.UNBINDABLE, or 0.
        userns_fd: User namespace for ``MOUNT_ATTR.IDMAP``.

    Raises:
        OSError: With *path* as its file name.
    """
    attr = _MountAttr(attr_set, attr_clr, propagation, userns_fd)
    result = _mount_setattr(dirfd, encode(path), flags, ctypes.byref(attr), ctypes.sizeof(attr))
    check(result, path, call="mount_setattr")


def messages(fd: int) -> tuple[Message, ...]:
    """What the kernel has said about context *fd* since it was last asked, oldest first.

    One read(2) gives one message; ENODATA ends the list. The kernel keeps the last eight only.
    """
    found: list[Message] = []
    while True:
        try:
            raw = os.read(fd, _LONGEST_MESSAGE)
        except OSError as error:
            if error.errno == errno.ENODATA:
                return tuple(found)
            raise
        found.append(parse_message(raw))


def parse_message(raw: bytes) -> Message:
    """Take ``e overlay: text`` apart, the form logfc() in fs/fs_context.c gives every message."""
    text = os.fsdecode(raw).rstrip("\n")
    level, _, rest = text.partition(" ")
    if level not in {known.value for known in Level}:
        return Message(level=Level.INFO, origin="", text=text)
    origin, colon, said = rest.partition(": ")
    if not colon or " " in origin:
        return Message(level=Level(level), origin="", text=rest)
    return Message(level=Level(level), origin=origin, text=said)
