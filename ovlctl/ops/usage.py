"""How much a layer takes on disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovlctl.ops.discover import Overlay


def upper_bytes(overlay: Overlay) -> int | None:
    """Bytes on disk of the upper, each hard-linked file counted once; None without an upper.

    Unreadable directories count as far as they can be read.
    """
    if overlay.stack.upper is None or not os.path.isabs(overlay.stack.upper):
        return None
    seen: set[int] = set()
    total = 0
    for _path, _names, files, directory in os.fwalk(overlay.stack.upper, follow_symlinks=False):
        total += os.fstat(directory).st_blocks * 512
        for name in files:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if status.st_nlink == 1 or status.st_ino not in seen:
                seen.add(status.st_ino)
                total += status.st_blocks * 512
    return total
