"""Finishing what was interrupted: a record whose mount is gone, or never came to be."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.errors import Note
from ovlctl.kernel import mounts
from ovlctl.kernel.mount import umount2
from ovlctl.ops import keeping, records

if TYPE_CHECKING:
    from ovlctl.ops.records import Record
    from ovlctl.ops.state import State


@dataclass(eq=False, repr=False)
class Recover:
    """Forget a stale record, and remove the directories made for it that are still empty.

    An upper that holds anything is kept, as after an orderly unmount: a crash is no order to discard.
    """

    state: State
    record: Record

    def describe(self) -> Note:
        """What was interrupted."""
        return Note(f"clear away what was interrupted while {self.record.phase} {{}}", (self.record.target,))

    def removes(self) -> frozenset[str]:
        """The directories that :meth:`apply` will remove."""
        upper = self.record.stack.upper
        empty = upper is None or upper not in self.record.made or _is_empty(upper)
        return frozenset(self.record.made) if empty else frozenset()

    def apply(self) -> None:
        """Clear away."""
        if self.removes():
            place = keeping.layout(self.state, self.record.name, in_memory=self.record.tmpfs is not None)
            _remove_empty(self.record, place.note)
        records.remove(self.state, self.record.name)

    def undo(self) -> None:
        """Nothing to take back: what is gone was empty."""


def _remove_empty(record: Record, note: str) -> None:
    work = record.stack.work
    if work is not None and work in record.made:
        # Made by the kernel inside a work directory that ovlctl made.
        _rmdir(os.path.join(work, "work"))
        _rmdir(os.path.join(work, "index"))
    made = set(record.made)
    for path in (record.stack.upper, work):
        if path in made:
            _rmdir(path)
            made.discard(path)
    if record.tmpfs is not None and _is_empty(record.tmpfs) and _is_mounted(record.tmpfs):
        umount2(record.tmpfs)
    if os.path.exists(note) and not _is_there(record.stack.upper):
        os.unlink(note)
    for path in reversed(record.made):
        _rmdir(path)


def _is_mounted(path: str) -> bool:
    return os.path.isdir(path) and mounts.mount_at(path).mount_point == path


def _is_there(path: str | None) -> bool:
    return path is not None and os.path.lexists(path)


def _is_empty(path: str) -> bool:
    try:
        return not os.listdir(path)
    except FileNotFoundError:
        return True


def _rmdir(path: str) -> None:
    """Remove an empty directory; one that is missing, full or a mount point stays as it is."""
    try:
        os.rmdir(path)
    except OSError:
        return
