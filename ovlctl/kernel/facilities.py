"""What the kernel offers beside overlayfs, found out by calls that cannot succeed or by reading."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING

from ovlctl.errors import KernelLacks
from ovlctl.kernel import fscontext, libc, statmount
from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.fscontext import MOVE_MOUNT
from ovlctl.kernel.mount_attr import MOUNT_ATTR
from ovlctl.kernel.statmount import STATMOUNT

if TYPE_CHECKING:
    from collections.abc import Callable

_NO_FD = -1


def statmount_options() -> Answer:
    """Whether statmount(2) gives the options of a mount one by one (OPT_ARRAY, since 6.13; it says so since 6.15)."""
    try:
        told = statmount.statmount(statmount.mnt_id_unique("/"))
    except KernelLacks:
        return Answer.NO
    except OSError:
        return Answer.UNKNOWN
    if told.supported is None:
        return Answer.UNKNOWN
    return Answer.YES if STATMOUNT.OPT_ARRAY in told.supported else Answer.NO


def unique_mount_ids() -> Answer:
    """Whether mounts have ids that are never used again (since 6.8)."""
    try:
        statmount.mnt_id_unique("/")
    except KernelLacks:
        return Answer.NO
    except OSError:
        return Answer.UNKNOWN
    return Answer.YES


def mount_beneath() -> Answer:
    """Whether a mount can be put under another one (MOVE_MOUNT_BENEATH, since 6.5).

    Asked without descriptors: a kernel that knows the flag misses those. UNKNOWN to who may not mount.
    """
    flags = MOVE_MOUNT.BENEATH | MOVE_MOUNT.F_EMPTY_PATH | MOVE_MOUNT.T_EMPTY_PATH
    return _misses_descriptor(lambda: fscontext.move_mount(_NO_FD, "", _NO_FD, "", flags))


def mount_setattr() -> Answer:
    """Whether attributes of a mount can be changed, id maps included (since 5.12). UNKNOWN to who may not mount."""
    flags = libc.AT_EMPTY_PATH
    return _misses_descriptor(lambda: fscontext.mount_setattr(_NO_FD, "", flags, attr_set=MOUNT_ATTR.RDONLY))


def _misses_descriptor(attempt: Callable[[], None]) -> Answer:
    try:
        attempt()
    except KernelLacks:
        return Answer.NO
    except OSError as error:
        return {errno.EBADF: Answer.YES, errno.EINVAL: Answer.NO}.get(error.errno or 0, Answer.UNKNOWN)
    return Answer.YES


def readable(path: str) -> int:
    """0 when the device or file *path* can be opened for reading, else the errno; nothing is read."""
    return _openable(path, os.O_RDONLY)


def writable(path: str) -> int:
    """0 when the device or file *path* can be opened for reading and writing, else the errno; nothing is written."""
    return _openable(path, os.O_RDWR)


def _openable(path: str, access: int) -> int:
    try:
        os.close(os.open(path, access | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        return error.errno or errno.EIO
    return 0


_NETLINK_GENERIC = 16
_GENL_ID_CTRL = 16
_CTRL_CMD_GETFAMILY = 3
_CTRL_ATTR_FAMILY_NAME = 2
_NLM_F_REQUEST = 1
_NLMSG_ERROR = 2
_PATIENCE = 0.5


def taskstats() -> Answer:
    """Whether the kernel has task accounting: generic netlink is asked for the family TASKSTATS.

    Using it takes CAP_NET_ADMIN in the initial user namespace besides. Source: Documentation/accounting/taskstats.rst.
    """
    name = b"TASKSTATS\0"
    attribute = struct.pack("=HH", 4 + len(name), _CTRL_ATTR_FAMILY_NAME) + name + bytes(-len(name) % 4)
    body = struct.pack("=BBH", _CTRL_CMD_GETFAMILY, 1, 0) + attribute
    header = struct.pack("=IHHII", 16 + len(body), _GENL_ID_CTRL, _NLM_F_REQUEST, 1, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_GENERIC) as control:
            control.settimeout(_PATIENCE)
            control.sendto(header + body, (0, 0))
            reply = control.recv(8192)
    except OSError:
        return Answer.UNKNOWN
    (kind,) = struct.unpack_from("=4xH", reply)
    if kind != _NLMSG_ERROR:
        return Answer.YES
    (number,) = struct.unpack_from("=16xi", reply)
    return Answer.NO if number == -errno.ENOENT else Answer.UNKNOWN


def sysctl(name: str) -> str | None:
    """The setting /proc/sys/*name*, such as ``"kernel/dmesg_restrict"``; None where there is none to be read."""
    return first_line(f"/proc/sys/{name}")


def first_line(path: str) -> str | None:
    """The first line of a small file of the kernel's; None where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return os.fsdecode(file.readline(4096).rstrip(b"\n\0"))
    except OSError:
        return None


def program(name: str) -> str | None:
    """Where the program *name* is, on PATH or where administrators have theirs; None when it is not installed."""
    places = [*os.environ.get("PATH", os.defpath).split(os.pathsep), "/usr/local/sbin", "/usr/sbin", "/sbin"]
    found = (os.path.join(place, name) for place in places if os.path.isabs(place))
    return next((path for path in found if os.path.isfile(path) and os.access(path, os.X_OK)), None)
