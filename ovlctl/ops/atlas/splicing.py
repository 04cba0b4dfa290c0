"""What is below a row of an atlas replaced: a directory that was listed meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ovlctl.ops.atlas.atlas import Atlas, Covered, Flag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


def spliced(atlas: Atlas, row: int, part: Atlas) -> Atlas:
    """*atlas* with all that is below *row* replaced by what is below the root of *part*, which is that directory.

    What there is to say of the row itself stays, but for UNREAD and UNREADABLE, which *part* tells. Owner, mode and
    time of rows are not kept.

    Law: the result is the atlas of a scan that found the same below *row* as *part* has, and all else as *atlas* has.
    """
    start, end = row, int(atlas.ends[row])
    grown = len(part) - (end - start)
    parents, ends = np.asarray(atlas.parents).astype(np.int64), np.asarray(atlas.ends).astype(np.int64)
    # Rows behind the part move; directories around it grow.
    parents[end:][parents[end:] >= end] += grown
    ends[ends >= end] += grown
    offsets = np.asarray(atlas.offsets).astype(np.int64)
    own = bytes(atlas.names[offsets[start] : offsets[start + 1]])
    inner = bytes(part.names[part.offsets[1] :])
    added = np.asarray(part.offsets).astype(np.int64)[1:] - part.offsets[1] + offsets[start] + len(own)
    shifted = offsets[end:] + (added[-1] - offsets[end])
    part_parents = np.asarray(part.parents).astype(np.int64) + start
    part_parents[0] = atlas.parents[row]

    def joined(name: str, more: int = 0) -> memoryview[int]:
        whole = np.asarray(getattr(atlas, name))
        return _column((whole[: start + 1], np.asarray(getattr(part, name))[1:] + more, whole[end:]), whole.dtype)

    flags = joined("flags")
    flags[start] = (atlas.flags[row] & ~(Flag.UNREAD | Flag.UNREADABLE)) | (
        part.flags[0] & (Flag.UNREAD | Flag.UNREADABLE)
    )
    return Atlas(
        names=memoryview(b"".join((atlas.names[: offsets[start]], own, inner, atlas.names[offsets[end] :]))),
        offsets=_column((offsets[: start + 1], added, shifted[1:]), np.dtype(np.uint32)),
        parents=_column((parents[:start], part_parents, parents[end:]), np.dtype(np.uint32)),
        ends=_column((ends[:start], np.asarray(part.ends).astype(np.int64) + start, ends[end:]), np.dtype(np.uint32)),
        depths=joined("depths", atlas.depths[row]),
        kinds=joined("kinds"),
        signs=joined("signs"),
        flags=flags,
        providers=joined("providers"),
        sizes=joined("sizes"),
        covered=_covered(atlas.covered, part.covered, start, end, grown),
    )


def _covered(covered: Covered, part: Covered, start: int, end: int, grown: int) -> Covered:
    rows = np.asarray(covered.rows).astype(np.int64)
    before, behind = int(np.searchsorted(rows, start, side="right")), int(np.searchsorted(rows, end))
    below = np.asarray(part.rows) > 0

    def joined(name: str) -> memoryview[int]:
        whole = np.asarray(getattr(covered, name))
        return _column((whole[:before], np.asarray(getattr(part, name))[below], whole[behind:]), whole.dtype)

    moved = (rows[:before], np.asarray(part.rows)[below].astype(np.int64) + start, rows[behind:] + grown)
    return Covered(
        rows=_column(moved, np.dtype(np.uint32)),
        layers=joined("layers"),
        kinds=joined("kinds"),
        sizes=joined("sizes"),
    )


def _column(parts: Iterable[NDArray[Any]], dtype: np.dtype[Any]) -> memoryview[int]:
    return np.concatenate([part.astype(dtype, copy=False) for part in parts]).data
