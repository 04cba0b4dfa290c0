"""The steps of a whole set: each makes or ends one stack, and is worked out when its turn comes.

It cannot be worked out earlier: a check of a stack that stands on another one needs that one's mount.
"""

from __future__ import annotations

import os
from enum import Enum
from typing import TYPE_CHECKING

from ovlctl.errors import Note
from ovlctl.ops import discover, keeping, mounting, unmounting
from ovlctl.ops.discover import Standing
from ovlctl.ops.keeping import TmpfsUpper
from ovlctl.ops.preflight import trusted_xattrs
from ovlctl.ops.records import source_of
from ovlctl.ops.steps import run
from ovlctl.overlay import encode
from ovlctl.overlay.options import stated

if TYPE_CHECKING:
    from collections.abc import Callable

    from ovlctl.kernel.bootcache import Ask
    from ovlctl.ops.discover import Overlay
    from ovlctl.ops.mounting import MountPlan
    from ovlctl.ops.sets.resolve import Wish
    from ovlctl.ops.state import State
    from ovlctl.ops.steps import Step


class Course(Enum):
    """How far a step of a set came."""

    WAITING = "waiting"
    FAILED = "failed"
    DONE = "done"
    UNDONE = "undone"


class Make:
    """Mount one declared stack.

    Args:
        state: Where its record goes; held by the caller.
        wish: What is declared.
        ask: How questions about the kernel are put.
        watch: Called after each step of the mount.
    """

    def __init__(self, state: State, wish: Wish, ask: Ask, watch: Callable[[Step], None] | None) -> None:
        self.name = wish.name
        self.course = Course.WAITING
        self.plan: MountPlan | None = None
        self._state, self._wish, self._ask, self._watch = state, wish, ask, watch

    def planned(self) -> MountPlan:
        """The steps of the mount, which can be known when everything it stands on is mounted.

        Raises:
            OvlError: as :func:`ovlctl.ops.mounting.plan`.
        """
        wish = self._wish
        return mounting.plan(
            wish.stack,
            wish.target,
            allocate=wish.allocate,
            name=wish.name,
            allow_weaker=wish.allow_weaker,
            origin=wish.origin,
            # The file says which lowers the upper of this name belongs to.
            rebase=True,
            state_dir=self._state,
            ask=self._ask,
        )

    def describe(self) -> Note:
        """The equivalent mount(8) line."""
        stack = self._wish.whole
        told = stated(stack.options, trusted_xattrs=trusted_xattrs())
        line = ("ro," if stack.read_only else "") + os.fsdecode(encode.mount_data(stack, told))
        return Note(f"mount -t overlay -o {{}} {source_of(self.name)} {{}}", (line, self._wish.point))

    def apply(self) -> None:
        """Work it out and mount it."""
        self.course = Course.FAILED
        plan = self.planned()
        run(plan.steps, self._watch)
        self.plan, self.course = plan, Course.DONE

    def undo(self) -> None:
        """Unmount it, and put back what was there of it before."""
        for step in reversed(self.plan.steps if self.plan is not None else ()):
            step.undo()
        self.course = Course.UNDONE


class End:
    """End one stack, without discarding anything; what was interrupted is finished.

    Args:
        state: Where its record is; held by the caller.
        overlay: The stack, which has a record.
        ask: How questions about the kernel are put.
        watch: Called after each step.
    """

    def __init__(self, state: State, overlay: Overlay, ask: Ask, watch: Callable[[Step], None] | None) -> None:
        self.name = overlay.name or ""
        self.course = Course.WAITING
        self.kept: str | None = None
        self._state, self._overlay, self._ask, self._watch = state, overlay, ask, watch

    def steps(self) -> tuple[Step, ...]:
        """The steps that end it, as they can be known now."""
        plan = unmounting.plan(self.name, state_dir=self._state)
        self.kept = plan.kept
        return plan.steps

    def describe(self) -> Note:
        """The command."""
        return Note(f"ovlctl umount {self.name}   # {{}}", (self._overlay.target or "",))

    def apply(self) -> None:
        """End it; when that fails halfway, it is mounted again."""
        self.course = Course.FAILED
        try:
            run(self.steps(), self._watch)
        except BaseException:
            if self._was_mounted and not self._is_mounted():
                self._mount_again()
            raise
        self.course = Course.DONE

    def undo(self) -> None:
        """Mount it again as it was; what was only a record, or was being discarded already, is gone for good."""
        record = self._overlay.record
        if self._was_mounted and record is not None and not record.discard:
            self._mount_again()
        self.course = Course.UNDONE

    @property
    def _was_mounted(self) -> bool:
        return self._overlay.standing is Standing.MOUNTED

    def _is_mounted(self) -> bool:
        found = (each for each in discover.overlays(self._state).overlays if each.name == self.name)
        return any(each.standing is Standing.MOUNTED for each in found)

    def _mount_again(self) -> None:
        record = self._overlay.record
        if record is None:
            return
        in_memory = record.tmpfs is not None
        own_point = record.target == keeping.layout(self._state, self.name, in_memory=in_memory).merged
        plan = mounting.plan(
            record.stack,
            None if own_point else record.target,
            allocate=TmpfsUpper(record.tmpfs_size) if in_memory else None,
            name=self.name,
            # As it was: what the kernel left out then was accepted, or it would not have stood.
            allow_weaker=True,
            origin=record.origin,
            rebase=True,
            state_dir=self._state,
            ask=self._ask,
        )
        run(plan.steps)
