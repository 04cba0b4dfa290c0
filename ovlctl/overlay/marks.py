"""The marks that overlayfs keeps in extended attributes, as far as a mount has to know them.

Source: fs/overlayfs/overlayfs.h (struct ovl_fh, struct ovl_fb) and namei.c.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum

_VERSION = 0
_MAGIC = 0xFB
_HEADER = struct.Struct("=BBBBB16s")


class Prefix(StrEnum):
    """Where a mount keeps its marks: depends on the option userxattr."""

    TRUSTED = "trusted.overlay."
    USER = "user.overlay."


class Mark(StrEnum):
    """Names of marks, without their prefix."""

    ORIGIN = "origin"
    UPPER = "upper"


@dataclass(frozen=True, slots=True)
class HandleRecord:
    """A file handle as ``origin``, ``upper`` and index names keep it.

    Attributes:
        flags: 1 big endian, 2 any endian, 4 the handle is one of the upper.
        type: The file system's handle type, as name_to_handle_at(2) returns it.
        uuid: The file system's UUID, 16 bytes; zero with uuid=off.
        handle: The handle's own bytes.
    """

    flags: int
    type: int
    uuid: bytes
    handle: bytes


def decode_handle(value: bytes) -> HandleRecord | None:
    """Read a handle record; None for the empty value (the lower had no handles) and for anything malformed."""
    if len(value) < _HEADER.size:
        return None
    version, magic, length, flags, kind, uuid = _HEADER.unpack_from(value)
    if (version, magic, length) != (_VERSION, _MAGIC, len(value)):
        return None
    return HandleRecord(flags, kind, uuid, value[_HEADER.size :])
