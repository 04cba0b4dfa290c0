"""What the explorer is compared with: Textual's own Tree over a merged view, directories listed when they are unfolded.

    benchmarks/programs/stock_tree.py DIRECTORY

`*` unfolds everything, `q` ends it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, ClassVar

from textual.app import App
from textual.widgets import Tree

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.widgets.tree import TreeNode


class StockTree(App[None]):
    """One Tree and nothing else."""

    BINDINGS: ClassVar = [("asterisk", "unfold_all", "unfold all"), ("q", "quit", "quit")]

    def __init__(self, directory: str) -> None:
        super().__init__()
        self.directory = directory

    def compose(self) -> ComposeResult:
        """The tree."""
        yield Tree(self.directory, data=self.directory)

    def on_mount(self) -> None:
        """List the root."""
        tree = self.query_one(Tree)
        _list(tree.root)
        tree.root.expand()
        tree.focus()

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[str]) -> None:
        """List a directory when it is unfolded for the first time."""
        _list(event.node)

    def action_unfold_all(self) -> None:
        """List everything, and unfold it."""
        pending = [self.query_one(Tree).root]
        while pending:
            node = pending.pop()
            _list(node)
            pending.extend(child for child in node.children if child.allow_expand)
        self.query_one(Tree).root.expand_all()


def _list(node: TreeNode[str]) -> None:
    if node.children or node.data is None:
        return
    with os.scandir(node.data) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            node.add(entry.name, data=entry.path)
        else:
            entry.stat(follow_symlinks=False)
            node.add_leaf(entry.name, data=entry.path)


if __name__ == "__main__":
    StockTree(sys.argv[1]).run()
