"""The names of one directory, sorted, in little memory: there may be a million of them."""

from __future__ import annotations

import heapq
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_RUN = 1 << 16
_BLOCK = 1 << 10


class SortedNames:
    """Names that are added in any order and come out in the order of their code points.

    Few are simply a list. Many are sorted in runs, which are kept compressed until they are merged: sorted names have
    much in common, and take some five bytes each instead of a hundred.

    Law: what comes out is ``sorted`` of what was added.

    Args:
        run: How many names are kept as they are.
    """

    def __init__(self, run: int = _RUN) -> None:
        self._run = run
        self._names: list[str] = []
        self._packed: list[list[bytes]] = []

    def add(self, name: str) -> None:
        """Take one more, which holds no slash."""
        self._names.append(name)
        if len(self._names) == self._run:
            self._pack()

    def __iter__(self) -> Iterator[str]:
        """Each name, smallest first; nothing may be added from now on."""
        self._names.sort()
        if not self._packed:
            return iter(self._names)
        return heapq.merge(*map(_unpacked, self._packed), self._names)

    def _pack(self) -> None:
        from zlib import compress

        self._names.sort()
        blocks = (self._names[at : at + _BLOCK] for at in range(0, self._run, _BLOCK))
        self._packed.append([compress(os.fsencode("/".join(block)), 1) for block in blocks])
        self._names.clear()


def _unpacked(blocks: list[bytes]) -> Iterator[str]:
    from zlib import decompress

    for block in blocks:
        yield from os.fsdecode(decompress(block)).split("/")
