"""mount(2) and umount2(2)."""

from __future__ import annotations

import ctypes
from enum import IntFlag

from ovlctl.errors import OptionsTooLong, literal
from ovlctl.kernel.libc import StrPath, check, encode, encode_or_none, function

MAX_DATA = 4095
"""Bytes of mount(2) data that arrive: the kernel copies one page and cuts the rest without a word."""


class MS(IntFlag):
    """Mount flags, linux/mount.h."""

    RDONLY = 1
    NOSUID = 2
    NODEV = 4
    NOEXEC = 8
    SYNCHRONOUS = 16
    REMOUNT = 32
    MANDLOCK = 64
    DIRSYNC = 128
    NOSYMFOLLOW = 256
    NOATIME = 1024
    NODIRATIME = 2048
    BIND = 4096
    MOVE = 8192
    REC = 16384
    SILENT = 32768
    POSIXACL = 1 << 16
    UNBINDABLE = 1 << 17
    PRIVATE = 1 << 18
    SLAVE = 1 << 19
    SHARED = 1 << 20
    RELATIME = 1 << 21
    STRICTATIME = 1 << 24
    LAZYTIME = 1 << 25


class MNT(IntFlag):
    """Flags of umount2(2)."""

    FORCE = 1
    DETACH = 2
    EXPIRE = 4
    UMOUNT_NOFOLLOW = 8


_mount = function(
    "mount", ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p
)
_umount2 = function("umount2", ctypes.c_int, ctypes.c_char_p, ctypes.c_int)


def mount(
    source: StrPath | None,
    target: StrPath,
    fstype: str | None,
    flags: MS = MS(0),  # noqa: B008 -- an immutable constant
    data: bytes | None = None,
) -> None:
    """Mount, bind, move or change the propagation of a mount.

    mount(2).

    Args:
        source: Device, directory or any word; None for the NULL pointer.
        target: The mount point.
        fstype: File system type; None where the kernel ignores it (bind, move, change of propagation).
        flags: What to do and the flags of the mount.
        data: Option string of the file system, as bytes, without the final NUL.

    Raises:
        OptionsTooLong: *data* is longer than :data:`MAX_DATA`; the call is not made.
        OSError: With *target* as its file name, and *source* as the second where it must be a path.
        ValueError: *data* or a name holds a NUL byte.
    """
    if data is not None:
        if len(data) > MAX_DATA:
            message = literal(
                f"{len(data)} bytes of mount options: mount(2) takes {MAX_DATA} and cuts the rest silently"
            )
            raise OptionsTooLong(message)
        if b"\0" in data:
            message = "null byte in mount options"
            raise ValueError(message)
    result = _mount(encode_or_none(source), encode(target), encode_or_none(fstype), flags, data)
    check(result, target, source if fstype is None else None)


def umount2(target: StrPath, flags: MNT = MNT(0)) -> None:  # noqa: B008 -- an immutable constant
    """Take the topmost mount at *target* away.

    umount2(2).

    Raises:
        OSError: With *target* as its file name; EBUSY while somebody uses the mount, EINVAL when it is none.
    """
    check(_umount2(encode(target), flags), target)
