"""Stacks on real mounts, opened for reading as the commands open them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ovlctl.kernel.mounts import mount_at
from ovlctl.ops import discover, reading
from ovlctl.overlay.stack import Stack
from tests import trees

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ovlctl.ops.reading import View
    from ovlctl.overlay.options import Options


@contextmanager
def viewing(point: str) -> Iterator[View]:
    """The overlay mounted at *point*."""
    with reading.opened(reading.of_overlay(discover.of_mount(mount_at(point), None))) as view:
        yield view


@contextmanager
def viewing_directories(stack: Stack) -> Iterator[View]:
    """*stack*, which is not mounted."""
    with reading.opened(reading.of_directories(stack)) as view:
        yield view


def fresh(base: str, name: str, lowers: list[str], options: Options) -> Stack:
    """A stack with a new upper and work directory below *base*."""
    trees.make(base, {f"{name}-upper/": None, f"{name}-work/": None})
    return Stack(lowers, upper=f"{base}/{name}-upper", work=f"{base}/{name}-work", options=options)


def lower(base: str, tree: Mapping[str, str | bytes | None]) -> str:
    """A new lower below *base*."""
    os.makedirs(base, exist_ok=True)
    return trees.make(base, tree)


def data_bytes(path: str) -> int:
    """Bytes of a file that are data and no hole, in whole blocks of its file system."""
    fd = os.open(path, os.O_RDONLY)
    try:
        size, position, found = os.fstat(fd).st_size, 0, 0
        while position < size:
            try:
                start = os.lseek(fd, position, os.SEEK_DATA)
            except OSError:
                break  # ENXIO: nothing but a hole is left
            position = os.lseek(fd, start, os.SEEK_HOLE)
            found += position - start
        return found
    finally:
        os.close(fd)
