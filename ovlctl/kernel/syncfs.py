"""syncfs(2)."""

from __future__ import annotations

import ctypes
import os

from ovlctl.kernel.libc import StrPath, check, function

_syncfs = function("syncfs", ctypes.c_int, ctypes.c_int)


def syncfs(fd: int) -> None:
    """Write back the whole file system that *fd* lies on.

    syncfs(2), which since 5.8 tells of writes that failed since *fd* was opened, or that nobody was told of yet.

    Raises:
        OSError: EIO, ENOSPC or EDQUOT, some write was lost.
    """
    check(_syncfs(fd), fd)


def open_and_syncfs(directory: StrPath) -> None:
    """:func:`syncfs` of the file system that *directory* lies on."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syncfs(fd)
    finally:
        os.close(fd)
