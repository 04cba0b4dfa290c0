"""Changes as filter rules of rsync(1): a transfer of the merged view that touches the changed paths only.

Law: ``rsync -aHAX -I --delete --filter='merge RULES' MERGED/ COPY/`` makes a copy of the lower view one of the merged
view. A deleted path is included as well: what is excluded is protected from ``--delete``.

Names are bytes here. A line break in one is matched by ``?``, as rules are lines: another name that differs in that
character only would be transferred, too.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ovlctl.overlay.change import ChangeKind
from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ovlctl.overlay.change import Change

_WILD = b"*?["


def rsync_filter(changes: Iterable[Change]) -> Iterator[bytes]:
    """The rules for *changes*, told without renames, a line each."""
    told: set[bytes] = set()
    for change in changes:
        if not change.differs or not change.path:
            continue
        path = os.fsencode(change.path)
        parts = path.split(b"/")
        # What lies on the way, outermost first; those of the path before are known already.
        parents = [b"/".join(parts[:depth]) for depth in range(1, len(parts))]
        for parent in parents:
            if parent not in told:
                yield b"+ /" + _pattern(parent) + b"/\n"
        told = {*parents}
        if change.kind is not Kind.DIRECTORY:
            yield b"+ /" + _pattern(path) + b"\n"
        elif change.change is ChangeKind.DELETED:
            yield b"+ /" + _pattern(path) + b"/***\n"
        else:
            yield b"+ /" + _pattern(path) + b"/\n"
            told.add(path)
        if change.change is ChangeKind.REPLACED and change.kind is not Kind.DIRECTORY:
            # What was a directory is deleted with all that is in it.
            yield b"+ /" + _pattern(path) + b"/***\n"
    yield b"- *\n"


def _pattern(path: bytes) -> bytes:
    # A backslash protects only where there is a wildcard, and stands for itself elsewhere.
    if not any(char in path for char in (*_WILD, 0x0A, 0x0D)):
        return path
    escaped = path.replace(b"\\", b"\\\\")
    for char in (b"*", b"?", b"["):
        escaped = escaped.replace(char, b"\\" + char)
    return escaped.replace(b"\n", b"?").replace(b"\r", b"?")
