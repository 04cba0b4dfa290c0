"""End what was mounted from a stack file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.ops import discover, keeping, mounting, unmounting
from ovlctl.ops.discover import Standing
from ovlctl.ops.sets import load
from ovlctl.ops.sets.busy import check_free, check_idle
from ovlctl.ops.sets.compare import is_from, newest_first
from ovlctl.ops.sets.declared import StackFile
from ovlctl.ops.sets.graph import declared
from ovlctl.ops.sets.steps import Course, End
from ovlctl.ops.state import DISCARDED, State, locate
from ovlctl.ops.steps import run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ovlctl.errors import Note
    from ovlctl.ops.discover import Overlay
    from ovlctl.ops.steps import Step
    from ovlctl.ops.unmounting import UmountPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class DownPlan:
    """What ends the stacks of a file.

    Attributes:
        file: The file.
        ending: What is to be ended, in order: mounts, and records whose mount is gone.
        discarding: Names of which the upper goes as well, and of uppers that were kept from before.
        doomed: What will be removed for good and holds something.
        removed: Every directory that will be removed.
        kept: Uppers that stay.
        steps: One sentence or command each.
    """

    file: StackFile
    ending: tuple[Overlay, ...]
    discarding: tuple[str, ...]
    doomed: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]
    steps: tuple[Note, ...]


def loaded(path: str | os.PathLike[str], state: State) -> tuple[StackFile, errors.OvlError | None]:
    """The stack file *path* for :func:`down`, which has to end what was mounted from it whatever became of it.

    Returns:
        The file, and what is wrong with it; then it declares nothing, and what is remembered of it counts.

    Raises:
        OvlError: what is wrong with it, when nothing is mounted from it either.
    """
    try:
        return load(path), None
    except (errors.PathMissing, errors.UsageError, errors.UnsupportedError) as error:
        real = os.path.realpath(path)
        if not any(is_from(each, real) for each in discover.overlays(state).overlays):
            raise
        return StackFile(path=real, stacks=()), error


def down(
    file: StackFile,
    names: Sequence[str] | None = None,
    *,
    discard: bool = False,
    state_dir: str | State | None = None,
    agreed: Callable[[tuple[str, ...]], bool] = lambda _doomed: True,
    watch: Callable[[Step], None] | None = None,
) -> DownPlan:
    """End what is mounted from *file*, the latest mount first; never lazily.

    Law: without *discard* all of it is ended or, when it raises, nothing. What was discarded does not come back;
    but whatever comes between, another call ends the rest.

    Args:
        file: Where it was mounted from.
        names: Only these stacks; None for all, also those that are not declared any more.
        discard: Also remove the uppers that ovlctl made for them.
        state_dir: Where ovlctl keeps its records.
        agreed: Asked with the directories that would be lost; saying no leaves everything as it is.
        watch: Called after each step.

    Raises:
        StackUndeclared: for a name that is neither declared nor mounted from this file.
        StackStoodUpon: when another mounted stack stands on one of them.
        MountBusy: when somebody uses one of them; nothing was ended then.
        NotConfirmed: when *agreed* said no.
    """
    state = state_dir if isinstance(state_dir, State) else locate(state_dir)
    # Asking comes first and outside the lock: a person may take minutes to answer.
    first = plan(file, names, discard=discard, state=state)
    if first.doomed and not agreed(first.doomed):
        raise errors.NotConfirmed(
            "nothing was changed: {} and what it holds would have been removed", first.doomed[0], hint="give `--yes`"
        )
    if not first.ending and not first.discarding:
        return first
    with mounting.held(state, ()):
        final = plan(file, names, discard=discard, state=state)
        if not set(final.doomed) <= set(first.doomed):
            raise errors.NotConfirmed("nothing was changed: {} appeared meanwhile", final.doomed[-1], hint="try again")
        check_idle(final.ending)
        _carry_out(final, state, watch)
    return final


def _carry_out(final: DownPlan, state: State, watch: Callable[[Step], None] | None) -> None:
    ask = mounting.asking(state)
    going = set(final.discarding)
    ends = [End(state, overlay, ask, watch) for overlay in final.ending if overlay.name not in going]
    done: list[str] = []
    try:
        run(ends)
        for overlay in final.ending:
            if overlay.name in going:
                run(_discarding(state, overlay.name).steps, watch)
                done.append(overlay.name)
        for name in final.discarding:
            # Each discard also removes what was left of earlier ones.
            if name not in done and _is_left(state, name):
                run(_discarding(state, name).steps, watch)
    except BaseException as error:
        again = [each.name for each in ends if each.course is Course.UNDONE]
        if again:
            error.add_note(f"what was ended before it was mounted again: {', '.join(again)}")
        if done:
            error.add_note(f"ended and discarded before it: {', '.join(done)}; `ovlctl down` again ends the rest")
        if not again and not done:
            error.add_note("nothing was ended")
        raise


def _discarding(state: State, name: str) -> UmountPlan:
    return unmounting.plan(name, discard=True, state_dir=state)


def plan(file: StackFile, names: Sequence[str] | None = None, *, discard: bool = False, state: State) -> DownPlan:
    """What :func:`down` would do; changes nothing. Arguments and errors as there."""
    found = discover.overlays(state)
    ours = {each.name: each for each in found.overlays if is_from(each, file.path)}
    for name in names or ():
        if name not in ours:
            declared(file, name)
    _check_here(found.overlays, file, names)
    chosen = [each for name, each in ours.items() if names is None or name in names]
    ending = newest_first(iter(chosen))
    others = [each for each in found.overlays if each.standing is Standing.MOUNTED and each not in ending]
    check_free(ending, others, file=file.path)
    discarding: list[str] = []
    if discard:
        discarding += [each.name for each in ending if each.name is not None and _has_own_upper(state, each)]
        wanted = [stack.name for stack in file.stacks] if names is None else names
        named = {each.name for each in found.overlays if each.standing is not Standing.KEPT}
        discarding += [name for name in wanted if name not in named and _is_left(state, name)]
    plans = [
        unmounting.plan(name, discard=name in discarding, state_dir=state)
        for name in dict.fromkeys([*(each.name or "" for each in ending), *discarding])
    ]
    return DownPlan(
        file=file,
        ending=ending,
        discarding=tuple(discarding),
        doomed=tuple(path for each in plans for path in each.doomed),
        removed=tuple(path for each in plans for path in each.removed),
        kept=tuple(each.kept for each in plans if each.kept is not None),
        steps=tuple(dict.fromkeys(note for each in plans for note in each.describe())),
    )


def _check_here(overlays: Sequence[Overlay], file: StackFile, names: Sequence[str] | None) -> None:
    for each in overlays:
        origin = None if each.record is None else each.record.origin
        if each.standing is Standing.ELSEWHERE and origin == file.path and (names is None or each.name in names):
            raise errors.StackNotFound(
                f"{each.name} is mounted in another mount namespace, that of pid {each.elsewhere}",
                file.path,
                hint=f"`ovlctl down` has to run there: `nsenter -t {each.elsewhere} -m ovlctl down {{}}`",
            )


def _has_own_upper(state: State, overlay: Overlay) -> bool:
    """Whether the upper of *overlay* is one that ovlctl made for it."""
    record = overlay.record
    if record is None:
        return False
    own = keeping.layout(state, record.name, in_memory=record.tmpfs is not None)
    return record.stack.upper == own.upper and os.path.exists(own.note)


def _is_left(state: State, name: str) -> bool:
    """Whether something is there of the stack *name*, which is not mounted: a kept upper, or half of a discard."""
    left = (os.path.basename(path) for path in state.discarded())
    return keeping.existing(state, name) is not None or DISCARDED + name in left
