"""Things done to a path of a mount, by chance."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def _write(path: str, _other: str) -> None:
    # A fifo without a reader would wait for one.
    opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK)
    os.write(opened, b"more")
    os.close(opened)


def _replace(path: str, _other: str) -> None:
    if not os.path.isdir(path):
        return  # rmtree() opens what it is given, and a fifo waits for a writer
    shutil.rmtree(path)
    os.mkdir(path)


def _mknod(path: str, _other: str) -> None:
    os.mkfifo(path)


ACTIONS: tuple[Callable[[str, str], None], ...] = (
    _write,
    _replace,
    _mknod,
    lambda path, _other: os.chmod(path, 0o700),
    lambda path, _other: os.truncate(path, 1),
    lambda path, _other: os.setxattr(path, "user.x", b"y"),
    lambda path, _other: os.unlink(path),
    lambda path, _other: os.rmdir(path),
    lambda path, _other: os.mkdir(path),
    lambda path, _other: os.symlink("a", path),
    os.link,
    os.rename,
    os.rename,
    os.rename,
)


def do(point: str, steps: Iterable[tuple[Callable[[str, str], None], str, str]]) -> None:
    """Do *steps*, each to two paths below *point*; what the kernel refuses, it refuses."""
    for action, path, other in steps:
        with suppress(OSError):
            action(os.path.join(point, path), os.path.join(point, other))
