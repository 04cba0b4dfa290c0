"""A small language for directory trees: what a test puts on disk, and what it finds there."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def make(base: str, tree: Mapping[str, str | bytes | None]) -> str:
    """Make *tree* below *base* and return *base*: path to content, None (or a final slash) for a directory."""
    os.makedirs(base, exist_ok=True)
    for path, content in tree.items():
        full = os.path.join(base, path.rstrip("/"))
        if content is None:
            os.makedirs(full, exist_ok=True)
            continue
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
    return base


def everything(base: str) -> dict[str, str]:
    """Every name below *base* with its type: what must be the same before and after something that failed."""
    found: dict[str, str] = {}
    for directory, names, files in os.walk(base):
        for name in (*names, *files):
            path = os.path.join(directory, name)
            found[os.path.relpath(path, base)] = stat.filemode(os.lstat(path).st_mode)[0]
    return found
