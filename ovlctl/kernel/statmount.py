"""statmount(2) and listmount(2), since 6.8, and statx(2) for the ids they go by.

The structures are those of linux/mount.h. They grow: a field is there only if its bit came back in ``mask``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from dataclasses import dataclass
from enum import IntFlag

from ovlctl.errors import KernelLacks
from ovlctl.kernel import libc
from ovlctl.kernel.libc import FdOrPath, check, encode, function, syscall
from ovlctl.kernel.mount_attr import MOUNT_ATTR
from ovlctl.kernel.mountinfo import split_options

LSMT_ROOT = 0xFFFFFFFFFFFFFFFF
"""Stands for the root mount of the namespace in :func:`listmount`."""

SB_RDONLY = 1


class STATMOUNT(IntFlag):
    """What to ask and what came back, linux/mount.h."""

    SB_BASIC = 0x0001
    MNT_BASIC = 0x0002
    PROPAGATE_FROM = 0x0004
    MNT_ROOT = 0x0008
    MNT_POINT = 0x0010
    FS_TYPE = 0x0020
    MNT_NS_ID = 0x0040
    MNT_OPTS = 0x0080
    FS_SUBTYPE = 0x0100
    SB_SOURCE = 0x0200
    OPT_ARRAY = 0x0400
    OPT_SEC_ARRAY = 0x0800
    SUPPORTED_MASK = 0x1000


_EVERYTHING = (
    STATMOUNT.SB_BASIC
    | STATMOUNT.MNT_BASIC
    | STATMOUNT.MNT_ROOT
    | STATMOUNT.MNT_POINT
    | STATMOUNT.FS_TYPE
    | STATMOUNT.FS_SUBTYPE
    | STATMOUNT.SB_SOURCE
    | STATMOUNT.OPT_ARRAY
    | STATMOUNT.SUPPORTED_MASK
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statmount:
    """What statmount(2) says about one mount. None stands for what this kernel does not tell.

    Attributes:
        mask: The bits of what came back.
        supported: The bits this kernel knows at all (since 6.15).
        mnt_id: Unique id, never used again.
        mnt_parent_id: Unique id of the parent; its own at the top.
        mnt_id_old: Id of the mount in mountinfo.
        mnt_parent_id_old: Id of the parent in mountinfo.
        sb_dev: Major and minor number of the superblock.
        sb_magic: statfs f_type.
        sb_flags: Flags of the superblock (:data:`SB_RDONLY`).
        mnt_attr: Attributes of the mount.
        mnt_root: Which part of the file system the mount shows.
        mnt_point: Where, seen from the root directory of this process.
        fs_type: File system type, with its subtype (``"fuse.sshfs"``).
        sb_source: What the mounter gave as the source (since 6.13; an empty one looks like none told).
        options: Options of the file system, decoded once, without ``rw`` and its like.
    """

    mask: STATMOUNT
    supported: STATMOUNT | None
    mnt_id: int
    mnt_parent_id: int
    mnt_id_old: int
    mnt_parent_id_old: int
    sb_dev: tuple[int, int]
    sb_magic: int
    sb_flags: int
    mnt_attr: MOUNT_ATTR
    mnt_root: str
    mnt_point: str
    fs_type: str
    sb_source: str | None
    options: tuple[str, ...]


# struct mnt_id_req: size, spare, mnt_id, param, mnt_ns_id. The last came with 6.11 and is sent only when wanted.
_MNT_ID_REQ_VER0 = struct.Struct("=IIQQ")
_MNT_ID_REQ_VER1 = struct.Struct("=IIQQQ")

# struct statmount, in header order: size, mnt_opts, mask, sb_dev_major, sb_dev_minor, sb_magic, sb_flags, fs_type,
# mnt_id, mnt_parent_id, mnt_id_old, mnt_parent_id_old, mnt_attr, mnt_propagation, mnt_peer_group, mnt_master,
# propagate_from, mnt_root, mnt_point, mnt_ns_id, fs_subtype, sb_source, opt_num, opt_array, opt_sec_num,
# opt_sec_array, supported_mask. Strings are offsets into what follows the first 512 bytes.
_STATMOUNT = struct.Struct("=IIQIIQIIQQIIQQQQQIIQIIIIIIQ")
_STRINGS = 512

_statmount = syscall(457, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint)
_listmount = syscall(458, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint)
_statx = function("statx", ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p)

_AT_STATX_DONT_SYNC = 0x4000
_STATX_MNT_ID = 0x1000
_STATX_MNT_ID_UNIQUE = 0x4000
_STATX_SIZE = 256
# Nothing about a path: statx(2) itself gives EPERM never, and EINVAL for no arguments of ours. The first comes from
# seccomp filters, the second from the C library, whose stand-in for a missing statx(2) takes no flags.
_STATX_REFUSED = {errno.EPERM, errno.EINVAL}
_STX_MASK_AT = 0
_STX_MNT_ID_AT = 144

_PAGE = 512


def mnt_id_unique(path_or_fd: FdOrPath) -> int:
    """Give the unique id of the mount that a path lies on.

    statx(2) with STATX_MNT_ID_UNIQUE, since 6.8.

    Args:
        path_or_fd: A path, whose last symbolic link is followed, or a descriptor (O_PATH will do).

    Raises:
        KernelLacks: The kernel has no unique mount ids, or a sandbox refuses the call.
        OSError: The path cannot be reached.
    """
    mount_id = _statx_mnt_id(path_or_fd, _STATX_MNT_ID_UNIQUE)
    if mount_id is None:
        raise KernelLacks("this kernel has no unique mount ids (statx(2) STATX_MNT_ID_UNIQUE, Linux 6.8)")
    return mount_id


def mnt_id(path_or_fd: FdOrPath) -> int:
    """Give the mountinfo id of the mount that a path lies on; no other mount that is alive has it.

    statx(2) with STATX_MNT_ID, since 5.8. Does not wait for a server.

    Args:
        path_or_fd: As for :func:`mnt_id_unique`.

    Raises:
        KernelLacks, OSError: As for :func:`mnt_id_unique`.
    """
    mount_id = _statx_mnt_id(path_or_fd, _STATX_MNT_ID)
    if mount_id is None:
        raise KernelLacks("statx(2) of this kernel does not tell mount ids (STATX_MNT_ID, Linux 5.8)")
    return mount_id


def _statx_mnt_id(path_or_fd: FdOrPath, wanted: int) -> int | None:
    buffer = ctypes.create_string_buffer(_STATX_SIZE)
    if isinstance(path_or_fd, int):
        where, raw, flags = path_or_fd, b"", libc.AT_EMPTY_PATH | _AT_STATX_DONT_SYNC
    else:
        where, raw, flags = libc.AT_FDCWD, encode(path_or_fd), _AT_STATX_DONT_SYNC
    try:
        check(_statx(where, raw, flags, wanted, buffer), path_or_fd, call="statx")
    except OSError as error:
        if error.errno in _STATX_REFUSED:
            raise KernelLacks("a sandbox hides statx(2)", errno=error.errno) from error
        raise
    (mask,) = struct.unpack_from("=I", buffer, _STX_MASK_AT)
    (found,) = struct.unpack_from("=Q", buffer, _STX_MNT_ID_AT)
    return int(found) if mask & wanted else None


def listmount(mnt_id: int = LSMT_ROOT, *, mnt_ns_id: int = 0) -> list[int]:
    """Give the unique ids of the mounts below *mnt_id*, oldest first, as far as this process can reach them.

    listmount(2), since 6.8.

    Args:
        mnt_id: Unique id of a mount; LSMT_ROOT for the whole namespace.
        mnt_ns_id: Another mount namespace by its 64-bit id (since 6.11); 0 for the own one.

    Raises:
        KernelLacks: No such system call.
        OSError: ENOENT, no such mount; EPERM, it cannot be reached.
    """
    found: list[int] = []
    page = (ctypes.c_uint64 * _PAGE)()
    while True:
        request = _request(mnt_id, found[-1] if found else 0, mnt_ns_id)
        count = check(_listmount(request, page, _PAGE, 0), call="listmount")
        found += page[:count]
        if count < _PAGE:
            return found


def statmount(mnt_id: int, *, mnt_ns_id: int = 0) -> Statmount:
    """Ask for everything about one mount.

    statmount(2), since 6.8; the option array since 6.13, before that the options come from the escaped string
    (STATMOUNT_MNT_OPTS, since 6.11); even older kernels tell none.

    Args:
        mnt_id: Unique id of the mount.
        mnt_ns_id: As for :func:`listmount`.

    Raises:
        KernelLacks: No such system call.
        OSError: ENOENT, the mount is gone; EPERM, it cannot be reached from the root directory.
    """
    answer = _ask(mnt_id, _EVERYTHING, mnt_ns_id)
    mask = answer.fields[2]
    if mask & STATMOUNT.OPT_ARRAY:
        return _value(answer, answer.array())
    if mask & STATMOUNT.SUPPORTED_MASK:
        # A string or an array that would be empty does not come back at all.
        return _value(answer, ())
    older = _ask(mnt_id, _EVERYTHING | STATMOUNT.MNT_OPTS, mnt_ns_id)
    return _value(older, split_options(older.raw(1)) if older.fields[2] & STATMOUNT.MNT_OPTS else ())


def fs_type(mnt_id: int, *, mnt_ns_id: int = 0) -> str:
    """Only the type of a mount's file system, for a fifth of the cost of :func:`statmount`.

    Args:
        mnt_id: Unique id of the mount.
        mnt_ns_id: As for :func:`listmount`.

    Raises:
        KernelLacks, OSError: as for :func:`statmount`.
    """
    answer = _ask(mnt_id, STATMOUNT.FS_TYPE | STATMOUNT.FS_SUBTYPE, mnt_ns_id)
    return answer.text(7) + (f".{answer.text(20)}" if answer.fields[2] & STATMOUNT.FS_SUBTYPE else "")


class _Answer:
    """The buffer of statmount(2), taken apart on demand."""

    def __init__(self, buffer: bytes) -> None:
        self.buffer = buffer
        self.fields: tuple[int, ...] = _STATMOUNT.unpack_from(buffer)

    def raw(self, field: int) -> bytes:
        start = _STRINGS + self.fields[field]
        return self.buffer[start : self.buffer.index(b"\0", start)]

    def text(self, field: int) -> str:
        return os.fsdecode(self.raw(field))

    def array(self) -> tuple[str, ...]:
        # opt_num strings, each with its NUL; the kernel has split at commas and undone its own escapes already.
        start = _STRINGS + self.fields[23]
        return tuple(map(os.fsdecode, self.buffer[start:].split(b"\0", self.fields[22])[: self.fields[22]]))


def _request(mnt_id: int, param: int, mnt_ns_id: int) -> bytes:
    if mnt_ns_id:
        return _MNT_ID_REQ_VER1.pack(_MNT_ID_REQ_VER1.size, 0, mnt_id, param, mnt_ns_id)
    return _MNT_ID_REQ_VER0.pack(_MNT_ID_REQ_VER0.size, 0, mnt_id, param)


def _ask(mnt_id: int, mask: int, mnt_ns_id: int) -> _Answer:
    size = 4096
    request = _request(mnt_id, mask, mnt_ns_id)
    while True:
        buffer = ctypes.create_string_buffer(size)
        try:
            check(_statmount(request, buffer, size, 0), call="statmount")
        except OSError as error:
            # EOVERFLOW: too small. 500 lowers of long names make some 90 KiB.
            if error.errno != errno.EOVERFLOW:
                raise
            size *= 2
            continue
        return _Answer(buffer.raw)


def _value(answer: _Answer, options: tuple[str, ...]) -> Statmount:
    fields = answer.fields
    mask = STATMOUNT(fields[2])
    subtype = f".{answer.text(20)}" if mask & STATMOUNT.FS_SUBTYPE else ""
    return Statmount(
        mask=mask,
        supported=STATMOUNT(fields[26]) if mask & STATMOUNT.SUPPORTED_MASK else None,
        mnt_id=fields[8],
        mnt_parent_id=fields[9],
        mnt_id_old=fields[10],
        mnt_parent_id_old=fields[11],
        sb_dev=(fields[3], fields[4]),
        sb_magic=fields[5],
        sb_flags=fields[6],
        mnt_attr=MOUNT_ATTR(fields[12]),
        mnt_root=answer.text(17),
        mnt_point=answer.text(18),
        fs_type=answer.text(7) + subtype,
        sb_source=answer.text(21) if mask & STATMOUNT.SB_SOURCE else None,
        options=options,
    )
