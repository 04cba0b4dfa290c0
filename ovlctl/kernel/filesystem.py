"""The file system a path lies on, and the room left there."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.kernel.libc import StrPath, check, encode, function
from ovlctl.kernel.mounts import mount_at

if TYPE_CHECKING:
    from ovlctl.kernel.mounts import Mount

_STATFS_SIZE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Filesystem:
    """The file system of a path.

    Attributes:
        name: Its type as the mount table has it, such as ``"ext4"``.
        magic: Its type as statfs(2) has it (linux/magic.h).
        dev: st_dev of the path; on btrfs each subvolume has its own.
        mount: The mount the path lies on.
    """

    name: str
    magic: int
    dev: int
    mount: Mount


_statfs = function("statfs", ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p)


def filesystem_of(path: StrPath) -> Filesystem:
    """The file system that *path* lies on; its last symbolic link is followed.

    Raises:
        OSError: *path* cannot be reached.
    """
    mount = mount_at(path)
    return Filesystem(name=mount.fs_type, magic=statfs_magic(path), dev=os.stat(path).st_dev, mount=mount)


def statfs_magic(path: StrPath) -> int:
    """Give f_type of statfs(2), which os.statvfs() leaves out.

    Raises:
        OSError: *path* cannot be reached.
    """
    buffer = ctypes.create_string_buffer(_STATFS_SIZE)
    check(_statfs(encode(path), buffer), path)
    # The first member, a long everywhere but on s390. Magic numbers have 32 bits; some have the top one set.
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF


def free_bytes(path: StrPath) -> int:
    """Bytes that an ordinary user may still write to the file system of *path*: statvfs f_bavail.

    Raises:
        OSError: *path* cannot be reached.
    """
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def free_inodes(path: StrPath) -> int | None:
    """Files that may still be made there; None where the file system makes inodes as it needs them (btrfs).

    Raises:
        OSError: *path* cannot be reached.
    """
    status = os.statvfs(path)
    return status.f_favail if status.f_files else None
