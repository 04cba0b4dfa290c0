r"""/proc/PID/mountinfo, every byte of it: proc_pid_mountinfo(5), show_mountinfo() in fs/proc_namespace.c.

The kernel writes fields between single spaces and replaces the bytes that would be taken for something else by
three octal digits: space, tab, newline, backslash, in options the comma too (``\054``), in the source the ``#``.
So the options are split at commas first and decoded after, each once. A decoded option may still hold escapes of
overlayfs (``lowerdir=a\:b``); those are not this module's business.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class MountInfo:
    """One line of mountinfo.

    Attributes:
        mount_id: Id of the mount, reused after it is gone.
        parent_id: Id of the mount it lies on, or its own at the top.
        dev: Major and minor number of the superblock, st_dev of (most) files on it.
        root: Which part of the file system the mount shows.
        mount_point: Where, seen from the root directory of the process.
        mount_options: Options of the mount, such as ``("ro", "relatime")``.
        propagation: Tags such as ``"shared:1"`` and ``"master:2"``; empty for a private mount.
        fs_type: File system type, with its subtype (``"fuse.sshfs"``).
        source: What the mounter gave as the source, or ``"none"``.
        super_options: Options of the superblock, ``rw`` or ``ro`` first.
    """

    mount_id: int
    parent_id: int
    dev: tuple[int, int]
    root: str
    mount_point: str
    mount_options: tuple[str, ...]
    propagation: tuple[str, ...]
    fs_type: str
    source: str
    super_options: tuple[str, ...]


def decode(field: bytes) -> str:
    r"""Undo the octal escapes of one field.

    Law: ``decode(escape(name)) == name`` for every name without NUL, whatever set of bytes (with the backslash in
    it) the kernel escapes.
    """
    if b"\\" in field:
        field = _OCTAL.sub(lambda match: bytes((int(match[1], 8),)), field)
    return os.fsdecode(field)


def split_options(field: bytes) -> tuple[str, ...]:
    """The options of a comma-separated, escaped list, decoded."""
    return tuple(decode(option) for option in field.split(b",")) if field else ()


def parse(line: bytes) -> MountInfo:
    """One line of mountinfo, with or without its newline.

    Raises:
        ValueError: It is none.
    """
    # An empty source leaves two spaces in a row: fields end at single spaces, not at runs of white space.
    fields = line.rstrip(b"\n").split(b" ")
    try:
        dash = fields.index(b"-", 6)
        mount_id, parent_id, dev, root, mount_point, mount_options = fields[:6]
        fs_type, source, super_options = fields[dash + 1 :]
        major, _, minor = dev.partition(b":")
        return MountInfo(
            mount_id=int(mount_id),
            parent_id=int(parent_id),
            dev=(int(major), int(minor)),
            root=decode(root),
            mount_point=decode(mount_point),
            mount_options=split_options(mount_options),
            propagation=tuple(map(os.fsdecode, fields[6:dash])),
            fs_type=decode(fs_type),
            source=decode(source),
            super_options=split_options(super_options),
        )
    except ValueError as error:
        raise ValueError(f"not a line of mountinfo: {line!r}") from error


def read(pid: int | str = "self") -> list[MountInfo]:
    """The mounts of the namespace of *pid* that its root directory can reach, in the kernel's order.

    Raises:
        OSError: ENOENT or ESRCH, no such process; EINVAL, it is a zombie; EACCES.
    """
    return [parse(line) for line in read_raw(pid)]


def read_raw(pid: int | str = "self") -> list[bytes]:
    """The undecoded lines of :func:`read`, for callers that want few of them.

    Raises:
        OSError: As for :func:`read`.
    """
    with open(f"/proc/{pid}/mountinfo", "rb") as file:
        return file.read().splitlines()
