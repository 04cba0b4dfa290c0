"""Give a mounted stack other lowers or options, or the same anew, without a moment in which nothing is mounted."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note
from ovlctl.kernel import mounts, namespaces
from ovlctl.kernel.bootcache import directly
from ovlctl.kernel.own_mounts import without
from ovlctl.ops import discover, ladder, mounting, records
from ovlctl.ops.discover import Overlay, Standing
from ovlctl.ops.mount_steps import ReadBack
from ovlctl.ops.preflight import kernel_limits
from ovlctl.ops.records import Phase, Record
from ovlctl.ops.remounting.aside import ClearStage
from ovlctl.ops.remounting.checks import check_way, doubtful, looked_at, respect_marks
from ovlctl.ops.remounting.course import RemountCase, finishing, seen_now, steps_of
from ovlctl.ops.remounting.steps import Make, Swap
from ovlctl.ops.remounting.values import PLAINLY, SAME, Changes, How
from ovlctl.ops.state import State, locate
from ovlctl.ops.steps import run
from ovlctl.ops.views import elsewhere, same, users, views

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ovlctl.kernel.bootcache import Ask
    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.steps import Step
    from ovlctl.overlay.stack import Stack

__all__ = ["Changes", "How", "RemountPlan", "Remounted", "plan", "refresh", "remount", "settle"]


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


def remount(
    word: str | os.PathLike[str],
    changes: Changes = SAME,
    how: How = PLAINLY,
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
    how: How = PLAINLY,
    *,
    state_dir: str | State | None = None,
    watch: Callable[[Step], None] | None = None,
) -> Remounted:
    """Mount the same stack anew in its own place: the safe answer to a lower that was changed under the mount.

    Arguments and errors are those of :func:`remount`.
    """
    return remount(word, SAME, how, state_dir=state_dir, watch=watch)


def plan(
    word: str | os.PathLike[str],
    changes: Changes = SAME,
    how: How = PLAINLY,
    *,
    state_dir: str | State | None = None,
    ask: Ask = directly,
) -> RemountPlan:
    """Work out how to remount, changing nothing. Arguments and errors are those of :func:`remount`."""
    state = state_dir if isinstance(state_dir, State) else locate(state_dir)
    before = _standing(state, word)
    for problem in kernel_limits.ability():
        raise problem
    check_way(before, how)
    standing = views(before)
    if before.phase is not Phase.MOUNTED or not standing:
        # Only a dry run comes here: what was interrupted is finished first, and what that gives is not known yet.
        return RemountPlan(before=before, record=before, steps=finishing(state, before), cautions=())
    old = standing[-1]
    if not same(mounts.mount_at(before.target), old):
        raise errors.TargetOccupied(
            "something else is mounted over the overlay at {}", before.target, hint="`umount {}` ends what is on top"
        )
    began = time.time_ns()
    wanted = changes.applied(before.stack)
    wanted, case, cautions = without([before.target], lambda: looked_at(before, wanted, how, ask))
    respect_marks(state, before, wanted)
    request = ladder.Request(stack=wanted, told=case.told, target=before.target, source=before.source)
    rung, reason = ladder.choose(request, how.api)
    record = replace(
        before,
        stack=wanted,
        api=rung.api,
        reason=reason,
        began_ns=began,
        clock_ns=records.clock_lead(),
        seen=seen_now(wanted),
        mount_id=None,
        successor=None,
    )
    steps = tuple(steps_of(state, RemountCase(before=before, record=record, rung=rung, how=how, old=old)))
    return RemountPlan(before=before, record=record, steps=steps, cautions=(*cautions, *doubtful(before.stack, wanted)))


def settle(state: State, record: Record) -> Record:
    """Finish a remount of *record* that was interrupted, and return the record of what stands; else *record*.

    The caller holds the lock.

    Raises:
        MountBusy, UpperHeld: when what keeps it from being finished is there still; the record stays as it is.
    """
    if record.phase is not Phase.REMOUNTING:
        return record
    aside = ClearStage(state)
    if aside.needed:
        aside.apply()
    run(finishing(state, record))
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
    if overlay.mount is None and not (record is not None and _in_a_gap(record)):
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


def _in_a_gap(record: Record) -> bool:
    """Whether a remount of *record* was interrupted here when it had left nothing mounted."""
    here = (namespaces.mount_namespace_id(), records.boot_id())
    return record.phase is Phase.REMOUNTING and (record.namespace, record.boot) == here


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
