"""The verbs that read, for programs: a stack is opened once and asked as often as wanted.

::

    with ovlctl.read("web") as view:
        for change in ovlctl.diff(view):
            print(change)

What cannot be read comes as a value, :class:`~ovlctl.overlay.resolution.Unreadable`, between the others.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ovlctl.ops import diffing, reading
from ovlctl.ops.reading import layer_names
from ovlctl.ops.state import State, locate
from ovlctl.overlay.changes import changes
from ovlctl.overlay.merged import walk
from ovlctl.overlay.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ovlctl.ops.du.values import Usage
    from ovlctl.ops.reading import Subject, View
    from ovlctl.overlay.change import Change
    from ovlctl.overlay.merged import Entry
    from ovlctl.overlay.resolution import Unreadable

Named = str | os.PathLike[str] | Stack


def _subject(stack: Named, state_dir: str | os.PathLike[str] | State | None) -> Subject:
    if isinstance(stack, Stack):
        return reading.of_directories(stack)
    state = state_dir if isinstance(state_dir, State) else locate(None if state_dir is None else os.fspath(state_dir))
    return reading.subject(state, os.fspath(stack))


@contextmanager
def read(stack: Named, *, state_dir: str | os.PathLike[str] | State | None = None) -> Iterator[View]:
    """Open the layers of a stack for reading; nothing is mounted.

    Args:
        stack: A name, a mount point, a path in it, a stack of a file; or its directories.
        state_dir: Whose names count.

    Raises:
        OvlError: as :func:`ovlctl.ops.reading.subject` and :func:`ovlctl.ops.reading.opened`.
    """
    with reading.opened(_subject(stack, state_dir)) as view:
        yield view


def tree(view: View, path: str = "", *, hidden: bool = False) -> Iterator[Entry | Unreadable]:
    """Everything below *path* in the merged view: see :func:`ovlctl.overlay.merged.walk`."""
    return walk(view.resolver, path, hidden=hidden)


def diff(
    view: View, older: View | None = None, *, layer: str = "upper", content: bool = False, paths: Iterable[str] = ("",)
) -> Iterator[Change | Unreadable]:
    """What the upper of a stack changes of its lowers, or how a stack differs from an older one.

    Args:
        view: The stack.
        older: Compare with this one.
        layer: The layer whose changes are asked for, as on the command line: ``upper`` or the number of a lower.
        content: Read files whose size and time do not tell whether they are equal.
        paths: Only what is at or below one of these.

    Raises:
        NothingAbove, LayerMissing: as :func:`ovlctl.ops.diffing.of_stack`.
    """
    pair = (
        diffing.of_stack(view, layer_names.parse(layer)) if older is None else diffing.of_two(older=older, newer=view)
    )
    return changes(pair.above, pair.below, content=content, paths=paths)


def du(
    *stacks: Named, content: bool = False, top: int = 10, state_dir: str | os.PathLike[str] | State | None = None
) -> Usage:
    """What stacks take on disk, each inode and extent once: see :func:`ovlctl.ops.du.du`. No look is remembered."""
    from ovlctl.ops.du import du as measure

    return measure([_subject(stack, state_dir) for stack in stacks], content=content, top=top, remember=False)
