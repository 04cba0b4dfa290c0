"""A directory entered into a ledger whole, what is directly below it by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.overlay.fates import Fate, Spot
from ovlctl.overlay.layers import Layer, Role
from ovlctl.overlay.real_tree import RealTree
from ovlctl.overlay.resolution import Place
from ovlctl.overlay.tree import Attributes, Kind, join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ovlctl.ops.du.ledger import Ledger


def walk(ledger: Ledger, directory: str, source_of: Callable[[str], int | None]) -> None:
    """Enter all that is in *directory*, and not what is mounted in it.

    Args:
        ledger: What was entered before is not entered again.
        directory: An absolute path.
        source_of: The source that a directory directly below counts for, and all that is in it, by its name; ``""`` is
            *directory* itself with the files directly in it. None leaves it out.

    Raises:
        OSError: *directory* cannot be opened.
    """
    with RealTree(directory) as tree:
        _Walk(ledger, directory, tree, source_of).run()


class _Walk:
    def __init__(self, ledger: Ledger, directory: str, tree: RealTree, source_of: Callable[[str], int | None]) -> None:
        self._ledger = ledger
        self._directory = directory
        self._tree = tree
        self._source_of = source_of
        # The same directory once for each source, which is what a ledger knows layers by.
        self._layers: dict[int, Layer] = {}

    def run(self) -> None:
        top = self._tree.lstat("")
        pending = [] if top is None else list(self._directory_at("", top))
        while pending:
            pending.extend(self._listed(pending.pop()))

    def _directory_at(self, path: str, attributes: Attributes) -> Iterator[Spot]:
        source = self._source_of(path.partition("/")[0])
        if source is None:
            return
        if source not in self._layers:
            layer = Layer(role=Role.LOWER, index=0, directory=self._directory, tree=self._tree)
            self._layers[source] = layer
            self._ledger.counts_for(layer, source)
        spot = Spot(self._layers[source], path, attributes)
        self._ledger.enter(spot, "", attributes, Fate.VISIBLE)
        yield spot

    def _listed(self, here: Spot) -> Iterator[Spot]:
        self._ledger.begin(here)
        if not here.fresh:
            return
        try:
            for name, attributes in self._tree.entries(here.path):
                path = join(here.path, name)
                if isinstance(attributes, OSError):
                    self._ledger.trouble(Place(here.layer, path), attributes.errno or 0)
                elif attributes.kind is Kind.DIRECTORY:
                    yield from self._directory_at(path, attributes)
                else:
                    self._ledger.enter(here, name, attributes, Fate.VISIBLE)
        except OSError as error:
            self._ledger.trouble(Place(here.layer, here.path), error.errno or 0)
