"""How much a directory takes on disk."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from ovlctl.overlay.real_tree import RealTree
from ovlctl.overlay.tree import Kind, join

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.discover import Overlay

_BLOCK = 512


def upper_bytes(overlay: Overlay) -> int | None:
    """:func:`directory_bytes` of an overlay's upper; None without one."""
    upper = overlay.stack.upper
    return None if upper is None or not os.path.isabs(upper) else directory_bytes(upper)


def directory_bytes(directory: str) -> int | None:
    """Bytes on disk of a directory and what is in it, each hard-linked file counted once.

    None when it cannot be read; what vanishes meanwhile, or cannot be read further down, is left out. Nothing is
    followed out of the directory, and what is mounted in it does not count.
    """
    try:
        with RealTree(directory) as tree:
            return sum(_sizes(tree))
    except OSError:
        return None


def _sizes(tree: RealTree) -> Iterator[int]:
    top = tree.lstat("")
    if top is None:
        return
    yield top.blocks * _BLOCK
    seen = set[tuple[int, int]]()
    waiting = [""]
    while waiting:
        here = waiting.pop()
        with suppress(OSError):
            for name, attributes in tree.entries(here):
                if isinstance(attributes, OSError):
                    continue
                identity = (attributes.dev, attributes.ino)
                if identity not in seen:
                    yield attributes.blocks * _BLOCK
                if attributes.kind is Kind.DIRECTORY:
                    waiting.append(join(here, name))
                elif attributes.nlink > 1:
                    seen.add(identity)
