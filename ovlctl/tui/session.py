"""What the explorer shows, and of what: the state behind the screen, without a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.errors import OvlError
from ovlctl.ops.atlas import background, layers, scan
from ovlctl.show.queries import parse_query
from ovlctl.tui.page import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.ops.atlas.atlas import Atlas
    from ovlctl.ops.atlas.background import Scanner
    from ovlctl.ops.atlas.finding import Query
    from ovlctl.ops.atlas.summary import LayerSummary, MergedSummary
    from ovlctl.ops.reading import Subject, View
    from ovlctl.overlay.layers import Layer


class Session:
    """One stack being looked at.

    Args:
        view: The stack, open for as long as this lives.
        words: How the stack is named on a command line.
        scanner: Reads whole trees meanwhile; it is given its orders here.

    Attributes:
        labels: Of the layers, by number.
        merged: The merged view.
        page: What is shown: that, or the tree of one layer.
        layer: The number of that layer; None for the merged view.
        awaited: The layer that was asked for and is still being read.
        filter: As typed.
        trouble: What is wrong with the filter; None for nothing.
        summary: Of the merged view; None until it was read.
        summaries: Of the layers; None until they were read.
        read: How many rows the scan has come to; None when nothing is being read.
        failures: What the scan could not do, oldest first.
        alone: Whether the scanner has ended, and will say nothing any more.
    """

    def __init__(self, view: View, words: Sequence[str], scanner: Scanner) -> None:
        self.view = view
        self.words = tuple(words)
        self.labels = layers.labels(view)
        atlas, _ = scan.merged(view, depth=1)
        self.merged = Page(atlas)
        self.page = self.merged
        self.layer: int | None = None
        self.awaited: int | None = None
        self.filter = ""
        self.trouble: OvlError | None = None
        self._remark: tuple[str, Page, int] | None = None
        self.summary: MergedSummary | None = None
        self.summaries: tuple[LayerSummary, ...] | None = None
        self.read: int | None = None
        self.failures: list[OvlError] = []
        self.alone = False
        self._scanner = scanner
        self._ordered = 0
        self._query: Query | None = None
        self.rescan()

    @property
    def subject(self) -> Subject:
        """The stack."""
        return self.view.subject

    @property
    def has_upper(self) -> bool:
        """Whether layer 0 is an upper."""
        return self.view.layers.upper is not None

    @property
    def path(self) -> str:
        """The path under the cursor, without a leading slash."""
        return self.page.atlas.path(self.page.cursor)

    @property
    def remark(self) -> str:
        """What was said last; nothing once the cursor is elsewhere."""
        if self._remark is None or self._remark[1:] != (self.page, self.page.cursor):
            return ""
        return self._remark[0]

    def say(self, text: str) -> None:
        """Remark something; names in *text* have passed ``show_name``."""
        self._remark = text, self.page, self.page.cursor

    def layer_at(self, number: int) -> Layer:
        """The layer of a number."""
        return layers.every(self.view)[number]

    # What the scanner does

    def rescan(self) -> None:
        """Have everything read anew; what is shown stays until that is done."""
        self._order(background.Merged())
        self._order(background.Summaries())
        if self.layer is not None:
            self._order(background.OneLayer(self.layer))

    def received(self) -> bool:
        """Take what the scanner has to say; to be called when its descriptor is readable.

        Returns:
            Whether there is more to show than before; False for mere progress.
        """
        match self._scanner.receive():
            case background.Progress(count=count):
                self.read = count
                return False
            case background.Done() as done:
                self._one_done()
                self._done(done)
            case background.Failed(task=task, error=error):
                self._one_done()
                self.awaited = None
                self.failures.append(error)
                if task is None:
                    self.read, self.alone = None, True
        return True

    def _order(self, task: background.Task) -> None:
        if self.alone:
            return
        self._ordered += 1
        self.read = self.read or 0
        self._scanner.order(task)

    def _one_done(self) -> None:
        self._ordered -= 1
        self.read = 0 if self._ordered else None

    def _done(self, done: background.Done) -> None:
        self.summaries = done.layers or self.summaries
        self.summary = done.merged or self.summary
        if done.atlas is None:
            return
        if isinstance(done.task, background.OneLayer):
            self._layer_came(done.task.number, done.atlas)
        else:
            self.merged.replace(done.atlas)

    def _layer_came(self, number: int, atlas: Atlas) -> None:
        if number == self.layer:
            self.page.replace(atlas)
        elif number == self.awaited:
            self.awaited, self.layer, path = None, number, self.path
            self._turn_to(Page(atlas), path)

    # What is shown

    def choose(self, number: int | None) -> None:
        """Show the merged view, or a layer's own tree as soon as it was read."""
        if number is None:
            self.awaited, path = None, self.path
            if self.layer is not None:
                self.layer = None
                self._turn_to(self.merged, path)
        elif number in {self.layer, self.awaited}:
            self.awaited = None if number == self.layer else number
        else:
            self.awaited = number
            self._order(background.OneLayer(number))

    def _turn_to(self, page: Page, path: str) -> None:
        flat = self.page.flat
        self.page = page
        row = page.atlas.find(path)
        if page.query is not self._query:
            page.narrow(self._query)
        if flat is not page.flat:
            page.list_by_size(on=flat)
        if row and not flat and page.shows(row):
            page.reveal(row)

    def narrow(self, text: str) -> None:
        """Filter by what was typed; nonsense leaves the filter as it was and says so in :attr:`trouble`."""
        self.filter, self.trouble = text, None
        try:
            query = parse_query(text, self.labels)
        except OvlError as error:
            self.trouble = error
            return
        self._query = None if query.empty else query
        self.page.narrow(self._query)
