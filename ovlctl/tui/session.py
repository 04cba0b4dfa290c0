"""What the explorer shows, and of what: the state behind the screen, without a screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.errors import OvlError
from ovlctl.ops.atlas import background, layers, scan
from ovlctl.ops.reading import renewed
from ovlctl.show.queries import parse_query
from ovlctl.tui.page import Page
from ovlctl.tui.palette import Role, of_layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.ops.atlas.atlas import Atlas
    from ovlctl.ops.atlas.background import Scanner
    from ovlctl.ops.atlas.finding import Query
    from ovlctl.ops.atlas.summary import LayerSummary, MergedSummary
    from ovlctl.ops.reading import Subject, View
    from ovlctl.overlay.layers import Layer


@dataclass(slots=True, kw_only=True)
class State:
    """A stack at one moment, as far as the screen depends on it; attributes as those of :class:`Session`."""

    view: View
    words: tuple[str, ...]
    labels: tuple[str, ...]
    atlas: Atlas
    summary: MergedSummary | None
    summaries: tuple[LayerSummary, ...] | None
    turn: int
    of: Subject | None = None
    settled: bool = True


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
        turn: Which state it is: what the scanner tells of another one is out of date.
        of: The stack that the scanner is to read; None for the one it was started for.
        settled: Whether the figures of the layers are those of this state.
        home: The stack as it is, while what is shown is that of a scratch upper above it.
        home_came: Whether the tree of that was read meanwhile.
        private: Whether what is shown is mounted where only actions are done.
        waiting: What is being waited for, in a word or two; empty for nothing.
    """

    def __init__(self, view: View, words: Sequence[str], scanner: Scanner) -> None:
        self.view = view
        self.words = tuple(words)
        self.labels = layers.labels(view)
        self.turn = 0
        self.of: Subject | None = None
        self.settled = True
        self.home: State | None = None
        self.home_came = False
        self.private = False
        self.waiting = ""
        self._behind = False
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

    def role(self, number: int) -> Role:
        """The colour of a layer; below a scratch upper, which has that of an upper, each keeps its own."""
        if self.home is None:
            return of_layer(number, has_upper=self.has_upper)
        return Role.LAYER_A if number == 0 else of_layer(number - 1, has_upper=self.home.view.layers.upper is not None)

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

    @property
    def layer_names(self) -> tuple[str, ...]:
        """What the layers are called on a command line, by number; :attr:`labels` is for people."""
        return layers.labels(self.view)

    def layer_at(self, number: int) -> Layer:
        """The layer of a number."""
        return layers.every(self.view)[number]

    # What the scanner does

    def rescan(self) -> None:
        """Have everything read anew; what is shown stays until that is done."""
        self.view = renewed(self.view)
        self._order(background.Merged(self.of, self.turn))
        self._order(background.Summaries(self.of, self.turn))
        if self.layer is not None:
            self._order(background.OneLayer(self.layer, self.of, self.turn))

    def rescan_soon(self) -> None:
        """The same, as soon as the scanner has done what it is at."""
        self._behind = True
        self._catch_up()

    def _catch_up(self) -> None:
        if self._behind and not self._ordered:
            self._behind = False
            self.rescan()

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
                if task is None or task.turn == self.turn:
                    self.awaited = None
                    self.failures.append(error)
                if task is None:
                    self.read, self.alone = None, True
        self._catch_up()
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
        if done.task.turn != self.turn:
            if self.home is not None and done.task.turn == self.home.turn:
                self._home_done(self.home, done)
            return
        self.settled = self.settled or bool(done.layers)
        self.summaries = done.layers or self.summaries
        self.summary = done.merged or self.summary
        if done.atlas is None:
            return
        if isinstance(done.task, background.OneLayer):
            self._layer_came(done.task.number, done.atlas)
        else:
            self.merged.replace(done.atlas)

    def _home_done(self, home: State, done: background.Done) -> None:
        home.summaries = done.layers or home.summaries
        home.summary = done.merged or home.summary
        if done.atlas is not None and isinstance(done.task, background.Merged):
            home.atlas = done.atlas
            self.home_came = True

    # What is looked at

    @property
    def state(self) -> State:
        """As it is now."""
        return State(
            view=self.view,
            words=self.words,
            labels=self.labels,
            atlas=self.merged.atlas,
            summary=self.summary,
            summaries=self.summaries,
            turn=self.turn,
            of=self.of,
            settled=self.settled,
        )

    def take(self, state: State) -> None:
        """Look at another state, or another stack with the same merged view; the cursor stays on its path."""
        self.choose(None)
        self.view, self.words, self.labels = state.view, state.words, state.labels
        self.summary, self.summaries, self.settled = state.summary, state.summaries, state.settled
        self.turn, self.of = state.turn, state.of
        self.merged.replace(state.atlas)
        if self.filter:
            self.narrow(self.filter)

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
            self._order(background.OneLayer(number, self.of, self.turn))

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
