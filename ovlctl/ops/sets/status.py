"""How what is mounted stands to what a stack file declares, and what was changed in the lowers since."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ovlctl.errors import Note
from ovlctl.ops import discover, drift
from ovlctl.ops.discover import Standing
from ovlctl.ops.sets.compare import deviations, newest_first
from ovlctl.ops.sets.graph import graph
from ovlctl.ops.sets.resolve import wish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.ops.discover import Overlay
    from ovlctl.ops.drift import Drift
    from ovlctl.ops.records import Record
    from ovlctl.ops.sets.declared import StackFile
    from ovlctl.ops.sets.resolve import Wish
    from ovlctl.ops.state import State


class Condition(StrEnum):
    """How a stack stands to its declaration.

    AS_DECLARED: mounted so. CHANGED: mounted otherwise. NOT_MOUNTED: declared only. NOT_DECLARED: mounted from this
    file, and not in it any more.
    """

    AS_DECLARED = "as declared"
    CHANGED = "changed"
    NOT_MOUNTED = "not mounted"
    NOT_DECLARED = "not declared"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackStatus:
    """One stack of a file.

    Attributes:
        name: The stack.
        condition: How it stands to its declaration.
        reasons: Why it is not as declared.
        point: Its mount point.
        overlay: What is there of it.
        drift: What was changed in its lowers; None when it is not mounted, or was not asked for, or cannot be known.
    """

    name: str
    condition: Condition
    reasons: tuple[Note, ...]
    point: str
    overlay: Overlay | None
    drift: Drift | None

    @property
    def is_another(self) -> bool:
        """Whether what is mounted under its name does not come from this file, or not from this mount namespace."""
        away = self.overlay is not None and self.overlay.standing in {Standing.MOUNTED, Standing.ELSEWHERE}
        return away and self.condition is Condition.NOT_MOUNTED

    @property
    def fine(self) -> bool:
        """Whether it is as declared, over lowers that nobody changed."""
        return self.condition is Condition.AS_DECLARED and (self.drift is None or not self.drift.changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetStatus:
    """All stacks of a file.

    Attributes:
        file: The file.
        stacks: In the order of the file, then those that are not declared any more.
        warnings: What could not be read.
    """

    file: StackFile
    stacks: tuple[StackStatus, ...]
    warnings: tuple[Note, ...]

    @property
    def fine(self) -> bool:
        """Whether every one is fine."""
        return all(stack.fine for stack in self.stacks)


def status(file: StackFile, names: Sequence[str] | None = None, *, state: State, lowers: bool = True) -> SetStatus:
    """How the stacks of *file* are.

    Args:
        file: What is declared.
        names: Only these; None for all, and for what was mounted from this file and is not declared any more.
        state: Where records are kept.
        lowers: Whether to look for changes in the lowers, at every file of them.

    Raises:
        StackUndeclared, StacksInCircle, StackTooDeep: as :func:`ovlctl.ops.sets.graph.graph`.
    """
    drawn = graph(file)
    found = discover.overlays(state)
    there = {overlay.name: overlay for overlay in found.overlays if overlay.name is not None}
    chosen = [stack.name for stack in file.stacks] if names is None else [drawn.stack(name).name for name in names]
    rows = [_declared(wish(file, name, state), there.get(name)) for name in dict.fromkeys(chosen)]
    if names is None:
        known = {stack.name for stack in file.stacks}
        left = newest_first(
            each
            for each in found.overlays
            if each.name not in known and each.record is not None and each.record.origin == file.path
        )
        rows += [_undeclared(each) for each in left]
    records = [record for record in map(_standing, rows) if record is not None] if lowers else []
    drifts = drift.since_mount(records)
    stacks = (
        StackStatus(
            name=row.name,
            condition=row.condition,
            reasons=row.reasons,
            point=row.point,
            overlay=row.overlay,
            drift=drifts.get(row.name),
        )
        for row in rows
    )
    return SetStatus(file=file, stacks=tuple(stacks), warnings=found.warnings)


def _standing(row: StackStatus) -> Record | None:
    """The record of a stack that is mounted."""
    if row.condition is Condition.NOT_MOUNTED or row.overlay is None or row.overlay.mount is None:
        return None
    return row.overlay.record


def _declared(wanted: Wish, overlay: Overlay | None) -> StackStatus:
    condition = Condition.NOT_MOUNTED
    reasons: tuple[Note, ...] = ()
    record = None if overlay is None else overlay.record
    if overlay is not None and record is not None:
        ours = overlay.standing is Standing.MOUNTED and record.origin == wanted.origin
        reasons = tuple(deviations(wanted, overlay, record)) if ours else (_other(overlay, record),)
        if ours:
            condition = Condition.CHANGED if reasons else Condition.AS_DECLARED
    return StackStatus(
        name=wanted.name, condition=condition, reasons=reasons, point=wanted.point, overlay=overlay, drift=None
    )


def _other(overlay: Overlay, record: Record) -> Note:
    """What there is instead of the mount that is declared."""
    if overlay.standing is Standing.ELSEWHERE:
        return Note(f"is mounted in another mount namespace, that of pid {overlay.elsewhere}")
    if overlay.standing is Standing.STALE:
        return Note(f"a record of it is left, {record.phase} at {{}}", (record.target,))
    if record.origin is None:
        return Note("another stack of this name is mounted at {}, not from a file", (record.target,))
    return Note("another stack of this name is mounted at {}, from {}", (record.target, record.origin))


def _undeclared(overlay: Overlay) -> StackStatus:
    mounted = overlay.standing is Standing.MOUNTED
    why = Note("is mounted from this file" if mounted else "a record of it is left")
    return StackStatus(
        name=overlay.name or "",
        condition=Condition.NOT_DECLARED,
        reasons=(why,),
        point=overlay.target or "",
        overlay=overlay,
        drift=None,
    )
