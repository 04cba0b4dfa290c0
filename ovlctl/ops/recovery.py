"""Finishing what was interrupted: a record whose mount is gone, or never came to be."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.errors import Note
from ovlctl.kernel.mount import MNT, umount2
from ovlctl.ops import keeping, records
from ovlctl.ops.state import sweep

if TYPE_CHECKING:
    from ovlctl.ops.keeping import Layout
    from ovlctl.ops.records import Record
    from ovlctl.ops.state import State


@dataclass(eq=False, repr=False)
class Recover:
    """Forget a stale record, and remove the directories made for it that are still empty.

    An upper that holds anything is kept, as after an orderly unmount: a crash is no order to discard. Whatever the
    record says, only empty directories in the stack's own place are removed.
    """

    state: State
    record: Record

    def describe(self) -> Note:
        """What was interrupted."""
        return Note(f"clear away what was interrupted while {self.record.phase} {{}}", (self.record.target,))

    def removes(self) -> frozenset[str]:
        """The directories that :meth:`apply` will remove."""
        place = self._place()
        own = {place.base, place.tmpfs, place.upper, place.work, place.merged}
        upper_is_full = place.upper in self.record.made and holds_something(place.upper)
        return frozenset() if upper_is_full else frozenset(own.intersection(self.record.made))

    def apply(self) -> None:
        """Clear away; what turns out to be in use or full stays."""
        place, doomed = self._place(), self.removes()
        if place.work in doomed:
            # Made by the kernel inside a work directory that ovlctl made.
            for name in ("work", "index"):
                _remove_if_empty(os.path.join(place.work, name))
        for path in (place.upper, place.work):
            if path in doomed:
                _remove_if_empty(path)
        if place.tmpfs in doomed and place.mounted_tmpfs() is not None and not holds_something(place.tmpfs):
            with suppress(OSError):
                umount2(place.tmpfs, MNT.UMOUNT_NOFOLLOW)
        if doomed and not os.path.lexists(place.upper):
            with suppress(FileNotFoundError):
                os.unlink(place.note)
        if place.base in doomed and os.path.isdir(place.base):
            sweep(place.base)
        for path in (place.tmpfs, place.merged, place.base):
            if path in doomed:
                _remove_if_empty(path)
        records.remove(self.state, self.record.name)

    def _place(self) -> Layout:
        return keeping.layout(self.state, self.record.name, in_memory=self.record.tmpfs is not None)

    def undo(self) -> None:
        """Nothing to take back: what is gone was empty."""


def holds_something(path: str) -> bool:
    """Whether the directory *path* has entries; one that cannot be read is taken to have some."""
    try:
        return bool(os.listdir(path))
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _remove_if_empty(path: str) -> None:
    with suppress(OSError):
        os.rmdir(path)
