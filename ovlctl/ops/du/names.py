"""What inodes are called, looked up again for the few that are shown."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ovlctl.overlay.real_tree import RealTree
from ovlctl.overlay.tree import join

if TYPE_CHECKING:
    from collections.abc import Collection

    from ovlctl.ops.du.ledger import Ledger


def paths(ledger: Ledger, numbers: Collection[int]) -> dict[int, str]:
    """The path of each inode in its layer, by number; one that is not there any more has none.

    An inode with several names has the first one that is met in the directory it was met in.
    """
    inodes = ledger.inodes
    wanted, of = set(numbers), dict[tuple[int, int], int]()
    for dev, ino, number in inodes.identities():
        if number in wanted:
            of[dev, ino] = number
    found: dict[int, str] = {}
    for home in {inodes.homes[number] for number in wanted}:
        directory = inodes.paths[home]
        with suppress(OSError), RealTree(ledger.sources[inodes.sources[home]].directory) as tree:
            for name, attributes in tree.entries(directory):
                met = None if isinstance(attributes, OSError) else of.get((attributes.dev, attributes.ino))
                if met is not None and inodes.homes[met] == home:
                    found.setdefault(met, join(directory, name))
    return found
