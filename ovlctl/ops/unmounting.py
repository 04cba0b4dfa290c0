"""End a mount, and only when told so remove what ovlctl made for it."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.kernel import mounts, namespaces
from ovlctl.ops import discover, keeping
from ovlctl.ops.discover import Overlay, Standing
from ovlctl.ops.records import Phase, Record, boot_id
from ovlctl.ops.recovery import Recover, holds_something
from ovlctl.ops.removal import check_unmounted
from ovlctl.ops.state import DISCARDED, State, locate
from ovlctl.ops.steps import run
from ovlctl.ops.unmount_steps import (
    Forget,
    MoveAside,
    RemoveEmpty,
    RemoveLeftover,
    RemoveNote,
    RemoveTree,
    Unmount,
    UnmountTmpfs,
    WriteEnding,
)
from ovlctl.ops.views import views
from ovlctl.overlay.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ovlctl.errors import Note
    from ovlctl.ops.keeping import Layout
    from ovlctl.ops.steps import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class UmountPlan:
    """The steps that end one overlay.

    Attributes:
        overlay: Which one.
        steps: In order.
        doomed: What will be removed for good and holds something.
        removed: Every directory that will be removed.
        kept: The upper that stays, or None.
    """

    overlay: Overlay
    steps: tuple[Step, ...]
    doomed: tuple[str, ...]
    removed: tuple[str, ...]
    kept: str | None

    def describe(self) -> tuple[Note, ...]:
        """One sentence or command per step."""
        return tuple(step.describe() for step in self.steps)


def umount(
    word: str | os.PathLike[str],
    *,
    discard: bool = False,
    state_dir: str | State | None = None,
    agreed: Callable[[tuple[str, ...]], bool] = lambda _doomed: True,
    watch: Callable[[Step], None] | None = None,
) -> UmountPlan:
    """End a mount; never lazily.

    Args:
        word: A stack's name, its mount point, or the name of a kept upper.
        discard: Also remove the upper that ovlctl made.
        state_dir: Where ovlctl keeps its records.
        agreed: Asked with the directories that would be lost; saying no leaves everything as it is.
        watch: Called after each step.

    Returns:
        What was done.

    Raises:
        StackNotFound, NotAnOverlay: when *word* names nothing that can be ended.
        NotOurs: when something is to be discarded that ovlctl did not make.
        MountBusy: when somebody uses the mount; the message names them.
        DiscardRefused: when what is to be removed is in use.
        NotConfirmed: when *agreed* said no.
    """
    state = state_dir if isinstance(state_dir, State) else locate(state_dir)
    doomed: tuple[str, ...] = ()
    if discard:
        # Asking comes first and outside the lock: a person may take minutes to answer.
        doomed = plan(word, discard=True, state_dir=state).doomed
        if doomed and not agreed(doomed):
            raise errors.NotConfirmed(
                "nothing was changed: {} and what it holds would have been removed", doomed[0], hint="give `--yes`"
            )
    with _locked(state):
        final = plan(word, discard=discard, state_dir=state)
        if not set(final.doomed) <= set(doomed):
            raise errors.NotConfirmed("nothing was changed: {} appeared meanwhile", final.doomed[-1], hint="try again")
        run(final.steps, watch)
    return final


@contextmanager
def _locked(state: State) -> Iterator[None]:
    """Hold the state, as far as there is one: what is mounted must be endable on a read-only disk too."""
    with ExitStack() as held:
        if state.exists:
            try:
                held.enter_context(state.locked())
            except errors.StateUnusable as error:
                if error.errno != errno.EROFS:
                    raise
        yield


def plan(word: str | os.PathLike[str], *, discard: bool = False, state_dir: str | State | None = None) -> UmountPlan:
    """Work out how to end a mount, changing nothing. Arguments and errors as for :func:`umount`."""
    state = state_dir if isinstance(state_dir, State) else locate(state_dir)
    try:
        overlay = discover.find(state, os.fspath(word), inside=False)
    except errors.StackNotFound:
        left = [path for path in state.discarded() if os.path.basename(path) == DISCARDED + os.fspath(word)]
        if not left:
            raise
        return _rest_of_discard(os.fspath(word), left)
    if overlay.standing is Standing.ELSEWHERE:
        raise errors.StackNotFound(
            f"{overlay.name} is mounted in another mount namespace, that of pid {overlay.elsewhere}",
            hint=f"`ovlctl umount` has to run there: `nsenter -t {overlay.elsewhere} -m ovlctl umount {overlay.name}`",
        )
    place_of = _own_place(state, overlay)
    if discard and place_of is None and (overlay.record is None or not overlay.record.made):
        raise errors.NotOurs(
            "ovlctl made nothing for {}, so there is nothing for it to discard",
            overlay.target or os.fspath(word),
            hint="leave out `--discard`",
        )
    if discard and place_of is not None:
        check_unmounted(place_of.base, except_for={overlay.target or "", place_of.tmpfs})
    ending = _steps(state, overlay, place_of, discard=discard)
    # The tree goes last: whatever comes between, the record is gone by then, and the next unmount finishes it.
    aside = [step.aside for step in ending if isinstance(step, MoveAside)]
    others = [path for path in state.discarded() if path not in aside]
    steps = (*ending, *map(RemoveTree, aside), *map(RemoveLeftover, others))
    doomed = (place_of.upper,) if discard and place_of is not None and holds_something(place_of.upper) else ()
    removed = (place_of.base,) if discard and place_of is not None else ()
    upper = overlay.stack.upper
    kept = upper if not discard and upper is not None and os.path.isdir(upper) else None
    return UmountPlan(overlay=overlay, steps=steps, doomed=doomed, removed=removed, kept=kept)


def _rest_of_discard(name: str, left: list[str]) -> UmountPlan:
    """What remains to be done for a discard that was interrupted; it was agreed to once."""
    overlay = Overlay(standing=Standing.KEPT, name=name, target=None, stack=Stack(()), mount=None, record=None)
    return UmountPlan(overlay=overlay, steps=tuple(map(RemoveTree, left)), doomed=(), removed=tuple(left), kept=None)


def finish(state: State, record: Record, *, discard: bool = False) -> tuple[Step, ...]:
    """The steps that end what *record*, whose mount is gone, was about; an interrupted discard is completed."""
    place_of = _place_of(state, record)
    discard = discard or record.discard
    if record.phase is Phase.MOUNTING and not (discard and place_of is not None):
        return (Recover(state, record),)
    return (*_aside(state, record), *_after(state, record, place_of, discard=discard))


def _own_place(state: State, overlay: Overlay) -> Layout | None:
    """The directories that ovlctl made for *overlay* and that belong to it still."""
    if overlay.record is not None:
        return _place_of(state, overlay.record)
    return None if overlay.name is None else keeping.existing(state, overlay.name)


def _place_of(state: State, record: Record) -> Layout | None:
    # Unlike keeping.existing(): an upper in memory may be gone with its tmpfs, and its directories still be there. And
    # what bears the same name may be kept from a time before this mount.
    found = keeping.layout(state, record.name, in_memory=record.tmpfs is not None)
    return found if found.upper == record.stack.upper and os.path.exists(found.note) else None


def _steps(state: State, overlay: Overlay, place_of: Layout | None, *, discard: bool) -> tuple[Step, ...]:
    record, mount = overlay.record, overlay.mount
    if record is None:
        ending: tuple[Step, ...] = () if mount is None else (Unmount(mount),)
        return (*ending, *_discard(place_of)) if discard and place_of is not None else ending
    # An interrupted discard was ordered once; it is finished, not forgotten.
    discard = discard or record.discard
    # Without a discard the record as it is tells all: once its mount is gone, it is stale.
    intent = (WriteEnding(state, record),) if discard else ()
    if mount is not None:
        # In the middle of a remount several lie over each other.
        lying = views(record) if record.phase is Phase.REMOUNTING else (mount,)
        after = _after(state, record, place_of, discard=discard)
        return (*intent, *_aside(state, record), *map(Unmount, reversed(lying)), *after)
    rest = finish(state, record, discard=discard)
    # Clearing away a mount that never came to be needs the record of its intent until the end.
    return rest if isinstance(rest[0], Recover) else (*intent, *rest)


def _aside(state: State, record: Record) -> tuple[Step, ...]:
    """The step that ends what had stepped aside when a remount was interrupted."""
    if record.phase is not Phase.REMOUNTING:
        return ()
    from ovlctl.ops.remounting.aside import ClearStage

    step = ClearStage(state)
    return (step,) if step.needed else ()


def _after(state: State, record: Record, place_of: Layout | None, *, discard: bool) -> tuple[Step, ...]:
    steps: list[Step] = []
    if discard and place_of is not None:
        steps += _discard(place_of)
    else:
        own = keeping.layout(state, record.name, in_memory=record.tmpfs is not None)
        # Of an upper in memory whose tmpfs has gone, only the directories around it are left.
        lost = own.in_memory and own.mounted_tmpfs() is None and not _tmpfs_elsewhere(record)
        if lost:
            steps += [RemoveNote(own.note), RemoveEmpty(own.tmpfs)]
        kept = os.path.lexists(own.note) and not lost
        empty = [path for path in (own.merged, *(() if kept else (own.base,))) if path in record.made]
        steps += [RemoveEmpty(path) for path in empty]
    return (*steps, Forget(state, record))


def _tmpfs_elsewhere(record: Record) -> bool:
    """Whether the tmpfs of an upper in memory stands in the mount namespace in which it was mounted, another one."""
    if record.namespace == namespaces.mount_namespace_id() or record.boot != boot_id():
        return False
    return any(
        (each.namespace, each.mount.source) == (record.namespace, record.source)
        for each in mounts.mounts_of_all_namespaces("tmpfs")
    )


def _discard(place_of: Layout) -> tuple[Step, ...]:
    steps: list[Step] = []
    if place_of.in_memory:
        steps.append(UnmountTmpfs(place_of))
    aside = os.path.join(os.path.dirname(place_of.base), DISCARDED + os.path.basename(place_of.base))
    return (*steps, MoveAside(place_of, aside))
