"""How much a directory takes on disk."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovlctl.ops.discover import Overlay

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def upper_bytes(overlay: Overlay) -> int | None:
    """:func:`directory_bytes` of an overlay's upper; None without one."""
    upper = overlay.stack.upper
    return None if upper is None or not os.path.isabs(upper) else directory_bytes(upper)


def directory_bytes(directory: str) -> int | None:
    """Bytes on disk of what is in a directory, each hard-linked file counted once.

    None when it cannot be read; what vanishes meanwhile, or cannot be read further down, is left out. Nothing is
    followed out of the directory.
    """
    try:
        os.close(os.open(directory, _OPEN))
    except OSError:
        return None
    total, seen = 0, set[tuple[int, int]]()
    device = os.lstat(directory).st_dev
    waiting = [directory]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    identity = (status.st_dev, status.st_ino)
                    if status.st_nlink == 1 or identity not in seen:
                        total += status.st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        if status.st_dev == device:
                            waiting.append(entry.path)
                    elif status.st_nlink > 1:
                        seen.add(identity)
    return total
