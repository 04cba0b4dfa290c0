"""Which object of a layer backs an object of an overlay, in the kernel's own words.

name_to_handle_at(2) with AT_HANDLE_FID gives, for what lies on an overlay, the record that overlayfs itself keeps as
``overlay.origin``: the file handle of the real object, and the uuid of its file system (struct ovl_fb in
fs/overlayfs/overlayfs.h). Seen on 6.18 to work through the links of /proc as well, and on overlays that are in no mount
table any more.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from dataclasses import dataclass

from ovlctl.kernel.handles import name_to_handle_at, open_by_handle_at

_OVL_FILEID_V1 = 0xF8
# Three bytes that align the handle, then version, magic, length of the record, flags, type of the handle, uuid.
_RECORD = struct.Struct("=3xBBBBB16s")
_MAGIC = 0xFB
_FLAG_UPPER = 4

_FS_IOC_GETFSUUID = 0x80111500
_UUID_SIZE = 16
_NO_UUID = bytes(_UUID_SIZE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RealObject:
    """An object of a layer.

    Attributes:
        upper: Whether it lies in the upper and has no origin below.
        fs_uuid: Uuid of its file system; zero where that has none, or with uuid=off.
        type: Type of the handle.
        handle: Its file handle.
    """

    upper: bool
    fs_uuid: bytes
    type: int
    handle: bytes


def real_object(path: str) -> RealObject | None:
    """What backs *path*, whose last link is followed; None when that is on no overlay, or a layer has no handles.

    Raises:
        OSError: It cannot be reached, or the kernel gives no such handles (before 6.6).
    """
    found = name_to_handle_at(path, fid=True, follow=True)
    if found.type != _OVL_FILEID_V1 or len(found.handle) < _RECORD.size:
        return None
    _, magic, length, flags, kind, uuid = _RECORD.unpack_from(found.handle)
    if magic != _MAGIC:
        return None
    # The length is that of the record, without the three bytes before it.
    return RealObject(
        upper=bool(flags & _FLAG_UPPER), fs_uuid=uuid, type=kind, handle=found.handle[_RECORD.size : 3 + length]
    )


def path_of(real: RealObject, directory: str) -> str | None:
    """Where *real* is, as seen on the mount that *directory* lies on; None when it is on another file system.

    A deleted object, and one that the kernel has no name for at hand, get a path that leads nowhere. Needs
    CAP_DAC_READ_SEARCH in the initial user namespace.

    Raises:
        OSError: *directory* cannot be opened; EPERM.
    """
    fd = _found(real, directory)
    if fd is None:
        return None
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def status_of(real: RealObject, directory: str) -> os.stat_result | None:
    """What stat(2) says of *real*; None when it is gone, or on another file system than *directory*.

    Raises:
        OSError: As for :func:`path_of`.
    """
    fd = _found(real, directory)
    if fd is None:
        return None
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def _found(real: RealObject, directory: str) -> int | None:
    mount_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if real.fs_uuid not in {fs_uuid(mount_fd) or real.fs_uuid, _NO_UUID}:
            return None
        return _opened(mount_fd, real)
    finally:
        os.close(mount_fd)


def _opened(mount_fd: int, real: RealObject) -> int | None:
    try:
        return open_by_handle_at(mount_fd, real.type, real.handle)
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
        return None  # no such object here


def fs_uuid(fd: int) -> bytes | None:
    """The uuid of the file system of *fd*, as overlayfs compares it; None when nobody tells.

    FS_IOC_GETFSUUID, since 6.9. btrfs has one and does not answer; nor does what has none, such as squashfs.
    """
    answer = bytearray(1 + _UUID_SIZE)
    try:
        fcntl.ioctl(fd, _FS_IOC_GETFSUUID, answer)
    except OSError:
        return None
    return bytes(answer[1:]) if answer[0] == _UUID_SIZE else None
