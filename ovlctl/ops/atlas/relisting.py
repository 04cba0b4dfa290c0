"""A tree after something was done in it: the directories concerned are listed, and the rest stays as it was read."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ovlctl.ops.atlas.atlas import NOBODY, Atlas, Covered, Flag, Sign

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray

_PLAIN: Final = ("depths", "kinds", "signs", "flags", "providers", "sizes")
_OF_UPPER: Final = (Sign.ADDED, Sign.CHANGED, Sign.UNCHANGED)
_UNSEEN: Final = frozenset({Sign.WHITEOUT, Sign.HIDDEN, Sign.ODD})


def below_another(atlas: Atlas) -> Atlas:
    """The merged view of a stack as that of the same layers below one more, which is still empty.

    Law: the result is the atlas of a scan of the higher stack, but for the root, which :func:`relisted` puts right.
    """
    providers = np.asarray(atlas.providers)
    signs = np.asarray(atlas.signs)
    return replace(
        atlas,
        providers=(providers + (providers != NOBODY)).astype(providers.dtype).data,
        signs=np.where(np.isin(signs, _OF_UPPER), np.uint8(Sign.SAME), signs).astype(signs.dtype).data,
        covered=replace(atlas.covered, layers=_raised(atlas.covered.layers)),
        status=None,
    )


def _raised(layers: memoryview[int]) -> memoryview[int]:
    numbers = np.asarray(layers)
    return (numbers + 1).astype(numbers.dtype).data


def relisted(atlas: Atlas, row: int, listing: Atlas, fresh: Collection[str] = ()) -> Atlas:
    """*atlas* with the directory *row* as *listing* has it; what its directories hold stays in them.

    Law: the result is the atlas of a scan, where nothing was changed since *atlas* but names directly in the directory
    and what there is to say of them; directories that are new, or seen no longer, are UNREAD. The row itself stays, but
    for the root.

    Args:
        atlas: Before.
        row: A directory.
        listing: Itself as the root, and what is directly in it.
        fresh: Names of directories that are others now.
    """
    parts = [part for part in _parts(atlas, row, listing, frozenset(fresh)) if part.count]
    before, end = _ints(atlas.parents), int(atlas.ends[row])
    place = np.full(len(atlas), -1, dtype=np.int64)
    place[row] = row
    for part in parts:
        if part.of is atlas:
            place[part.start : part.end] = np.arange(part.at, part.at + part.count)
        if part.stands_for is not None:
            place[part.stands_for] = part.at
    total = parts[-1].at + parts[-1].count
    inner_end = total - (len(atlas) - end)
    parents, ends = [], []
    for part in parts:
        own = _ints(part.of.ends[part.start : part.end])
        if part.of is listing:
            parents.append(np.full(part.count, row))
            ends.append(np.arange(part.at + 1, part.at + part.count + 1))
            if part.stands_for is not None:
                ends[-1][-1] += int(atlas.ends[part.stands_for]) - part.stands_for - 1
        elif part.start == 0:
            parents.append(before[: part.end])
            ends.append(np.where(own >= end, own + (inner_end - end), own))
        else:
            parents.append(place[before[part.start : part.end]])
            ends.append(own + (part.at - part.start))
    if row == 0:
        ends[0][0] = inner_end
    made = _joined(atlas, row, parts, np.concatenate(parents), np.concatenate(ends))
    made.flags[row] = (made.flags[row] & ~Flag.UNREAD) | (listing.flags[0] & Flag.UNREADABLE)
    return made


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows that the result takes from one of both.

    Attributes:
        at: Where in the result they begin.
        stands_for: The directory of the old atlas that the only row of it is, when what is in that follows.
    """

    of: Atlas
    start: int
    end: int
    at: int
    stands_for: int | None = None

    @property
    def count(self) -> int:
        return self.end - self.start


def _parts(atlas: Atlas, row: int, listing: Atlas, fresh: frozenset[str]) -> Iterator[_Part]:
    kept = {
        atlas.name(child): child
        for child in atlas.children(row)
        if atlas.is_directory(child) and not atlas.flags[child] & Flag.UNREAD
    }
    yield _Part(atlas, 0, row + 1, 0) if row else _Part(listing, 0, 1, 0)
    at, start = row + 1, 1  # where to put what, of the listing, is not given yet
    for below in range(1, len(listing)):
        old = kept.get(listing.name(below)) if listing.flags[below] & Flag.UNREAD else None
        if old is None or listing.name(below) in fresh or _is_seen(atlas, old) is not _is_seen(listing, below):
            continue
        if below > start:
            yield _Part(listing, start, below, at)
            at += below - start
        yield _Part(listing, below, below + 1, at, stands_for=old)
        yield _Part(atlas, old + 1, atlas.ends[old], at + 1)
        at += atlas.ends[old] - old
        start = below + 1
    if start < len(listing):
        yield _Part(listing, start, len(listing), at)
        at += len(listing) - start
    yield _Part(atlas, atlas.ends[row], len(atlas), at)


def _is_seen(atlas: Atlas, row: int) -> bool:
    return Sign(atlas.signs[row]) not in _UNSEEN


def _joined(
    atlas: Atlas, row: int, parts: Sequence[_Part], parents: NDArray[np.int64], ends: NDArray[np.int64]
) -> Atlas:
    names: list[memoryview[int]] = []
    offsets = [np.zeros(1, dtype=np.int64)]
    plain: dict[str, list[NDArray[Any]]] = {name: [] for name in _PLAIN}
    for part in parts:
        of, start, end = part.of, part.start, part.end
        at = _ints(of.offsets[start : end + 1])
        names.append(of.names[at[0] : at[-1]])
        offsets.append(at[1:] - at[0] + offsets[-1][-1])
        for name, pieces in plain.items():
            pieces.append(np.asarray(getattr(of, name))[start:end])
        if of is not atlas:
            plain["depths"][-1] = plain["depths"][-1] + atlas.depths[row]
        if part.stands_for is not None:
            plain["flags"][-1] = plain["flags"][-1] & ~np.uint8(Flag.UNREAD)
    return Atlas(
        names=memoryview(b"".join(names)),
        offsets=_column(offsets, np.uint32),
        parents=_column([parents], np.uint32),
        ends=_column([ends], np.uint32),
        depths=_column(plain["depths"], np.uint16),
        kinds=_column(plain["kinds"], np.uint8),
        signs=_column(plain["signs"], np.uint8),
        flags=_column(plain["flags"], np.uint8),
        providers=_column(plain["providers"], np.int16),
        sizes=_column(plain["sizes"], np.int64),
        covered=_covered(parts),
    )


def _covered(parts: Sequence[_Part]) -> Covered:
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in ("rows", "layers", "kinds", "sizes")}
    for part in parts:
        rows = part.of.covered.rows
        first, last = bisect_left(rows, part.start), bisect_left(rows, part.end)
        columns["rows"].append(_ints(rows[first:last]) + (part.at - part.start))
        for name in ("layers", "kinds", "sizes"):
            columns[name].append(np.asarray(getattr(part.of.covered, name))[first:last])
    return Covered(
        rows=_column(columns["rows"], np.uint32),
        layers=_column(columns["layers"], np.int16),
        kinds=_column(columns["kinds"], np.uint8),
        sizes=_column(columns["sizes"], np.int64),
    )


def _ints(column: memoryview[int]) -> NDArray[np.int64]:
    return np.asarray(column).astype(np.int64)


def _column(parts: Sequence[NDArray[Any]], dtype: Any) -> memoryview[int]:
    return np.concatenate(parts).astype(dtype, copy=False).data
