"""The marks that overlayfs keeps on disk, decoded.

Source: fs/overlayfs/overlayfs.h (struct ovl_fh, struct ovl_fb, struct ovl_metacopy), namei.c and util.c.
"""

from __future__ import annotations

import os
import struct
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovlctl.kernel.handles import FileHandle

_VERSION = 0
_MAGIC = 0xFB
_FLAGS_END = 8
_HEADER = struct.Struct("=BBBBB16s")
_METACOPY_HEADER = struct.Struct("=BBBB")


class Prefix(StrEnum):
    """Where a mount keeps its marks: depends on the option userxattr."""

    TRUSTED = "trusted.overlay."
    USER = "user.overlay."


class Mark(StrEnum):
    """Names of marks, without their prefix."""

    ORIGIN = "origin"
    UPPER = "upper"
    OPAQUE = "opaque"
    REDIRECT = "redirect"
    METACOPY = "metacopy"
    WHITEOUT = "whiteout"
    IMPURE = "impure"
    NLINK = "nlink"
    UUID = "uuid"
    PROTATTR = "protattr"


#: What stands after the prefix of a mark that belongs to an overlay mounted on top of this one: one per level.
ESCAPE = "overlay."


class Whiteout(StrEnum):
    """The two ways to say that a name is gone."""

    DEVICE = "device"
    XATTR = "xattr"


class Opaque(StrEnum):
    """What the mark ``opaque`` says of a directory.

    ``YES`` (``y``) hides the lower directories, ``WHITEOUTS`` (``x``) says that empty files with the mark ``whiteout``
    are in it, and ``IGNORED`` is any other value, which the kernel takes for nothing.
    """

    YES = "y"
    WHITEOUTS = "x"
    IGNORED = "ignored"


class RedirectForm(StrEnum):
    """How a redirect is written."""

    RELATIVE = "relative"
    ABSOLUTE = "absolute"
    INVALID = "invalid"


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

    def stands_for(self, handle: FileHandle | None) -> bool:
        """Whether it is that of the object with *handle*; the file system's UUID is not compared."""
        return handle is not None and (self.type, self.handle) == (handle.type, handle.handle)

    @property
    def usable(self) -> bool:
        """Whether a kernel of this byte order, which knows no other flags, takes it for more than unknown."""
        return self.flags < _FLAGS_END and bool(self.flags & 2 or bool(self.flags & 1) is (sys.byteorder == "big"))


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where the layers below have what this object was renamed from.

    Attributes:
        form: INVALID is EINVAL for whoever looks the name up.
        target: A name in the same directory, or a path from the overlay's root with a leading ``/``.
    """

    form: RedirectForm
    target: str


@dataclass(frozen=True, slots=True)
class Metacopy:
    """The file has metadata only; its data are below.

    Attributes:
        valid: False for a value of one to three bytes, which is EIO on lookup.
        algorithm: fs-verity's number of the digest's algorithm; 0 for no digest.
        digest: The fs-verity digest the data must have; empty for none.
    """

    valid: bool = True
    algorithm: int = 0
    digest: bytes = b""


def decode_handle(value: bytes) -> HandleRecord | None:
    """Read a handle record; None for the empty value (the lower had no handles) and for anything malformed.

    What stands behind the length that a record gives itself does not count: ovl_check_fb_len().
    """
    if len(value) < _HEADER.size:
        return None
    version, magic, length, flags, kind, uuid = _HEADER.unpack_from(value)
    if (version, magic) != (_VERSION, _MAGIC) or not _HEADER.size <= length <= len(value):
        return None
    return HandleRecord(flags, kind, uuid, value[_HEADER.size : length])


def known_record(value: bytes | None) -> HandleRecord | None:
    """The record in the *value* of a mark, where the kernel takes it for more than unknown; else None."""
    record = None if value is None else decode_handle(value)
    return record if record is not None and record.usable else None


def decode_index_name(name: str) -> HandleRecord | None:
    """Read the name of an index entry, a handle record in hex; None for any other name (such as ``#12``)."""
    try:
        return decode_handle(bytes.fromhex(name))
    except ValueError:
        return None


def decode_redirect(value: bytes) -> Redirect:
    """Read a redirect as ovl_get_redirect_xattr() does.

    The kernel takes the value as a C string: what stands after a NUL byte is not there.
    """
    absolute = value.startswith(b"/")
    target, form = value.partition(b"\0")[0], RedirectForm.ABSOLUTE if absolute else RedirectForm.RELATIVE
    empty_component = absolute and b"" in target[1:].split(b"/")
    if not value or empty_component or (not absolute and b"/" in target):
        form = RedirectForm.INVALID
    return Redirect(form, os.fsdecode(target))


def decode_metacopy(value: bytes) -> Metacopy:
    """Read the mark of a metadata-only file."""
    if not value:
        return Metacopy()
    if len(value) < _METACOPY_HEADER.size:
        return Metacopy(valid=False)
    _version, _length, _flags, algorithm = _METACOPY_HEADER.unpack_from(value)
    return Metacopy(algorithm=algorithm, digest=value[_METACOPY_HEADER.size :])


def decode_opaque(value: bytes) -> Opaque:
    """Read the mark ``opaque``; only the single byte counts, ``yes`` is as good as nothing."""
    return {b"y": Opaque.YES, b"x": Opaque.WHITEOUTS}.get(value, Opaque.IGNORED)
