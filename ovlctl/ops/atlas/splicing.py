"""A part of an atlas replaced by a newer one: a directory that was listed meanwhile, or changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ovlctl.ops.atlas.atlas import Atlas, Covered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


def spliced(atlas: Atlas, row: int, part: Atlas) -> Atlas:
    """*atlas* with *row* and all that is below it replaced by *part*, whose root is that row.

    The name of the row stays. Owner, mode and time of rows are not kept.

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
    depth = atlas.depths[row]
    part_parents = np.asarray(part.parents).astype(np.int64) + start
    part_parents[0] = atlas.parents[row]

    def joined(name: str, middle: Any = None) -> memoryview[int]:
        whole = np.asarray(getattr(atlas, name))
        inside = np.asarray(getattr(part, name)) if middle is None else middle
        return _column((whole[:start], inside, whole[end:]), whole.dtype)

    return Atlas(
        names=memoryview(b"".join((atlas.names[: offsets[start]], own, inner, atlas.names[offsets[end] :]))),
        offsets=_column((offsets[: start + 1], added, shifted[1:]), np.dtype(np.uint32)),
        parents=_column((parents[:start], part_parents, parents[end:]), np.dtype(np.uint32)),
        ends=_column((ends[:start], np.asarray(part.ends).astype(np.int64) + start, ends[end:]), np.dtype(np.uint32)),
        depths=joined("depths", np.asarray(part.depths) + depth),
        kinds=joined("kinds"),
        signs=joined("signs"),
        flags=joined("flags"),
        providers=joined("providers"),
        sizes=joined("sizes"),
        covered=_covered(atlas.covered, part.covered, start, end, grown),
    )


def _covered(covered: Covered, part: Covered, start: int, end: int, grown: int) -> Covered:
    rows = np.asarray(covered.rows).astype(np.int64)
    before, behind = int(np.searchsorted(rows, start)), int(np.searchsorted(rows, end))

    def joined(name: str) -> memoryview[int]:
        whole = np.asarray(getattr(covered, name))
        return _column((whole[:before], np.asarray(getattr(part, name)), whole[behind:]), whole.dtype)

    moved = (rows[:before], np.asarray(part.rows).astype(np.int64) + start, rows[behind:] + grown)
    return Covered(
        rows=_column(moved, np.dtype(np.uint32)),
        layers=joined("layers"),
        kinds=joined("kinds"),
        sizes=joined("sizes"),
    )


def _column(parts: Iterable[NDArray[Any]], dtype: np.dtype[Any]) -> memoryview[int]:
    return np.concatenate([part.astype(dtype, copy=False) for part in parts]).data
