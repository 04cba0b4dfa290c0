"""What one directory of a store takes on disk."""

from __future__ import annotations

import os

from ovlctl.ops.usage import directory_bytes


def bytes_of(directory: str) -> int | None:
    """:func:`ovlctl.ops.usage.directory_bytes`; None, too, where *directory* is a symbolic link or lies behind one.

    Engines make no links among their layers: what lies behind one is not theirs.
    """
    return directory_bytes(directory) if is_real(directory) else None


def is_real(directory: str) -> bool:
    """Whether *directory*, of a store whose root has no links, neither is a symbolic link nor lies behind one."""
    return os.path.realpath(directory) == directory
