"""Things done to a path of a mount, by chance."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from ovlctl.overlay.options import Flag, Options, RedirectDir, Switch, Xino
from tests import capabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: Two lowers for it.
LOWERS = (
    {"a/a": "1", "a/b/c": "2", "b": "3"},
    {"a/a": "4", "a/c": "5", "c/a/b": "6", "c/b": "7"},
)


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

_paths = st.lists(st.sampled_from(("a", "b", "c")), min_size=1, max_size=3).map("/".join)
steps = st.lists(st.tuples(st.sampled_from(ACTIONS), _paths, _paths), max_size=12)
options = st.sampled_from(
    [
        Options(),
        Options(redirect_dir=RedirectDir.ON),
        Options(metacopy=Switch.ON),
        Options(metacopy=Switch.ON, index=Switch.ON),
        *([Options(userxattr=Flag.YES)] if capabilities.userxattr() else []),
        Options(redirect_dir=RedirectDir.ON, xino=Xino.ON),
    ]
)


def do(point: str, actions: Iterable[tuple[Callable[[str, str], None], str, str]]) -> None:
    """Do *actions*, each to two paths below *point*; what the kernel refuses, it refuses."""
    for action, path, other in actions:
        with suppress(OSError):
            action(os.path.join(point, path), os.path.join(point, other))
