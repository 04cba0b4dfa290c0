"""Sets of stacks: what a stack file declares, and bringing the machine to it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovlctl.ops.sets.declared import StackFile


def load(path: str | os.PathLike[str]) -> StackFile:
    """What *path* declares, by what it is: a directory DIR.mstack as systemd has them, else a stack file.

    Raises:
        OvlError: as :func:`ovlctl.ops.sets.file.read` and :func:`ovlctl.ops.sets.mstack.read`.
    """
    if os.fspath(path).rstrip("/").endswith(".mstack") and os.path.isdir(path):
        from ovlctl.ops.sets import mstack

        return mstack.read(os.fspath(path))
    from ovlctl.ops.sets import file

    return file.read(path)
