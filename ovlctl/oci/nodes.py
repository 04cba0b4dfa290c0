"""The objects of a layer in memory, as names in directories."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ovlctl.overlay.tree import Attributes, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.oci.tar import Piece

MADE_UP = Attributes(kind=Kind.DIRECTORY, mode=0o755)


class Node:
    """One object; a hard link is the same object under another name.

    Attributes:
        names: What is in a directory; None for all else.
        implied: Whether no entry of the archive gave it: a directory that others are in.
        trouble: The errno that every look at it gives; 0 for none.
    """

    __slots__ = ("attributes", "implied", "names", "pieces", "target", "trouble", "xattrs")

    def __init__(
        self,
        attributes: Attributes,
        *,
        xattrs: dict[str, bytes] | None = None,
        target: str = "",
        pieces: tuple[Piece, ...] = (),
        implied: bool = False,
        trouble: int = 0,
    ) -> None:
        self.attributes = attributes
        self.names: dict[str, Node] | None = {} if attributes.kind is Kind.DIRECTORY else None
        self.xattrs = xattrs
        self.target = target
        self.pieces = pieces
        self.implied = implied
        self.trouble = trouble

    def find(self, path: str) -> Node | None:
        """What is at *path*, from this directory.

        Raises:
            OSError: ENOTDIR, something on the way is no directory; the trouble of what is there.
        """
        here = self
        for name in path.split("/") if path else ():
            if here.names is None:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            below = here.names.get(name)
            if below is None:
                return None
            here = below
        if here.trouble:
            raise OSError(here.trouble, os.strerror(here.trouble), path)
        return here

    def walk(self) -> Iterator[Node]:
        """This and all below; what has several names comes several times."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            if node.names:
                waiting.extend(node.names.values())
