"""In which order a remount takes its steps, from its beginning or from where one was interrupted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ovlctl.ops import ladder, records
from ovlctl.ops.mount_steps import MountOverlay, ReadBack, request_of
from ovlctl.ops.records import Phase, Record
from ovlctl.ops.remounting.bridge import FlushVolatile, PassUpper, SwapBridge, holding
from ovlctl.ops.remounting.checks import bridge_of
from ovlctl.ops.remounting.free import CheckFree
from ovlctl.ops.remounting.steps import EndForGap, Make, Swap, WriteMounted, WriteRemounting, WriteStanding
from ovlctl.ops.remounting.values import How
from ovlctl.ops.views import elsewhere, has_upper, users, views
from ovlctl.overlay import live
from ovlctl.overlay.options import Flag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl import errors
    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.ladder import Rung
    from ovlctl.ops.records import Seen
    from ovlctl.ops.state import State
    from ovlctl.ops.steps import Step
    from ovlctl.overlay.stack import Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class RemountCase:
    """One remount to be made."""

    before: Record
    record: Record
    rung: Rung
    how: How
    old: Mount


def steps_of(state: State, case: RemountCase) -> Iterator[Step]:
    """The steps of *case*, in order."""
    before, record, how = case.before, case.record, case.how
    intent = replace(before, phase=Phase.REMOUNTING, successor=record.stack)
    if not how.detach:
        yield CheckFree(case.old)
    flush = None
    if _is_volatile(case.old) and before.stack.upper is not None:
        flush = FlushVolatile(case.old, before.stack.upper)
        yield flush
    yield WriteRemounting(state, before, intent)
    if how.with_gap:
        yield EndForGap(case.old, _make(before, "").overlay)
        yield from _anew(state, record, case.rung, how, volatile=flush is not None, flush=flush)
        return
    swap = None
    if before.stack.upper is not None:
        held = _held_here(case.old)
        if held is not None:
            raise held
        bridge = _make_bridge(record)
        swap = SwapBridge(state, bridge, before, _make(before, "the same again"))
        yield from (bridge, swap)
    yield from _onwards(state, record, case.rung, how, swap=swap, volatile=flush is not None, flush=flush)


def _held_here(old: Mount) -> errors.UpperHeld | None:
    """What can be known beforehand; a copy in another namespace may end with the mount, by propagation."""
    if any(namespace == 0 for namespace, _ in elsewhere(old)) or any(True for _ in users(old)):
        return holding(old)
    return None


def _onwards(
    state: State,
    record: Record,
    rung: Rung,
    how: How,
    *,
    swap: SwapBridge | None = None,
    volatile: bool = False,
    flush: FlushVolatile | None = None,
) -> Iterator[Step]:
    """The steps from where nothing writes to the upper."""
    if record.stack.upper is not None and record.stack.work is not None:
        yield PassUpper(record.stack.upper, record.stack.work, swap, volatile, flush)
    overlay = MountOverlay(record, rung)
    read_back = ReadBack(overlay, allow_weaker=how.allow_weaker)
    new = Make(overlay, "the new view", read_back)
    yield from (new, Swap(state, new, record, detach=how.detach))


def _make(record: Record, what: str) -> Make:
    rung, _ = ladder.choose(request_of(record))
    return Make(MountOverlay(record, rung), what)


def _make_bridge(record: Record) -> Make:
    return _make(replace(record, stack=bridge_of(record.stack)), "read-only, while the upper changes hands")


def _anew(
    state: State, record: Record, rung: Rung, how: How, *, volatile: bool, flush: FlushVolatile | None = None
) -> Iterator[Step]:
    """The steps from where nothing is mounted."""
    if record.stack.upper is not None and record.stack.work is not None:
        yield PassUpper(record.stack.upper, record.stack.work, None, volatile, flush)
    overlay = MountOverlay(record, rung)
    yield from (overlay, ReadBack(overlay, allow_weaker=how.allow_weaker), WriteMounted(state, overlay))


def finishing(state: State, record: Record) -> tuple[Step, ...]:
    """The steps that finish what was interrupted, from what the mount table shows."""
    wanted = record.successor or record.stack
    rung, reason = ladder.choose(request_of(replace(record, stack=wanted)))
    final = replace(
        record,
        phase=Phase.MOUNTED,
        stack=wanted,
        api=rung.api,
        reason=reason,
        # When it was begun is not known; the old moment is early enough to call no change of a lower missed.
        seen=seen_now(wanted),
        mount_id=None,
        successor=None,
    )
    volatile = record.stack.options.volatile is Flag.YES
    standing = views(record)
    is_old = [_is_old(each, record) for each in standing]
    if not standing:
        return tuple(_anew(state, final, rung, How(), volatile=volatile))
    if is_old == [True]:
        # Nothing has happened yet.
        return (WriteStanding(state, record),)
    if is_old[0] and len(standing) > 1:
        # The new mount was being taken away.
        return (WriteStanding(state, record, ending=True),)
    if wanted.upper is None or has_upper(standing[0]):
        return (Swap(state, None, final),) if len(standing) > 1 else (WriteStanding(state, final),)
    if len(standing) == 1:
        return tuple(_onwards(state, final, rung, How(), volatile=volatile))
    flush = FlushVolatile(standing[-1], wanted.upper) if volatile else None
    swap = SwapBridge(state, None, record, _make(record, "the same again"))
    onwards = _onwards(state, final, rung, How(), swap=swap, volatile=volatile, flush=flush)
    return (*(() if flush is None else (flush,)), swap, *onwards)


def _is_old(mount: Mount, record: Record) -> bool:
    if record.mount_id is not None and mount.unique_id is not None:
        return mount.unique_id == record.mount_id
    shown = live.layers(mount.options)
    return (shown.lowers, shown.data_only) == (record.stack.lowers, record.stack.data_only)


def _is_volatile(mount: Mount) -> bool:
    return "volatile" in mount.options or "fsync=volatile" in mount.options


def seen_now(stack: Stack) -> tuple[Seen, ...]:
    """What the lowers are now, for the record; nothing where the mount itself lies over one."""
    try:
        return records.seen(stack)
    except OSError:
        return ()
