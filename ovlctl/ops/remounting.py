"""Give a mounted stack other lowers or options, or the same anew, without a moment in which nothing is mounted."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note
from ovlctl.kernel import fscontext, mounts
from ovlctl.kernel.bootcache import directly
from ovlctl.kernel.own_mounts import without
from ovlctl.ops import discover, keeping, ladder, mounting, preflight, records
from ovlctl.ops.api import Api
from ovlctl.ops.discover import Overlay, Standing
from ovlctl.ops.mount_steps import MountOverlay, ReadBack, WriteOutcome
from ovlctl.ops.preflight import kernel_limits, overlap
from ovlctl.ops.preflight.places import place
from ovlctl.ops.records import Phase, Record
from ovlctl.ops.remount_steps import (
    CheckFree,
    EndForGap,
    FlushVolatile,
    Make,
    PassUpper,
    Swap,
    SwapBridge,
    WriteRemounting,
    WriteStanding,
    holding,
)
from ovlctl.ops.state import State, locate
from ovlctl.ops.steps import run
from ovlctl.ops.views import elsewhere, has_upper, same, users, views
from ovlctl.overlay import live
from ovlctl.overlay.options import Flag, Options, RedirectDir, Switch, stated
from ovlctl.overlay.stack import MAX_LOWERS, Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ovlctl.kernel.bootcache import Ask
    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.ladder import Rung
    from ovlctl.ops.steps import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What shall be different after a remount; what is not named stays.

    Attributes:
        lowers: The lowers, topmost first, instead of the present ones.
        data_only: The data-only lowers instead of the present ones.
        add: Lowers to put on top, topmost first.
        drop: Lowers, or data-only ones, to leave out.
        options: Options to ask for in addition to, or otherwise than, the present ones.
    """

    lowers: tuple[str, ...] | None = None
    data_only: tuple[str, ...] | None = None
    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    options: Options = field(default_factory=Options)

    def applied(self, stack: Stack) -> Stack:
        """*stack* with the changes.

        Raises:
            BadUsage: when a lower to be dropped is not in it.
        """
        lowers = list(stack.lowers if self.lowers is None else self.lowers)
        data_only = list(stack.data_only if self.data_only is None else self.data_only)
        for path in self.drop:
            found = next((each for each in (path, os.path.realpath(path)) if each in (*lowers, *data_only)), None)
            if found is None:
                raise errors.BadUsage("{} is no lower of this stack", path, hint="`ovlctl show` lists its layers")
            (lowers if found in lowers else data_only).remove(found)
        options = stack.options
        for key, value in self.options.asked():
            options = options.with_value(key.name, value)
        return Stack(
            (*self.add, *lowers),
            data_only=data_only,
            upper=stack.upper,
            work=stack.work,
            options=options,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RemountPlan:
    """The steps of one remount, worked out and not yet taken.

    Attributes:
        before: The record of the mount that stands.
        record: What will be remembered.
        steps: In order.
        cautions: What works but is worth saying.
    """

    before: Record
    record: Record
    steps: tuple[Step, ...]
    cautions: tuple[Note, ...]

    def describe(self) -> tuple[Note, ...]:
        """One sentence or command per step."""
        return tuple(step.describe() for step in self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remounted:
    """A stack after its remount.

    Attributes:
        overlay: What is mounted now.
        before: What was.
        cautions: What the kernel or the checks had to say, and who keeps the old view.
    """

    overlay: Overlay
    before: Stack
    cautions: tuple[Note, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How to remount.

    Attributes:
        api: How to tell the kernel; AUTO takes the first way that can express the stack.
        allow_weaker: Accept a mount that is weaker than asked.
        detach: Leave a read-only old view to those who hold it.
        with_gap: Unmount first and mount then, with a moment in between without the view.
    """

    api: Api = Api.AUTO
    allow_weaker: bool = False
    detach: bool = False
    with_gap: bool = False


def remount(
    word: str | os.PathLike[str],
    changes: Changes = Changes(),
    how: How = How(),
    *,
    state_dir: str | State | None = None,
    watch: Callable[[Step], None] | None = None,
) -> Remounted:
    """Put a new mount of a stack in the place of the old one.

    Law: whoever looks up a path finds the old view or the new one, at any moment and also when this is interrupted;
    what was written before is in the new view. Writers get EROFS for some milliseconds.

    Args:
        word: A stack's name or its mount point.
        changes: What shall be different; nothing is :func:`refresh`.
        how: By which way.
        state_dir: Where ovlctl keeps its records.
        watch: Called after each step.

    Raises:
        StackNotFound, NotAnOverlay: when *word* names nothing that is mounted here.
        NotOurs: when ovlctl did not mount it.
        BeneathMissing, SwapRefused: when the kernel cannot swap; *how* may allow a gap.
        MountBusy: when somebody holds the old mount; nothing has changed then.
        OvlError: As for :func:`ovlctl.mount`, one class per cause.
    """
    state = state_dir if isinstance(state_dir, State) else locate(state_dir)
    ask = mounting.asking(state)
    before = _standing(state, word)
    with mounting.held(state, [before.stack]):
        before = settle(state, _standing(state, word))
        agreed = plan(word, changes, how, state_dir=state, ask=ask)
        old = views(before)[-1]
        keepers = tuple(_keepers(old))
        run(agreed.steps, watch)
        record = records.read(state, before.name) or agreed.record
        overlay = discover.of_mount(views(record)[-1], record)
    said = [note for step in agreed.steps for note in _remarks(step)]
    return Remounted(overlay=overlay, before=before.stack, cautions=(*agreed.cautions, *said, *keepers))


def refresh(
    word: str | os.PathLike[str],
    how: How = How(),
    *,
    state_dir: str | State | None = None,
    watch: Callable[[Step], None] | None = None,
) -> Remounted:
    """Mount the same stack anew in its own place: the safe answer to a lower that was changed under the mount.

    Arguments and errors are those of :func:`remount`.
    """
    return remount(word, Changes(), how, state_dir=state_dir, watch=watch)


def plan(
    word: str | os.PathLike[str],
    changes: Changes = Changes(),
    how: How = How(),
    *,
    state_dir: str | State | None = None,
    ask: Ask = directly,
) -> RemountPlan:
    """Work out how to remount, changing nothing. Arguments and errors are those of :func:`remount`."""
    state = state_dir if isinstance(state_dir, State) else locate(state_dir)
    before = _standing(state, word)
    for problem in kernel_limits.ability():
        raise problem
    _check_way(before, how)
    standing = views(before)
    if before.phase is not Phase.MOUNTED or not standing:
        # Only a dry run comes here: what was interrupted is finished first, and what that gives is not known yet.
        return RemountPlan(before=before, record=before, steps=_finishing(state, before), cautions=())
    old = standing[-1]
    if not same(mounts.mount_at(before.target), old):
        raise errors.TargetOccupied(
            "something else is mounted over the overlay at {}", before.target, hint="`umount {}` ends what is on top"
        )
    began = time.time_ns()
    wanted = changes.applied(before.stack)
    wanted, case, cautions = without([before.target], lambda: _looked_at(before, wanted, how, ask))
    _respect_marks(state, before, wanted)
    request = ladder.Request(stack=wanted, told=case.told, target=before.target, source=before.source)
    rung, reason = ladder.choose(request, how.api)
    record = replace(
        before,
        stack=wanted,
        api=rung.api,
        reason=reason,
        began_ns=began,
        clock_ns=records.clock_lead(),
        seen=records.seen(wanted),
        mount_id=None,
        successor=None,
    )
    steps = tuple(_steps(state, _Case(before=before, record=record, rung=rung, how=how, old=old)))
    return RemountPlan(
        before=before, record=record, steps=steps, cautions=(*cautions, *_doubtful(before.stack, wanted))
    )


def settle(state: State, record: Record) -> Record:
    """Finish a remount of *record* that was interrupted, and return the record of what stands; else *record*.

    The caller holds the lock.

    Raises:
        MountBusy, UpperHeld: when what keeps it from being finished is there still; the record stays as it is.
    """
    if record.phase is not Phase.REMOUNTING:
        return record
    run(_finishing(state, record))
    return records.read(state, record.name) or record


def _standing(state: State, word: str | os.PathLike[str]) -> Record:
    """The record of the mounted stack that *word* names."""
    overlay = discover.find(state, os.fspath(word), inside=False)
    if overlay.standing is Standing.ELSEWHERE:
        raise errors.StackNotFound(
            f"{overlay.name} is mounted in another mount namespace, that of pid {overlay.elsewhere}",
            hint=f"remount it there: `nsenter -t {overlay.elsewhere} -m ovlctl remount {overlay.name}`",
        )
    record = overlay.record
    if overlay.mount is None:
        raise errors.StackNotFound(
            "{} is not mounted", overlay.name or os.fspath(word), hint="mount it with `ovlctl mount`"
        )
    if record is None:
        raise errors.NotOurs(
            "the overlay mounted at {} was not mounted by ovlctl, which does not know what was asked for it",
            overlay.target or "",
            hint="`umount {}` it, and mount it with `ovlctl mount`",
        )
    return record


def _check_way(before: Record, how: How) -> None:
    if how.detach and before.stack.upper is not None:
        raise errors.DetachNeedsReadOnly(
            "{} has an upper, so its old view cannot be left to those who hold it: there would be two writers",
            before.target,
            hint="leave out `--detach`; the error then names the holders",
        )
    if not how.with_gap and not fscontext.beneath_known():
        raise errors.BeneathMissing(
            "this kernel puts no mount beneath another one (Linux 6.5), so {} cannot be replaced without a gap",
            before.target,
            hint="`--with-gap` unmounts first and mounts then",
        )


def _looked_at(before: Record, wanted: Stack, how: How, ask: Ask) -> tuple[Stack, preflight.Case, tuple[Note, ...]]:
    """*wanted* resolved and checked as if the old mount were not there, which it is not for this thread."""
    stack = preflight.resolved(wanted)
    case = preflight.Case(
        stack=stack,
        target=before.target,
        allow_weaker=how.allow_weaker,
        held=tuple(path for path in (stack.upper, stack.work) if path is not None),
        ask=ask,
    )
    cautions = preflight.check(case)
    if stack.upper is not None and not how.with_gap:
        _check_bridge(stack)
    # Looked at once, while it can be: later the layers may lie below the mount again.
    _ = case.told
    return stack, case, cautions


def _check_bridge(stack: Stack) -> None:
    layers = len(stack.lowers) + len(stack.data_only)
    hint = "`--with-gap` unmounts first and mounts then"
    if layers >= MAX_LOWERS:
        raise errors.BridgeImpossible(
            f"with the upper {{}} there are {layers + 1} layers to show while it changes hands, and the kernel takes "
            f"{MAX_LOWERS}",
            stack.upper or "",
            hint=hint,
        )
    found = [place(path) for path in _bridge(stack).lowers]
    for problem in overlap.overlaps(found, None, None):
        raise errors.BridgeImpossible(
            f"the upper cannot be shown while it changes hands: {problem.template}", *problem.paths, hint=hint
        )


def _bridge(stack: Stack) -> Stack:
    """The read-only stack that shows what *stack* shows: its upper as the topmost lower."""
    told = stated(stack.options, trusted_xattrs=preflight.trusted_xattrs())
    options = replace(
        told,
        # The marks in the upper are followed as they were made; what only an upper has is left out.
        redirect_dir=RedirectDir.ON if told.redirect_dir is RedirectDir.ON else told.redirect_dir,
        index=Switch.OFF,
        nfs_export=None,
        uuid=None,
        volatile=None,
        fsync=None,
    )
    return Stack((stack.upper or "", *stack.lowers), data_only=stack.data_only, options=options)


def _respect_marks(state: State, before: Record, wanted: Stack) -> None:
    """Let an upper go over other lowers, or under other options, only where that does not change what it says.

    Raises:
        KeptUpperDiffers: otherwise.
    """
    old = before.stack
    if old.upper is None:
        return
    same_lowers = Stack(old.lowers, data_only=old.data_only, upper=wanted.upper, options=wanted.options)
    keeping.check_same(before.name, old, same_lowers)
    told = stated(old.options, trusted_xattrs=preflight.trusted_xattrs())
    lasting = _lasting(told)
    moved = (old.lowers, old.data_only) != (wanted.lowers, wanted.data_only)
    if moved and lasting and old.upper == keeping.layout(state, before.name, in_memory=before.tmpfs is not None).upper:
        raise errors.KeptUpperDiffers(
            f"the upper of {before.name} was written with {' and '.join(lasting)}, so it belongs to the lowers it was "
            "made over (topmost {}), and {} is another stack",
            old.lowers[0],
            wanted.lowers[0],
            hint="mount the new lowers under another `--name`",
        )


def _lasting(told: Options) -> list[str]:
    """The options that tie an upper to its lowers (Changes to underlying filesystems, overlayfs.rst)."""
    on = {"index": told.index, "metacopy": told.metacopy, "nfs_export": told.nfs_export}
    found = [f"{name}=on" for name, value in on.items() if value is Switch.ON]
    return [*found, *(["redirect_dir=on"] if told.redirect_dir is RedirectDir.ON else [])]


def _doubtful(old: Stack, wanted: Stack) -> Iterator[Note]:
    lasting = _lasting(stated(old.options, trusted_xattrs=preflight.trusted_xattrs()))
    if old.upper is None or not lasting:
        return
    moved = "other lowers" if old.lowers != wanted.lowers else "lowers that were changed"
    yield Note(
        f"the upper {{}} was written with {' and '.join(lasting)}; over {moved} it may show wrong files", (old.upper,)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One remount to be made."""

    before: Record
    record: Record
    rung: Rung
    how: How
    old: Mount


def _steps(state: State, case: _Case) -> Iterator[Step]:
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
        yield from _with_gap(state, case, flush)
        return
    swap = None
    if before.stack.upper is not None:
        for error in filter(None, [_held_here(case.old)]):
            raise error
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
    told = stated(record.stack.options, trusted_xattrs=preflight.trusted_xattrs())
    request = ladder.Request(stack=record.stack, told=told, target=record.target, source=record.source)
    rung, _ = ladder.choose(request)
    return Make(MountOverlay(record, rung), what)


def _make_bridge(record: Record) -> Make:
    return _make(replace(record, stack=_bridge(record.stack)), "read-only, while the upper changes hands")


def _with_gap(state: State, case: _Case, flush: FlushVolatile | None) -> Iterator[Step]:
    yield EndForGap(case.old, _make(case.before, "").overlay)
    stack = case.record.stack
    if stack.upper is not None and stack.work is not None:
        yield PassUpper(stack.upper, stack.work, None, flush is not None, flush)
    overlay = MountOverlay(case.record, case.rung)
    yield from (overlay, ReadBack(overlay, allow_weaker=case.how.allow_weaker), WriteOutcome(state, overlay))


def _finishing(state: State, record: Record) -> tuple[Step, ...]:
    """The steps that finish what was interrupted, from what the mount table shows."""
    wanted = record.successor or record.stack
    request = ladder.Request(
        stack=wanted,
        told=stated(wanted.options, trusted_xattrs=preflight.trusted_xattrs()),
        target=record.target,
        source=record.source,
    )
    rung, reason = ladder.choose(request)
    final = replace(
        record,
        phase=Phase.MOUNTED,
        stack=wanted,
        api=rung.api,
        reason=reason,
        # When it was begun is not known; the old moment is early enough to call no change of a lower missed.
        seen=records.seen(wanted),
        mount_id=None,
        successor=None,
    )
    standing = views(record)
    is_old = [_is_old(each, record) for each in standing]
    if not standing or is_old == [True]:
        # Nothing has happened yet, or everything has ended.
        return (WriteStanding(state, record),)
    if is_old[0] and len(standing) > 1:
        # The new mount was being taken away.
        return (WriteStanding(state, record, ending=True),)
    if wanted.upper is None or has_upper(standing[0]):
        return (Swap(state, None, final),) if len(standing) > 1 else (WriteStanding(state, final),)
    volatile = record.stack.options.volatile is Flag.YES
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


def _remarks(step: Step) -> list[Note]:
    if isinstance(step, Make) and step.read_back is not None:
        return step.read_back.accepted
    if isinstance(step, ReadBack):
        return step.accepted
    return step.remarks if isinstance(step, Swap) else []


def _keepers(old: Mount) -> Iterator[Note]:
    """Who has the old view still when its mount has ended; it does not hinder the end."""
    for namespace, each in elsewhere(old):
        if namespace == 0:
            yield Note("{} shows the old view until it is unmounted", (each.mount.mount_point,))
        else:
            text = f"mount namespace {namespace} (pid {each.pid}) has the old view at {{}} unless the end reaches it"
            yield Note(text, (each.mount.mount_point,))
    for user in users(old):
        yield Note("the overlay mounted at {} was made over the old view and keeps it", (user.mount_point,))
