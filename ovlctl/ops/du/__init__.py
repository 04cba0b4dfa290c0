"""What stacks take on disk, by layer, by path and by what became of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ovlctl.errors import OvlError
from ovlctl.ops.du import gates, growth
from ovlctl.ops.du.books import Books
from ovlctl.ops.du.growth import Growth, Look
from ovlctl.ops.du.names import paths
from ovlctl.ops.du.sums import Sums
from ovlctl.ops.du.values import OWN, Directory, Large, Usage
from ovlctl.overlay.fates import Fate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ovlctl.ops.du.gates import Rule
    from ovlctl.ops.reading import Subject
    from ovlctl.ops.state import State


def du(
    subjects: Sequence[Subject],
    *,
    content: bool = False,
    top: int = 10,
    depth: int | None = None,
    apparent: bool = False,
    rules: Iterable[Rule] = (),
    state: State | None = None,
    remember: bool = True,
) -> Usage:
    """Find out what stacks take on disk. Their layers are only read.

    Args:
        subjects: The stacks, from :mod:`ovlctl.ops.reading`. A layer that several have is counted once.
        content: Read and compare what was copied up, instead of trusting equal size and time.
        top: How many of the largest objects to name.
        depth: How many components of paths to sum up by; None for no such sums.
        apparent: Whether what is largest is so by its apparent size.
        rules: To be judged.
        state: Where looks are remembered; None tells of no growth.
        remember: Remember this look. Where that cannot be, growth says so the next time, and nothing else does.

    Raises:
        LayerElsewhere, PathMissing, NotADirectory, AccessDenied: as :func:`ovlctl.ops.reading.opened`.
    """
    books = Books(subjects, content=content)
    sums = Sums(books.ledger)
    every = sums.directories()
    # Layers before work directories, whenever they were met.
    order = sorted(range(len(every)), key=lambda at: every[at].part in OWN)
    usage = Usage(
        stacks=tuple(subject.label for subject in subjects),
        directories=tuple(every[at] for at in order),
        largest=tuple(_largest(books, sums, sums.largest(top, apparent=apparent), order)),
        below=() if depth is None else sums.below(depth),
        growth=() if state is None else tuple(_growth(books, every, state, remember=remember)),
        troubles=books.ledger.troubles(),
        unread=books.ledger.unread,
        certain=books.certain,
        proved=content,
    )
    return replace(usage, verdicts=gates.judge(rules, usage))


def _largest(books: Books, sums: Sums, numbers: list[int], order: list[int]) -> Iterator[Large]:
    inodes = books.ledger.inodes
    names = paths(books.ledger, numbers)
    for number in numbers:
        if number in names:
            yield Large(
                path=names[number],
                at=order.index(inodes.source(number)),
                fate=Fate(inodes.fates[number]),
                tally=sums.tally(number),
            )


def _growth(books: Books, every: tuple[Directory, ...], state: State, *, remember: bool) -> Iterator[Growth]:
    for upper in books.uppers:
        used = every[upper.source]
        look = Look(time_ns=upper.time_ns, bytes=used.allocated, files=used.files)
        before = growth.recall(state, upper.names)
        if remember and upper.names:
            with suppress(OvlError):
                growth.remember(state, upper.names[0], look)
        yield Growth(stack=upper.stack, directory=used.directory, before=before, now=look)
