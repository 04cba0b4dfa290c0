"""Stacks opened for reading, as the verbs open them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ovlctl.ops import reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.reading import View
    from ovlctl.overlay.stack import Stack


@contextmanager
def viewing(stack: Stack) -> Iterator[View]:
    """A stack of directories, not mounted as far as the reader knows."""
    with reading.opened(reading.of_directories(stack)) as view:
        yield view
