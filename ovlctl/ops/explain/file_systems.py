"""The file systems that the layers of a stack lie on, as overlayfs counts them.

One superblock is one file system: btrfs subvolumes count as one although their st_dev differ. Source: ovl_get_layers(),
ovl_get_fsid() and ovl_lower_uuid_ok() in fs/overlayfs/super.c.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ovlctl.kernel import mounts
from ovlctl.kernel.backing import fs_uuid
from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.handles import openable
from ovlctl.ops.explain.terms import Because
from ovlctl.overlay.options import RedirectDir, Switch, Xino
from ovlctl.overlay.tree import ARCHIVE

if TYPE_CHECKING:
    from ovlctl.ops.reading import View
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.options import Options

# FILEID_INO32_GEN with nothing but a number and a generation: what generic_encode_ino32_fh() makes.
_SHORT_HANDLE = (1, 8)
_HAS_UUID = frozenset({"btrfs", "bcachefs"})
_HAS_NONE = frozenset({"squashfs", "cramfs", "romfs", "iso9660", "vfat", "exfat"})
_NO_UUID = bytes(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSystem:
    """One superblock.

    Attributes:
        dev: Its major and minor number.
        kind: Its type.
        handles: Whether the kernel can open objects by their file handles.
        uuid: Its uuid; zero for none; None where nobody tells.
        short_numbers: Whether its inode numbers have 32 bits.
    """

    dev: tuple[int, int]
    kind: str
    handles: Answer
    uuid: bytes | None
    short_numbers: bool


class FileSystems:
    """Those of one stack; each is asked once."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._by_device: dict[int, FileSystem | None] = {}

    def of(self, layer: Layer) -> FileSystem | None:
        """The file system of *layer*; None when it cannot be told."""
        root = layer.tree.lstat("")
        if root is None or root.dev == ARCHIVE:
            return None
        if root.dev not in self._by_device:
            self._by_device[root.dev] = _look(layer, (root.dev, root.ino))
        return self._by_device[root.dev]

    @cached_property
    def _numbered(self) -> tuple[FileSystem | None, ...] | None:
        # In the order in which the kernel numbers them; the first is the upper's, or nobody's.
        layers = self._view.layers
        found: list[FileSystem | None] = [None if layers.upper is None else self.of(layers.upper)]
        if layers.upper is not None and found[0] is None:
            return None
        for layer in (*layers.lowers, *layers.data):
            each = self.of(layer)
            if each is None:
                return None
            if each.dev not in {known.dev for known in found if known is not None}:
                found.append(each)
        return tuple(found)

    @cached_property
    def one(self) -> bool | None:
        """Whether all layers are on one file system; None when not all can be told."""
        return None if self._numbered is None else len([each for each in self._numbered if each is not None]) == 1

    def number(self, file_system: FileSystem) -> int:
        """Its number within the overlay: 0 for the upper's, which also lowers on it have."""
        return 0 if self._numbered is None else self._numbered.index(file_system)

    @cached_property
    def xino(self) -> bool:
        """Whether numbers of several file systems are made unique."""
        asked = self._view.subject.options.xino
        return self.one is False and (asked is Xino.ON or (asked is Xino.AUTO and not self._falls_back))

    @cached_property
    def index(self) -> bool:
        """Whether the names of a hard link are kept together."""
        return self._view.subject.options.index is Switch.ON and not self._falls_back

    @property
    def _falls_back(self) -> bool:
        # What a mount would drop; of one that is there the options are the effective ones.
        if self._view.subject.mount is not None or self._view.layers.upper is None:
            return False
        return any(self._lost(each)[0] is Answer.YES for each in (self._numbered or ())[1:] if each is not None)

    @property
    def xino_bits(self) -> int:
        """How many high bits tell one file system from another where :attr:`xino` is true."""
        numbered = self._numbered or ()
        if all(each is None or each.short_numbers for each in numbered):
            return 32
        return (len(numbered) - 1).bit_length() - 1 + 2

    def origin_lost(self, layer: Layer) -> tuple[Answer, Because]:
        """Whether a mount would fail to find again what was copied up from *layer*, and why."""
        found = self.of(layer)
        return (Answer.UNKNOWN, Because.FILE_SYSTEM_UNKNOWN) if found is None else self._lost(found)

    def _lost(self, found: FileSystem) -> tuple[Answer, Because]:
        if found.handles is not Answer.YES:
            lost = Answer.YES if found.handles is Answer.NO else Answer.UNKNOWN
            return lost, Because.NO_HANDLES
        return self._uuid_lost(found)

    def _uuid_lost(self, found: FileSystem) -> tuple[Answer, Because]:
        if self.number(found) == 0:
            return Answer.NO, Because.ORIGIN
        if found.uuid is None:
            known = found.kind in _HAS_UUID
            return (Answer.NO, Because.ORIGIN) if known else (Answer.UNKNOWN, Because.NO_UUID)
        if not any(found.uuid) and _allows_offline_changes(self._view.subject.options):
            return Answer.YES, Because.NO_UUID
        same = [each for each in (self._numbered or ())[1:] if each is not None and each.uuid == found.uuid]
        return (Answer.YES, Because.SAME_UUID) if len(same) > 1 else (Answer.NO, Because.ORIGIN)


def _look(layer: Layer, identity: tuple[int, int]) -> FileSystem | None:
    try:
        fd = os.open(layer.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        there = os.fstat(fd)
        if (there.st_dev, there.st_ino) != identity:
            return None  # another directory by now
        mount = mounts.mount_at(fd)
        handle = layer.tree.handle("")
        return FileSystem(
            dev=mount.dev,
            kind=mount.fs_type,
            handles=openable(layer.directory),
            uuid=_uuid(fd, mount.fs_type),
            short_numbers=handle is not None and (handle.type, len(handle.handle)) == _SHORT_HANDLE,
        )
    except OSError:
        return None
    finally:
        os.close(fd)


def _uuid(fd: int, kind: str) -> bytes | None:
    try:
        readable = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return _NO_UUID if kind in _HAS_NONE else None
    try:
        return fs_uuid(readable) or (_NO_UUID if kind in _HAS_NONE else None)
    finally:
        os.close(readable)


def _allows_offline_changes(options: Options) -> bool:
    # ovl_allow_offline_changes() in fs/overlayfs/ovl_entry.h.
    return (
        options.index is not Switch.ON
        and options.metacopy is not Switch.ON
        and options.redirect_dir is not RedirectDir.ON
        and options.xino is not Xino.ON
    )
