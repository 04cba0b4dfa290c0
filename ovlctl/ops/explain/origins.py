"""Which object of a lower gives an object of the upper its inode number, and whether a mount finds it again."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.kernel.backing import RealObject, status_of
from ovlctl.kernel.bootcache import Answer
from ovlctl.ops.explain.looks import named
from ovlctl.ops.explain.terms import Because
from ovlctl.overlay.layers import Role
from ovlctl.overlay.marks import Mark, decode_handle
from ovlctl.overlay.resolution import Rule, Verdict
from ovlctl.overlay.tree import Attributes, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.ops.explain.file_systems import FileSystems
    from ovlctl.ops.explain.values import LayerLook
    from ovlctl.ops.reading import View
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.marks import HandleRecord
    from ovlctl.overlay.resolution import Resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class Below:
    """The lower's object behind an object of the upper.

    Attributes:
        layer: Any layer of its file system.
        attributes: Its own.
        by_path: Whether it is found by its path, and so by every mount; else by the mark ``origin``.
        indexed: Whether the index ties both together.
    """

    layer: Layer
    attributes: Attributes
    by_path: bool
    indexed: bool = False


_PARTS = {Verdict.PROVIDES, Verdict.MERGED, Verdict.DATA, Verdict.METADATA_ONLY}


def below(view: View, found: Resolution, looks: Sequence[LayerLook]) -> Below | None:
    """What the kernel holds as the lower of *found*, which the upper provides; None where there is none to be found.

    Source: ovl_lookup() in fs/overlayfs/namei.c, and ovl_check_origin_fh().
    """
    part = next(
        (
            look.candidate
            for look in looks
            if look.candidate.verdict in _PARTS and look.candidate.place.layer.role is not Role.UPPER
        ),
        None,
    )
    top = looks[0].marks if looks else None
    indexed = found.rule is Rule.INDEXED or _is_indexed(view, found, None if top is None else top.origin_raw)
    if part is not None and part.attributes is not None:
        return Below(layer=part.place.layer, attributes=part.attributes, by_path=True, indexed=indexed)
    if found.kind is Kind.DIRECTORY or top is None or top.origin is None:
        return None
    origin = _opened(view, top.origin)
    return None if origin is None else Below(layer=origin[0], attributes=origin[1], by_path=False, indexed=indexed)


def _is_indexed(view: View, found: Resolution, origin: bytes | None) -> bool:
    # Whether the index has the upper's object under the handle of the lower's: itself, or of a directory its handle.
    index = view.layers.index
    if index is None or not origin or found.attributes is None:
        return False
    name = origin.hex()
    try:
        entry = index.tree.lstat(name)
        if entry is not None and entry.kind is Kind.DIRECTORY:
            value = index.tree.xattr(name, view.subject.following.prefix + Mark.UPPER)
            record = None if value is None else decode_handle(value)
            return record is not None and named(record, found.stack[:1]) is not None
    except OSError:
        return False
    return entry is not None and (entry.dev, entry.ino) == (found.attributes.dev, found.attributes.ino)


def _opened(view: View, record: HandleRecord) -> tuple[Layer, Attributes] | None:
    # Once per file system would do; layers of one file system give the same answer at once.
    real = RealObject(upper=False, fs_uuid=record.uuid, type=record.type, handle=record.handle)
    tried: set[int] = set()
    for layer in view.layers.lowers:
        root = layer.tree.lstat("")
        if root is None or root.dev in tried:
            continue
        tried.add(root.dev)
        status = None
        with suppress(OSError):
            status = status_of(real, layer.directory)
        if status is not None:
            return layer, Attributes.of(status)
    return None


def lost(view: View, layer: Layer, kind: Kind, file_systems: FileSystems) -> tuple[Answer, Because]:
    """Whether the next mount would fail to find what was copied up from *layer* by its mark, and why."""
    overlay = view.subject.overlay
    # Of directories that nobody mounted: as it would be if this user did.
    rootless = not view.layers.lowers[0].tree.trusted if overlay is None else overlay.rootless
    if rootless:
        # ovl_decode_real_fh() asks for CAP_DAC_READ_SEARCH in the initial user namespace.
        return Answer.YES, Because.NO_RIGHT_TO_HANDLES
    if view.subject.following.prefix.startswith("user.") and kind not in {Kind.FILE, Kind.DIRECTORY}:
        return Answer.YES, Because.NO_MARK_POSSIBLE
    return file_systems.origin_lost(layer)
