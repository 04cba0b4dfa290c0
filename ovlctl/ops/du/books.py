"""Stacks, one after the other, entered into one ledger."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.ops import reading
from ovlctl.ops.du import growth
from ovlctl.ops.du.ledger import Ledger, Source
from ovlctl.ops.du.values import Part
from ovlctl.overlay.change import ChangeKind
from ovlctl.overlay.changes import changes
from ovlctl.overlay.fates import Fate
from ovlctl.overlay.layers import Layer, Role
from ovlctl.overlay.real_tree import RealTree
from ovlctl.overlay.resolution import Unreadable
from ovlctl.overlay.survey import Survey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.ops.reading import Subject, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Upper:
    """An upper that was entered.

    Attributes:
        stack: The number of its stack.
        source: Its number in the ledger.
        names: What it is remembered by, best first; none when that cannot be told.
        time_ns: When it was looked at, since the epoch.
    """

    stack: int
    source: int
    names: tuple[str, ...]
    time_ns: int


class Books:
    """The account of some stacks.

    Attributes:
        ledger: What is in their layers.
        uppers: Of the stacks that have one, in order.
        certain: Whether all marks could be seen.
    """

    def __init__(self, subjects: Sequence[Subject], *, content: bool) -> None:
        """Read *subjects*, whose content is compared when *content* is true.

        Raises:
            LayerElsewhere, PathMissing, NotADirectory, AccessDenied: as :func:`ovlctl.ops.reading.opened`.
        """
        self.ledger = Ledger()
        self.uppers: list[Upper] = []
        self.certain = True
        self._content = content
        self._sources: dict[tuple[int, int], int] = {}
        # An upper or a work directory that lies inside some layer is accounted for as what it is.
        self._apart = frozenset(found for subject in subjects for path in _own(subject) if (found := _identity(path)))
        for number, subject in enumerate(subjects):
            with reading.opened(subject) as view:
                self._enter(number, view)
        self.ledger.close()

    def _enter(self, number: int, view: View) -> None:
        layers = view.layers
        for layer in (*layers.merged, *layers.data):
            source = self._source(number, layer, Part.of(layer.role))
            if layer.role is Role.UPPER and all(known.source != source for known in self.uppers):
                self.uppers.append(_upper(number, source, view, layer))
        if layers.index is not None:
            self._source(number, layers.index, Part.INDEX)
        unchanged = frozenset(self._unchanged(view))
        survey = Survey(view.resolver, self.ledger, unchanged=unchanged, apart=self._apart)
        survey.run()
        self.certain = self.certain and view.resolver.certain
        for part, directory in _works(view.subject.stack.work):
            self._work(number, part, directory, survey)

    def _unchanged(self, view: View) -> Iterator[str]:
        # Paths in the upper.
        if view.below is None:
            return
        for change in changes(view.resolver, view.below, content=self._content):
            if isinstance(change, Unreadable):
                self.ledger.trouble(change.place, change.errno)
                continue
            place = change.above
            if change.change is ChangeKind.UNCHANGED and place is not None and place.layer is view.layers.upper:
                yield place.path

    def _work(self, number: int, part: Part, directory: str, survey: Survey) -> None:
        try:
            with RealTree(directory) as tree:
                layer = Layer(role=Role.UPPER, index=0, directory=directory, tree=tree)
                self._source(number, layer, part)
                survey.whole(layer, Fate.WORK)
        except FileNotFoundError:
            # It is made when the stack is mounted.
            return
        except OSError as error:
            self.ledger.sources.append(Source(part=part, index=0, directory=directory, stacks=[number]))
            self.ledger.lost(len(self.ledger.sources) - 1, "", error.errno or 0)

    def _source(self, number: int, layer: Layer, part: Part) -> int:
        # A directory that another stack has, too, is the same source.
        source = len(self.ledger.sources)
        with suppress(OSError):
            if (root := layer.tree.lstat("")) is not None:
                source = self._sources.setdefault((root.dev, root.ino), source)
        if source == len(self.ledger.sources):
            self.ledger.sources.append(Source(part=part, index=layer.index, directory=layer.directory, stacks=[]))
        stacks = self.ledger.sources[source].stacks
        if number not in stacks:
            stacks.append(number)
        self.ledger.counts_for(layer, source)
        return source


def _upper(number: int, source: int, view: View, layer: Layer) -> Upper:
    names: tuple[str, ...] = ()
    with suppress(OSError):
        names = growth.names_of(view.subject, layer)
    return Upper(stack=number, source=source, names=names, time_ns=growth.now())


def _own(subject: Subject) -> Iterator[str]:
    if subject.stack.upper is not None:
        yield subject.stack.upper
    yield from (directory for _, directory in _works(subject.stack.work))


def _works(work: str | None) -> tuple[tuple[Part, str], ...]:
    return () if work is None else ((Part.INDEX, f"{work}/index"), (Part.WORK, work))


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
