"""What `du` finds out: pure values. Sizes are bytes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from ovlctl.overlay.fates import Fate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ovlctl.ops.du.gates import Verdict
    from ovlctl.ops.du.growth import Growth
    from ovlctl.overlay.layers import Role


class Part(StrEnum):
    """What a directory that was looked at is: a layer, or one of overlayfs's own."""

    UPPER = "upper"
    LOWER = "lower"
    DATA = "data"
    WORK = "work"
    INDEX = "index"

    @classmethod
    def of(cls, role: Role) -> Self:
        """The part that a layer of this role is."""
        return cls(role.value)


#: What is no layer, but overlayfs's own.
OWN = frozenset({Part.WORK, Part.INDEX})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """A number of inodes and what they take.

    Attributes:
        inodes: How many.
        bytes: What they take on disk; extents that several files share are in one of them only.
        apparent: The sizes of regular files and symbolic links among them, as ``du --apparent-size`` counts.
        elsewhere: Of *bytes*, what files that were not looked at share: removing these frees no such byte.
    """

    inodes: int = 0
    bytes: int = 0
    apparent: int = 0
    elsewhere: int = 0

    def __add__(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(
            inodes=self.inodes + other.inodes,
            bytes=self.bytes + other.bytes,
            apparent=self.apparent + other.apparent,
            elsewhere=self.elsewhere + other.elsewhere,
        )

    def size(self, *, apparent: bool) -> int:
        """*apparent* size or bytes on disk."""
        return self.apparent if apparent else self.bytes


@dataclass(frozen=True, slots=True)
class Split:
    """A tally for each fate, in the order of :class:`~ovlctl.overlay.fates.Fate`; each inode is in one."""

    tallies: tuple[Tally, ...] = (Tally(),) * len(Fate)

    def of(self, *fates: Fate) -> Tally:
        """All with one of *fates*."""
        return sum((self.tallies[fate] for fate in fates), Tally())

    @property
    def hidden(self) -> Tally:
        """Hidden in whichever way."""
        return self.of(*filter(lambda fate: fate.hidden, Fate))

    @property
    def every(self) -> Tally:
        """All of it."""
        return self.of(*Fate)

    @classmethod
    def sum(cls, splits: Iterable[Split]) -> Self:
        """All of *splits* together."""
        every: list[Split] = [cls(), *splits]
        return cls(tuple(sum(column, Tally()) for column in zip(*(each.tallies for each in every), strict=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """How many names have a mark: whiteouts wherever they are, the others where they are seen and count."""

    whiteouts: int = 0
    opaque: int = 0
    redirects: int = 0
    metadata_only: int = 0

    def __add__(self, other: Marks) -> Marks:
        """Both together."""
        return Marks(
            whiteouts=self.whiteouts + other.whiteouts,
            opaque=self.opaque + other.opaque,
            redirects=self.redirects + other.redirects,
            metadata_only=self.metadata_only + other.metadata_only,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """A layer or a work directory, once however many stacks have it.

    Attributes:
        part: What it is in the first of its stacks.
        index: There; counts from 0 = topmost.
        directory: Where it is.
        stacks: The numbers of the stacks that have it, from 0.
        split: What is in it, by fate. An inode with names in several layers is in the one where its fate is best.
        files: How many inodes are no directories.
        allocated: Bytes that its inodes have by themselves, shared extents in each of them: what GNU du says.
        shared: Of the bytes in *split*, those in extents that another file uses too.
        unmeasured: Bytes of files of which it is unknown what they share, or what compression leaves of them.
        marks: Counted by name.
    """

    part: Part
    index: int
    directory: str
    stacks: tuple[int, ...]
    split: Split
    files: int
    allocated: int
    shared: int
    unmeasured: int
    marks: Marks

    @property
    def bytes(self) -> int:
        """On disk; the sum over all directories is what the disk really uses."""
        return self.split.every.bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Large:
    """One of the largest objects that are not simply seen in a lower.

    Attributes:
        path: In the layer.
        at: The number of its directory in :attr:`Usage.directories`.
        fate: What it is.
        tally: Of this inode.
    """

    path: str
    at: int
    fate: Fate
    tally: Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Below:
    """All that is in and below one path, in every layer; work directories are no layers."""

    path: str
    split: Split


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What could not be read: *path* in *directory*."""

    directory: str
    path: str
    errno: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What stacks take on disk.

    Law: the bytes of all *directories* add up to what they take together, each inode and each extent once.

    Attributes:
        stacks: What to call each.
        directories: Layers, topmost first and stack by stack, and then work directories.
        largest: The largest objects, by what removing each can free at most.
        below: By path, sorted; empty unless asked for.
        growth: How each upper has grown, in the order of the stacks that have one.
        verdicts: What became of the rules.
        troubles: What could not be read, at most a thousand.
        unread: How much that is.
        certain: False when marks cannot be seen that decide what is hidden.
        proved: Whether the content of what is called unchanged was read and compared.
    """

    stacks: tuple[str, ...]
    directories: tuple[Directory, ...]
    largest: tuple[Large, ...] = ()
    below: tuple[Below, ...] = ()
    growth: tuple[Growth, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    unread: int = 0
    certain: bool = True
    proved: bool = False

    @property
    def partial(self) -> bool:
        """Whether something could not be told."""
        return bool(self.unread) or not self.certain

    @property
    def total(self) -> Split:
        """All directories together."""
        return Split.sum(each.split for each in self.directories)

    @property
    def uppers(self) -> Split:
        """All uppers together."""
        return Split.sum(each.split for each in self.directories if each.part is Part.UPPER)
