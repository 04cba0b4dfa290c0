"""Lines of at most 80 columns, or as many as there are, in which names and sizes stay in one piece."""

from __future__ import annotations

import errno
import os
import re
from contextlib import contextmanager
from contextvars import ContextVar
from textwrap import fill
from typing import TYPE_CHECKING

from ovlctl.show.names import show_name

if TYPE_CHECKING:
    from collections.abc import Iterator

_WIDTH = ContextVar("_WIDTH", default=80)
# What textwrap does not break at. No shown name holds one.
_GLUE = "\u00a0"
_UNIT = re.compile(r"(?<=\d) (?=(?:[KMGTPE]i)?B\b|[nu]s\b|ms\b|s\b)")


@contextmanager
def columns(width: int) -> Iterator[None]:
    """Wrap at *width* columns as long as the block runs."""
    before = _WIDTH.set(width)
    try:
        yield
    finally:
        _WIDTH.reset(before)


def wrapped(text: str, first: str, rest: str | None = None) -> str:
    """*text* on as many lines as it takes.

    Args:
        text: Printable.
        first: What stands before the first line.
        rest: What stands before the others; as many blanks as *first* is wide, when not given.
    """
    return fill(
        _UNIT.sub(_GLUE, text),
        _WIDTH.get(),
        initial_indent=first,
        subsequent_indent=" " * len(first) if rest is None else rest,
        break_long_words=False,
        break_on_hyphens=False,
    ).replace(_GLUE, " ")


def whole(name: str) -> str:
    """A name to stand in a text that is :func:`wrapped`."""
    return show_name(name).replace(" ", _GLUE)


def view_path(path: str) -> str:
    """A path of the merged view, from its root, to stand in a text that is :func:`wrapped`."""
    return whole("/" + path)


def named(number: int) -> str:
    """An error number in words and by its symbol."""
    return f"{os.strerror(number)} ({errno.errorcode.get(number, number)})"
