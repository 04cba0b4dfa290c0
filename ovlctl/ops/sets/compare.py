"""What is mounted against what a stack file declares."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note
from ovlctl.ops import discover, records
from ovlctl.ops.discover import Standing
from ovlctl.ops.keeping import TmpfsUpper
from ovlctl.ops.preflight import trusted_xattrs
from ovlctl.ops.records import Phase
from ovlctl.ops.sets.busy import covering
from ovlctl.ops.sets.graph import graph, is_below
from ovlctl.ops.sets.resolve import wish
from ovlctl.overlay.options import stated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.ops.discover import Overlay
    from ovlctl.ops.records import Record
    from ovlctl.ops.sets.declared import StackFile
    from ovlctl.ops.sets.graph import Graph
    from ovlctl.ops.sets.resolve import Wish
    from ovlctl.ops.state import State


class Action(StrEnum):
    """What has to happen to a stack so that it is as declared.

    MAKE: mount it. CHANGE: end it and mount it anew. KEEP: nothing. END: end it, as it is not declared any more.
    """

    MAKE = "make"
    CHANGE = "change"
    KEEP = "keep"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackAction:
    """What has to happen to one stack.

    Attributes:
        name: The stack.
        action: What.
        reasons: Why.
        point: Its mount point, now or then.
        wish: What is declared; None for one that is not.
        overlay: What is there of it now, mounted or not.
    """

    name: str
    action: Action
    reasons: tuple[Note, ...]
    point: str
    wish: Wish | None
    overlay: Overlay | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPlan:
    """What brings the machine to what a file declares.

    Attributes:
        file: The file.
        drawn: What its stacks stand on.
        actions: One per stack, in the order of mounting; what is to be ended comes last.
        others: Every other overlay that is mounted here.
        warnings: What could not be read, and what is worth saying about the file.
    """

    file: StackFile
    drawn: Graph
    actions: tuple[StackAction, ...]
    others: tuple[Overlay, ...]
    warnings: tuple[Note, ...]

    @property
    def changes(self) -> bool:
        """Whether anything has to happen."""
        return bool(self.moving)

    @property
    def moving(self) -> frozenset[str]:
        """Names of all stacks to which something has to happen."""
        return frozenset(each.name for each in self.actions if each.action is not Action.KEEP)

    @property
    def making(self) -> tuple[Wish, ...]:
        """What is to be mounted, in order."""
        wanted = (Action.MAKE, Action.CHANGE)
        return tuple(each.wish for each in self.actions if each.action in wanted and each.wish is not None)

    @property
    def changing(self) -> tuple[Overlay, ...]:
        """What is to be ended and mounted anew."""
        changed = (each.overlay for each in self.actions if each.action is Action.CHANGE)
        return tuple(overlay for overlay in changed if overlay is not None)

    @property
    def ending(self) -> tuple[Overlay, ...]:
        """What is to be ended, in order: of the mounts the latest first, then records without a mount."""
        wanted = (Action.CHANGE, Action.END)
        return newest_first(each.overlay for each in self.actions if each.action in wanted and each.overlay is not None)


def newest_first(overlays: Iterator[Overlay]) -> tuple[Overlay, ...]:
    """*overlays* in an order in which they can be ended: what was mounted later may stand on what was there before."""

    def age(overlay: Overlay) -> tuple[int, int]:
        mount, record = overlay.mount, overlay.record
        # Of the two kinds of mount ids only the unique ones are never given out again.
        began = 0 if record is None or record.began_ns is None else record.began_ns
        return (0 if mount is None else mount.unique_id or 1, began)

    return tuple(sorted(overlays, key=age, reverse=True))


def plan(file: StackFile, names: Sequence[str] | None = None, *, state: State) -> SetPlan:
    """What brings the stacks of *file* to what it declares; changes nothing.

    Args:
        file: What is declared.
        names: Only these, and what they stand on, and what stands on those of them that change; None for all, and
            then what was mounted from this file and is not declared any more is ended.
        state: Where records are kept.

    Raises:
        StackUndeclared, StacksInCircle, StackTooDeep: see :func:`ovlctl.ops.sets.graph.graph`.
        NameTaken: when a stack of that name is mounted that does not come from this file.
    """
    drawn = graph(file)
    found = discover.overlays(state)
    there = {overlay.name: overlay for overlay in found.overlays if overlay.name is not None}
    chosen = frozenset(stack.name for stack in drawn.order) if names is None else drawn.with_grounds(names)
    actions: list[StackAction] = []
    moving: set[str] = set()
    for stack in drawn.order:
        action = _action(wish(file, stack.name, state), there.get(stack.name), mine=stack.name in chosen)
        grounds = [other.name for other in drawn.order if other.name in drawn.mounted_first[stack.name] & moving]
        mounted = action.overlay is not None and action.overlay.standing is Standing.MOUNTED
        if grounds and mounted and is_from(action.overlay, file.path):
            why = tuple(Note(f"stands on {name}, which is mounted anew") for name in grounds)
            action = replace(action, action=Action.CHANGE, reasons=(*action.reasons, *why))
        elif stack.name not in chosen:
            continue
        actions.append(action)
        if action.action is not Action.KEEP:
            moving.add(stack.name)
    if names is None:
        declared = {stack.name for stack in file.stacks}
        gone = (overlay for overlay in found.overlays if overlay.name not in declared)
        actions += (_end(overlay) for overlay in newest_first(o for o in gone if is_from(o, file.path)))
    touched = {each.name for each in actions}
    others = (o for o in found.overlays if o.standing is Standing.MOUNTED and (o.name is None or o.name not in touched))
    remarks = file.remarks if moving else ()
    return SetPlan(
        file=file,
        drawn=drawn,
        actions=tuple(actions),
        others=tuple(others),
        warnings=(*found.warnings, *remarks),
    )


def is_from(overlay: Overlay | None, path: str) -> bool:
    """Whether *overlay* was mounted here from the stack file *path*, or a record tells of it."""
    if overlay is None or overlay.record is None or overlay.standing is Standing.ELSEWHERE:
        return False
    return overlay.record.origin == path


def _end(overlay: Overlay) -> StackAction:
    name, target = overlay.name or "", overlay.target or ""
    why = Note("is not declared any more")
    return StackAction(name=name, action=Action.END, reasons=(why,), point=target, wish=None, overlay=overlay)


def _action(wanted: Wish, overlay: Overlay | None, *, mine: bool) -> StackAction:
    action = Action.MAKE
    reasons: tuple[Note, ...] = (Note("is not mounted"),)
    if overlay is not None:
        if mine:
            _check_ours(wanted, overlay)
        record = overlay.record
        if overlay.standing is Standing.KEPT:
            reasons = (*reasons, Note("its upper {} was kept", (overlay.stack.upper or "",)))
        elif overlay.standing is Standing.STALE and record is not None and record.phase is not Phase.MOUNTED:
            reasons = (*reasons, _interrupted(record))
        elif overlay.standing is Standing.MOUNTED and record is not None:
            reasons = tuple(deviations(wanted, overlay, record))
            action = Action.CHANGE if reasons else Action.KEEP
    return StackAction(
        name=wanted.name, action=action, reasons=reasons, point=wanted.point, wish=wanted, overlay=overlay
    )


def _check_ours(wanted: Wish, overlay: Overlay) -> None:
    """Refuse to take a stack for ours that only has the same name."""
    if overlay.record is None:
        return
    if overlay.standing is Standing.ELSEWHERE:
        raise errors.NameTaken(
            f"{wanted.name} is mounted at {{}} in another mount namespace, that of pid {overlay.elsewhere}",
            overlay.record.target,
            hint=f"`nsenter -t {overlay.elsewhere} -m ovlctl umount {wanted.name}` ends it there",
        )
    if overlay.standing is Standing.MOUNTED and overlay.record.origin != wanted.origin:
        by = "was not mounted from {1}" if overlay.record.origin is None else "was mounted from {2}, not from {1}"
        raise errors.NameTaken(
            f"the stack {wanted.name} at {{0}} {by}",
            overlay.record.target,
            wanted.origin,
            overlay.record.origin or "",
            hint=f"`ovlctl umount {wanted.name}` first, or give the stack another name in the file",
        )


def _interrupted(record: Record) -> Note:
    return Note(f"was interrupted while {record.phase}")


def deviations(wanted: Wish, overlay: Overlay, record: Record) -> Iterator[Note]:
    """In what the mounted *overlay* differs from what is declared; nothing when it is as declared."""
    if record.phase is not Phase.MOUNTED:
        yield _interrupted(record)
    if overlay.mount is not None and (over := covering(overlay.mount)) is not None:
        yield Note("cannot be reached: the mount at {} hides it", (over.mount_point,))
    now = overlay.stack
    if record.target != wanted.point:
        yield Note("its target is {}, declared is {}", (record.target, wanted.point))
    yield from _layers("lower", now.lowers, wanted.stack.lowers)
    yield from _layers("data-only lower", now.data_only, wanted.stack.data_only)
    yield from _upper(wanted, overlay, record)
    # What is stated to the kernel counts: to ask for what is the case anyway changes nothing.
    was, will = (stated(each, trusted_xattrs=trusted_xattrs()) for each in (record.stack.options, wanted.stack.options))
    for (key, one), (_, other) in zip(was.items(), will.items(), strict=True):
        if one is not other:
            yield Note(f"option {key.name} is {one or 'not asked for'}, declared is {other or 'nothing'}")
    yield from replaced(record, wanted)


def _layers(what: str, now: tuple[str, ...], wanted: tuple[str, ...]) -> Iterator[Note]:
    gone = [path for path in now if path not in wanted]
    come = [path for path in wanted if path not in now]
    yield from (Note(f"the {what} {{}} is not declared any more", (path,)) for path in gone)
    yield from (Note(f"the {what} {{}} is declared and not mounted", (path,)) for path in come)
    if not gone and not come and now != wanted:
        yield Note(f"its {what}s are declared in another order")


def _upper(wanted: Wish, overlay: Overlay, record: Record) -> Iterator[Note]:
    now = overlay.stack
    if (now.upper, now.work) != (wanted.upper, wanted.work):
        if now.upper is None:
            yield Note("has no upper, declared is {}", (wanted.upper or "",))
        elif wanted.upper is None:
            yield Note("has the upper {}, declared is none", (now.upper,))
        elif now.upper != wanted.upper:
            yield Note("its upper is {}, declared is {}", (now.upper, wanted.upper))
        else:
            yield Note("its work directory is {}, declared is {}", (now.work or "", wanted.work or ""))
    elif isinstance(wanted.allocate, TmpfsUpper) and wanted.allocate.size != record.tmpfs_size:
        was, will = record.tmpfs_size, wanted.allocate.size
        yield Note(f"its upper in memory has {_bytes(was)}, declared is {_bytes(will)}")


def _bytes(size: int | None) -> str:
    return "the default size" if size is None else f"{size} bytes"


def replaced(record: Record, wanted: Wish | None = None) -> Iterator[Note]:
    """Lowers of a mount whose paths lead to something else now; with *wanted* only those that are declared still."""
    paths = (*record.stack.lowers, *record.stack.data_only)
    for path, was in zip(paths, record.seen, strict=False):
        if wanted is not None and path not in (*wanted.stack.lowers, *wanted.stack.data_only):
            continue
        if is_below(path, record.target):
            # Covered by the mount itself.
            continue
        try:
            now = records.seen_at(path)
        except OSError as error:
            yield Note(f"the lower {{}} cannot be looked at: {errors.literal(errors.strerror(error))}", (path,))
            continue
        if (now.device, now.inode) == (was.device, was.inode) and now.mount_id == was.mount_id:
            continue
        if discover.on_overlay(path):
            # Inode numbers of directories on an overlay may change; that it is the same overlay is what counts.
            if (now.device, now.mount_id) != (was.device, was.mount_id):
                yield Note("the lower {} lies on an overlay that was mounted since", (path,))
        elif (now.device, now.inode) != (was.device, was.inode):
            yield Note("the lower {} is another directory than the one that was mounted", (path,))
