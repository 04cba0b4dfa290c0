"""A whole tree as columns: what the explorer and the report page show, for a million entries in some 40 MiB.

Row 0 is the root; each directory is followed by what is in it, sorted by name (preorder). A column holds one figure of
every row, in a buffer that another process may have filled. Everything here is plain Python; searching and folding,
which have to be quick on all rows at once, are in :mod:`ovlctl.ops.atlas.finding` and :mod:`ovlctl.ops.atlas.outline`.
"""

from __future__ import annotations

import os
from array import array
from dataclasses import dataclass, field, fields
from enum import IntEnum, IntFlag
from itertools import accumulate, repeat
from typing import TYPE_CHECKING, Final

from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: What the column ``kinds`` counts through.
KINDS: Final = tuple(Kind)
DIRECTORY: Final = KINDS.index(Kind.DIRECTORY)
#: ``providers`` of a row that no layer supplies.
NOBODY: Final = -1
_SLASH = b"/"
_DEEPEST = (1 << 16) - 1


class Sign(IntEnum):
    """What the layer that a row is about does at the path.

    In a merged view that layer is the upper. ``SAME`` comes from a lower as it is. ``ADDED``: nothing was there.
    ``CHANGED``: a lower has something there, too. ``UNCHANGED`` was copied up and is equal to what it hides.
    ``WHITEOUT``: one stands there, so there is nothing to see. ``HIDDEN``: an object that something above hides.
    ``ODD``: the kernel lists the name and finds nothing, refuses it, or it cannot be known.
    """

    SAME = 0
    ADDED = 1
    CHANGED = 2
    UNCHANGED = 3
    WHITEOUT = 4
    HIDDEN = 5
    ODD = 6

    @property
    def glyph(self) -> str:
        """One character that says it without colour."""
        return " +~=o-!"[self]


class Flag(IntFlag):
    """What else is to be known of a row.

    ``UNREAD``: a directory whose content was not listed yet. ``COVERS``: layers below have something at the path, in
    :attr:`Atlas.covered`. ``UNREADABLE``: something in the directory could not be read.
    """

    UNREAD = 1
    COVERS = 2
    UNREADABLE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """Objects of lower layers at the path of a row, topmost first: one element of each column for every object.

    Attributes:
        rows: Of the atlas, ascending.
        layers: Numbers of layers, as in :attr:`Atlas.providers`.
        kinds: Of the objects.
        sizes: In bytes.
    """

    rows: memoryview[int]
    layers: memoryview[int]
    kinds: memoryview[int]
    sizes: memoryview[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Owner, mode and time of every row, where they were asked for.

    Attributes:
        modes: Permission bits, with set-user-ID, set-group-ID and sticky.
        mtimes: Nanoseconds.
    """

    modes: memoryview[int]
    uids: memoryview[int]
    gids: memoryview[int]
    mtimes: memoryview[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Atlas:
    """A tree.

    Attributes:
        names: The name of every row as bytes, each followed by a slash, which no name holds; the root's is empty.
        offsets: Where in *names* each begins; one more element than rows.
        parents: The row of the directory that each is in; the root's is 0.
        ends: One more than the last row of what is below.
        depths: 0 for the root.
        kinds: Into :data:`KINDS`.
        signs: :class:`Sign`.
        flags: :class:`Flag`.
        providers: The number of the layer that supplies it, counted from the topmost: an upper is 0, lowers follow,
            data-only layers are last. :data:`NOBODY` for what is not there.
        sizes: Bytes, as lstat(2) says.
        covered: What lower layers have at some of the rows.
        status: None unless asked for.
    """

    names: memoryview[int]
    offsets: memoryview[int]
    parents: memoryview[int]
    ends: memoryview[int]
    depths: memoryview[int]
    kinds: memoryview[int]
    signs: memoryview[int]
    flags: memoryview[int]
    providers: memoryview[int]
    sizes: memoryview[int]
    covered: Covered
    status: Status | None = None

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.kinds)

    def name(self, row: int) -> str:
        """The name, as ``os.fsdecode`` makes it; the root's is empty."""
        return os.fsdecode(bytes(self.names[self.offsets[row] : self.offsets[row + 1] - 1]))

    def path(self, row: int) -> str:
        """The path from the root, without a leading slash."""
        parts = []
        while row:
            parts.append(self.name(row))
            row = self.parents[row]
        return "/".join(reversed(parts))

    def children(self, row: int) -> Iterator[int]:
        """The rows directly in a directory, in order."""
        at, end = row + 1, self.ends[row]
        while at < end:
            yield at
            at = self.ends[at]

    def find(self, path: str) -> int | None:
        """The row at *path*; None when the tree has none (or has not read that far)."""
        row = 0
        for part in filter(None, path.split("/")):
            wanted = os.fsencode(part)
            below = (
                at for at in self.children(row) if self.names[self.offsets[at] : self.offsets[at + 1] - 1] == wanted
            )
            found = next(below, None)
            if found is None:
                return None
            row = found
        return row

    def covered_at(self, row: int) -> Iterator[tuple[int, Kind, int]]:
        """Layer, kind and size of what lower layers have at the path of *row*, topmost first."""
        from bisect import bisect_left

        covered = self.covered
        at = bisect_left(covered.rows, row)
        while at < len(covered.rows) and covered.rows[at] == row:
            yield covered.layers[at], KINDS[covered.kinds[at]], covered.sizes[at]
            at += 1

    def is_directory(self, row: int) -> bool:
        """Whether there is something to unfold."""
        return self.kinds[row] == DIRECTORY


def _ints(code: str) -> array[int]:
    return array(code)


@dataclass(slots=True, kw_only=True)
class Growing:
    """An atlas in the making: rows are appended in their final order.

    Attributes:
        status: Whether owner, mode and time are kept.
    """

    status: bool = False
    names: bytearray = field(default_factory=bytearray)
    offsets: array[int] = field(default_factory=lambda: array("I", [0]))
    parents: array[int] = field(default_factory=lambda: _ints("I"))
    ends: array[int] = field(default_factory=lambda: _ints("I"))
    depths: array[int] = field(default_factory=lambda: _ints("H"))
    kinds: array[int] = field(default_factory=lambda: _ints("B"))
    signs: array[int] = field(default_factory=lambda: _ints("B"))
    flags: array[int] = field(default_factory=lambda: _ints("B"))
    providers: array[int] = field(default_factory=lambda: _ints("h"))
    sizes: array[int] = field(default_factory=lambda: _ints("q"))
    covered_rows: array[int] = field(default_factory=lambda: _ints("I"))
    covered_layers: array[int] = field(default_factory=lambda: _ints("h"))
    covered_kinds: array[int] = field(default_factory=lambda: _ints("B"))
    covered_sizes: array[int] = field(default_factory=lambda: _ints("q"))
    modes: array[int] = field(default_factory=lambda: _ints("H"))
    uids: array[int] = field(default_factory=lambda: _ints("I"))
    gids: array[int] = field(default_factory=lambda: _ints("I"))
    mtimes: array[int] = field(default_factory=lambda: _ints("q"))

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.kinds)

    def add(  # noqa: PLR0917 -- called a million times, where keywords show
        self, name: str, parent: int, depth: int, kind: int, sign: Sign, provider: int, size: int
    ) -> int:
        """Append a row and return its number; *parent* is counted for nothing when it is the first.

        A directory's end is to be set by :meth:`close` once everything in it was added.
        """
        row = len(self.kinds)
        self.names += os.fsencode(name)
        self.names += _SLASH
        self.offsets.append(len(self.names))
        self.parents.append(parent)
        self.ends.append(row + 1)
        self.depths.append(min(depth, _DEEPEST))
        self.kinds.append(kind)
        self.signs.append(sign)
        self.flags.append(0)
        self.providers.append(provider)
        self.sizes.append(size)
        return row

    def add_run(self, names: Sequence[str], kinds: bytes, sizes: Iterable[int], parent: int, depth: int) -> int:
        """Append rows of one directory that are no directories, and return the number of the first.

        Their sign and provider are to be added by :meth:`alike`.
        """
        first, count = len(self.kinds), len(names)
        together = "/".join(names)
        lengths = map(len, names) if together.isascii() else (len(os.fsencode(name)) for name in names)
        ends = accumulate((length + 1 for length in lengths), initial=len(self.names))
        next(ends)
        self.offsets.extend(ends)
        self.names += os.fsencode(together)
        self.names += _SLASH
        self.parents.extend(repeat(parent, count))
        self.ends.extend(range(first + 1, first + count + 1))
        self.depths.extend(repeat(min(depth, _DEEPEST), count))
        self.kinds.frombytes(kinds)
        self.flags.frombytes(bytes(count))
        self.sizes.extend(sizes)
        return first

    def alike(self, count: int, sign: Sign, provider: int) -> None:
        """Sign and provider of a run of *count* rows."""
        self.signs.extend(repeat(int(sign), count))
        self.providers.extend(repeat(provider, count))

    def add_status(self, mode: int, uid: int, gid: int, mtime_ns: int) -> None:
        """Owner, mode and time of the row that was added last."""
        self.modes.append(mode)
        self.uids.append(uid)
        self.gids.append(gid)
        self.mtimes.append(mtime_ns)

    def cover(self, row: int, layer: int, kind: int, size: int) -> None:
        """What a lower layer has at the path of *row*, which was added last."""
        self.flags[row] |= Flag.COVERS
        self.covered_rows.append(row)
        self.covered_layers.append(layer)
        self.covered_kinds.append(kind)
        self.covered_sizes.append(size)

    def close(self, row: int) -> None:
        """The last row of directory *row* was added."""
        self.ends[row] = len(self.kinds)

    def done(self) -> Atlas:
        """The atlas; nothing may be added afterwards."""
        view = memoryview
        return Atlas(
            names=view(self.names),
            **{each.name: view(getattr(self, each.name)) for each in fields(Atlas) if each.name in _PLAIN},
            covered=Covered(
                rows=view(self.covered_rows),
                layers=view(self.covered_layers),
                kinds=view(self.covered_kinds),
                sizes=view(self.covered_sizes),
            ),
            status=Status(modes=view(self.modes), uids=view(self.uids), gids=view(self.gids), mtimes=view(self.mtimes))
            if self.status
            else None,
        )


_PLAIN = frozenset({"offsets", "parents", "ends", "depths", "kinds", "signs", "flags", "providers", "sizes"})
