"""Finding rows among a million within a key press.

Names are searched as one block of bytes, without regard to the case of ASCII letters, and all rows at once: a column is
one array.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from ovlctl.ops.atlas.atlas import DIRECTORY, KINDS, Sign

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ovlctl.ops.atlas.atlas import Atlas
    from ovlctl.overlay.tree import Kind

_PIECE = 1 << 20
_MOST_KEPT = 1 << 21
_CASE = 0x20
_ASCII = 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is looked for; everything that is given must hold.

    Attributes:
        words: Parts of a path, each of which is somewhere in it, and at least one of them in the name itself. A word
            with slashes stands for neighbouring names: ``tc/app`` finds ``etc/app.conf``, and ``/etc`` is in the root.
        kinds: One of these; empty for all.
        signs: One of these; empty for all.
        layers: Supplied by one of these; empty for all.
        at_least: Files of so many bytes or more.
        at_most: Files of so many bytes or fewer.
    """

    words: tuple[str, ...] = ()
    kinds: frozenset[Kind] = frozenset()
    signs: frozenset[Sign] = frozenset()
    layers: frozenset[int] = frozenset()
    at_least: int | None = None
    at_most: int | None = None

    @property
    def empty(self) -> bool:
        """Whether everything is found."""
        return self == Query()


@dataclass(frozen=True, slots=True)
class Found:
    """Rows, ascending, without the root."""

    rows: NDArray[np.int32]

    @classmethod
    def of(cls, rows: Iterable[int]) -> Self:
        """These rows."""
        return cls(np.unique(np.fromiter(rows, dtype=np.int32)))

    @property
    def count(self) -> int:
        """How many."""
        return len(self.rows)


class Want(StrEnum):
    """What :meth:`Finder.step` goes to."""

    WHITEOUT = "whiteout"
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    ADDED = "added"
    HIDDEN = "hidden"
    LARGEST = "largest"


_SIGNS = {
    Want.WHITEOUT: Sign.WHITEOUT,
    Want.UNCHANGED: Sign.UNCHANGED,
    Want.CHANGED: Sign.CHANGED,
    Want.ADDED: Sign.ADDED,
    Want.HIDDEN: Sign.HIDDEN,
}


class _Places(NamedTuple):
    """Where a text begins in the names, every time, and in the names of which rows."""

    text: bytes
    starts: NDArray[np.uint32]
    rows: NDArray[np.int32]


_NO_PLACES = _Places(b"", np.empty(0, dtype=np.uint32), np.empty(0, dtype=np.int32))


class Finder:
    """Finds rows of one atlas; what several searches need is worked out once."""

    def __init__(self, atlas: Atlas) -> None:
        self.atlas = atlas
        self._parents = np.asarray(atlas.parents)
        self._offsets = np.asarray(atlas.offsets).astype(np.int64)
        self._kinds = np.asarray(atlas.kinds)
        self._signs = np.asarray(atlas.signs)
        self._sizes = np.asarray(atlas.sizes)
        self._bytes = np.frombuffer(atlas.names, dtype=np.uint8)
        self._counts: dict[int, int] = {}
        self._places = _NO_PLACES

    def find(self, query: Query) -> Found:
        """The rows that *query* is about."""
        wanted = np.ones(len(self.atlas), dtype=bool)
        if query.words:
            wanted = self._words(query.words)
        if query.kinds:
            wanted &= np.isin(np.arange(len(KINDS)), [KINDS.index(kind) for kind in query.kinds])[self._kinds]
        if query.signs:
            wanted &= np.isin(np.arange(len(Sign)), list(query.signs))[self._signs]
        if query.layers:
            wanted &= np.isin(np.asarray(self.atlas.providers), list(query.layers))
        if query.at_least is not None:
            wanted &= (self._sizes >= query.at_least) & (self._kinds != DIRECTORY)
        if query.at_most is not None:
            wanted &= (self._sizes <= query.at_most) & (self._kinds != DIRECTORY)
        wanted[0] = False
        return Found(np.flatnonzero(wanted).astype(np.int32))

    def step(self, want: Want, row: int, *, backwards: bool = False) -> int | None:
        """The next row after *row*, or the one before it, that is so; from the other end where there is none left.

        LARGEST goes from the largest file to smaller ones, and backwards to larger ones; from what is no file to the
        largest. None when there is no such row.
        """
        rows = self.by_size() if want is Want.LARGEST else np.flatnonzero(self._signs[1:] == _SIGNS[want]) + 1
        if not len(rows):
            return None
        if want is Want.LARGEST:
            here = np.flatnonzero(rows == row)
            at = int(here[0]) + (-1 if backwards else 1) if len(here) else 0
        elif backwards:
            at = int(np.searchsorted(rows, row)) - 1
        else:
            at = int(np.searchsorted(rows, row, side="right"))
        return int(rows[at % len(rows)])

    def by_size(self, found: Found | None = None) -> NDArray[np.int32]:
        """The rows that are no directories, largest first, equal ones in order; of what was *found*, or all."""
        rows = np.arange(1, len(self.atlas), dtype=np.int32) if found is None else found.rows
        rows = rows[self._kinds[rows] != DIRECTORY]
        ordered: NDArray[np.int32] = rows[np.argsort(-self._sizes[rows], kind="stable")]
        return ordered

    def fuzzy(self, text: str, limit: int = 50) -> tuple[int, ...]:
        """Rows in whose paths the letters of *text* stand in order, the closest first.

        Words between slashes or blanks are for a name each: the last one for the name itself, the others for
        directories on the way.
        """
        *above, last = [_lower(word) for word in text.replace("/", " ").split()] or [b""]
        if not last:
            return ()
        rows, spans = self._in_order(last)
        for word in above:
            ways = np.zeros(len(self.atlas), dtype=bool)
            ways[self._in_order(word)[0]] = True
            inside = self._inside(ways)[rows]
            rows, spans = rows[inside], spans[inside]
        lengths = self._offsets[rows + 1] - self._offsets[rows]
        starts = ~_is(self._bytes[self._offsets[rows]], last[0])
        depths = np.asarray(self.atlas.depths)[rows]
        best = np.lexsort((rows, depths, lengths, spans + starts))[:limit]
        return tuple(int(row) for row in rows[best])

    def _words(self, words: Sequence[str]) -> NDArray[np.bool_]:
        own = [self._word(_lower(word)) for word in words]
        if len(own) == 1:
            return own[0]
        wanted: NDArray[np.bool_] = np.logical_or.reduce(own)
        for each in own:
            wanted &= each | self._inside(each)
        return wanted

    def _word(self, word: bytes) -> NDArray[np.bool_]:
        first, *rest = word.split(b"/")
        matching = np.zeros(len(self.atlas), dtype=bool)
        if not rest:
            matching[self._containing(first)] = True
            return matching
        # A row, its directory, and so on upwards; the first name is only the end of one, the last only the beginning.
        *between, last = rest
        rows = self._beginning(last) if last else np.arange(1, len(self.atlas))
        at = self._parents[rows]
        for name in reversed(between):
            fits = self._fits(at, name, whole=True) & (at != 0)
            rows, at = rows[fits], self._parents[at[fits]]
        fits = self._fits(at, first, whole=False) if first else at == 0
        matching[rows[fits]] = True
        matching[0] = False
        return matching

    def _containing(self, text: bytes) -> NDArray[np.int32]:
        """Rows whose names hold *text*; a text that goes on from the last one is sought where that one was."""
        if not text:
            return np.arange(1, len(self.atlas), dtype=np.int32)
        known = self._places
        if not text.startswith(known.text) or not known.text:
            known = self._everywhere(text)
        for at in range(len(known.text), len(text)):
            # Behind the last place there is at least the slash of its own name.
            there = known.starts + at
            fits = _is(self._bytes[np.minimum(there, len(self._bytes) - 1)], text[at])
            known = _Places(text[: at + 1], known.starts[fits], known.rows[fits])
        if len(known.rows) <= _MOST_KEPT:
            self._places = known
        return known.rows[np.flatnonzero(np.diff(known.rows, prepend=-1))]

    def _everywhere(self, text: bytes) -> _Places:
        # By the rarest byte, and then by the others. In pieces that stay in the cache.
        rarest = min(range(len(text)), key=lambda at: self._count(text[at]))
        others = [(at - rarest, letter) for at, letter in enumerate(text) if at != rarest]
        starts, rows = [], []
        for begin in range(0, len(self._bytes), _PIECE):
            found = np.flatnonzero(_is(self._bytes[begin : begin + _PIECE], text[rarest])) + begin
            found = found[(found >= rarest) & (found + len(text) - rarest <= len(self._bytes))]
            for away, letter in others:
                found = found[_is(self._bytes[found + away], letter)]
            first, last = np.searchsorted(self._offsets, (begin - len(text), begin + _PIECE + len(text)))
            first = max(int(first) - 1, 0)
            row = np.searchsorted(self._offsets[first : last + 1], found, side="right") - 1 + first
            starts.append((found - rarest).astype(np.uint32))
            rows.append(row.astype(np.int32))
        return _Places(text, np.concatenate(starts), np.concatenate(rows))

    def _count(self, letter: int) -> int:
        # How often a letter occurs, as far as the beginning tells.
        if letter not in self._counts:
            self._counts[letter] = int(np.count_nonzero(_is(self._bytes[:_PIECE], letter)))
        return self._counts[letter]

    def _beginning(self, text: bytes) -> NDArray[np.int64]:
        rows = np.arange(1, len(self.atlas))
        for at, letter in enumerate(text):
            # A name that is shorter ends with a slash, which is in no text.
            rows = rows[self._offsets[rows] + at < len(self._bytes)]
            rows = rows[_is(self._bytes[self._offsets[rows] + at], letter)]
        return rows

    def _fits(self, rows: NDArray[np.uint32], name: bytes, *, whole: bool) -> NDArray[np.bool_]:
        # Whether the names end with *name*, or are it.
        starts, ends = self._offsets[rows], self._offsets[rows.astype(np.int64) + 1] - 1
        room = (ends - starts == len(name)) if whole else (ends - starts >= len(name))
        for at, letter in enumerate(name):
            places = np.where(room, ends - len(name) + at, 0)
            room &= _is(self._bytes[places], letter)
        return room

    def _inside(self, directories: NDArray[np.bool_]) -> NDArray[np.bool_]:
        # Whether each row is below one of some rows.
        rows = np.flatnonzero(directories)
        depth = np.zeros(len(self.atlas) + 1, dtype=np.int32)
        np.add.at(depth, rows + 1, 1)
        np.subtract.at(depth, np.asarray(self.atlas.ends)[rows].astype(np.int64), 1)
        inside: NDArray[np.bool_] = np.cumsum(depth[:-1]) > 0
        return inside

    def _in_order(self, letters: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows whose names have *letters* in order, and over how many bytes."""
        rows = np.arange(1, len(self.atlas))
        at = self._offsets[rows]
        first = at
        for number, letter in enumerate(letters):
            places = np.flatnonzero(_is(self._bytes, letter))
            nearest = np.searchsorted(places, at)
            there = nearest < len(places)
            rows, nearest, first = rows[there], nearest[there], first[there]
            place = places[nearest]
            within = place < self._offsets[rows + 1]
            rows, at = rows[within], place[within] + 1
            first = place[within] if number == 0 else first[within]
        return rows, at - first


def _is(values: NDArray[np.uint8], letter: int) -> NDArray[np.bool_]:
    # In either case, where it is an ASCII letter: those differ in one bit, and with it no other byte is the same.
    found: NDArray[np.bool_] = (
        (values | _CASE) == letter if chr(letter).isalpha() and letter < _ASCII else values == letter
    )
    return found


def _lower(word: str) -> bytes:
    return os.fsencode(word).lower()
