"""Bring what is mounted to what a stack file declares: all of it, or nothing."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.kernel.bootcache import directly
from ovlctl.ops import mounting, preflight
from ovlctl.ops.keeping import TmpfsUpper
from ovlctl.ops.preflight import kernel_limits
from ovlctl.ops.sets import compare, mstack
from ovlctl.ops.sets.busy import check_alone, check_free, check_idle
from ovlctl.ops.sets.compare import Action
from ovlctl.ops.sets.declared import GivenUpper
from ovlctl.ops.sets.graph import is_below
from ovlctl.ops.sets.resolve import wish
from ovlctl.ops.sets.steps import Course, End, Make
from ovlctl.ops.state import State, locate
from ovlctl.ops.steps import run
from ovlctl.overlay import rules
from ovlctl.overlay.options import Flag, Fsync
from ovlctl.overlay.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ovlctl.errors import Note
    from ovlctl.kernel.bootcache import Ask
    from ovlctl.ops.discover import Overlay
    from ovlctl.ops.sets.compare import SetPlan, StackAction
    from ovlctl.ops.sets.declared import StackFile
    from ovlctl.ops.sets.resolve import Wish
    from ovlctl.ops.steps import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class BroughtUp:
    """What :func:`up` did.

    Attributes:
        plan: What had to be done; all of it was.
        mounted: What was mounted, in this order.
        kept: Uppers that stay of stacks that were ended for good.
        cautions: What the checks and the kernel had to say.
    """

    plan: SetPlan
    mounted: tuple[Overlay, ...]
    kept: tuple[str, ...]
    cautions: tuple[Note, ...]


def up(
    file: StackFile,
    names: Sequence[str] | None = None,
    *,
    state_dir: str | State | None = None,
    watch: Callable[[Step], None] | None = None,
) -> BroughtUp:
    """Mount what *file* declares and is not mounted so; end what was mounted from it and is not declared any more.

    Law: afterwards everything is as declared, or, when it raises, as it was before: what was mounted is unmounted,
    and what was ended is mounted again. Doing it twice changes nothing the second time. Killed at any instant, the
    next call does the rest.

    Args:
        file: What is declared.
        names: Only these stacks and what they stand on; None for all.
        state_dir: Where ovlctl keeps its records and uppers.
        watch: Called after each step of each mount.

    Raises:
        OvlError: the cause, one class each, with notes about the stack it happened to and about what was undone.
    """
    state = state_dir if isinstance(state_dir, State) else locate(state_dir)
    if os.path.isdir(file.path):
        mstack.make_uppers(file)
    if not state.exists:
        # A set that is refused must not leave even a state directory behind.
        plan(file, names, state=state)
    uppers = [each.upper for each in file.stacks if isinstance(each.upper, GivenUpper)]
    with mounting.held(state, [Stack((), upper=each.upper, work=each.work) for each in uppers]):
        ask = mounting.asking(state)
        agreed = plan(file, names, state=state, ask=ask)
        check_idle(agreed.ending)
        check_alone(
            each.overlay for each in agreed.actions if each.action is Action.CHANGE and each.overlay is not None
        )
        ends = [End(state, overlay, ask, watch) for overlay in agreed.ending]
        makes = [Make(state, wanted, ask, watch) for wanted in agreed.making]
        try:
            run([*ends, *makes])
        except BaseException as error:
            _tell(error, ends, makes)
            raise
    gone = {each.name for each in agreed.actions if each.action is Action.END}
    plans = [each.plan for each in makes if each.plan is not None]
    return BroughtUp(
        plan=agreed,
        mounted=tuple(each.overlay() for each in plans),
        kept=tuple(each.kept for each in ends if each.name in gone and each.kept is not None),
        cautions=tuple(note for each in plans for note in each.remarks()),
    )


def _tell(error: BaseException, ends: list[End], makes: list[Make]) -> None:
    """Add to *error* which stack it happened to, and what became of the others."""
    taken: list[End | Make] = [*ends, *makes]
    for each in taken:
        if each.course is Course.FAILED:
            error.add_note(f"this happened while {'mounting' if isinstance(each, Make) else 'ending'} {each.name}")
    if isinstance(error, errors.WeakerThanAsked):
        error.add_note("a stack file says `allow_weaker = true` for that")
    unmounted = [each.name for each in makes if each.course is Course.UNDONE]
    mounted = [each.name for each in ends if each.course is Course.UNDONE]
    if unmounted:
        error.add_note(f"what was mounted before it was unmounted: {', '.join(unmounted)}")
    if mounted:
        error.add_note(f"what was ended before it was mounted again: {', '.join(mounted)}")
    left = [each.name for each in taken if each.course is Course.DONE]
    if left:
        error.add_note(f"not undone: {', '.join(left)}; `ovlctl plan` tells what is left to do")
    elif not unmounted and not mounted:
        error.add_note("nothing was changed")


def plan(file: StackFile, names: Sequence[str] | None = None, *, state: State, ask: Ask = directly) -> SetPlan:
    """What :func:`up` would do, checked as far as that can be without doing it. Changes nothing.

    Raises:
        OvlError: what would stop it, with a note about the stack it is the fault of.
    """
    found = compare.plan(file, names, state=state)
    ending = found.ending
    check_free(ending, found.others)
    for action in found.actions:
        if action.wish is not None and action.action in {Action.MAKE, Action.CHANGE}:
            try:
                _check(found, action, action.wish, state, ask)
            except errors.OvlError as error:
                error.add_note(f"this is about the stack {action.name}; nothing was changed")
                raise
    return found


def _check(found: SetPlan, action: StackAction, wanted: Wish, state: State, ask: Ask) -> None:
    grounds = found.drawn.mounted_first[wanted.name]
    moving = {each.name for each in found.actions if each.action is not Action.KEEP}
    if action.action is Action.MAKE and not found.ending and not grounds & moving:
        Make(state, wanted, ask, None).planned()
        return
    # What it stands on is not there yet, or in its way still: the rest is seen when its turn comes.
    for problem in _in_itself(wanted, ask):
        raise problem
    points = [wish(found.file, name, state).point for name in grounds]
    for path in (*wanted.stack.layers(), *filter(None, (wanted.target,))):
        if not any(is_below(path, point) for point in points):
            preflight.real(path)
    record = None if action.overlay is None else action.overlay.record
    if action.action is Action.CHANGE and record is not None and not record.discard:
        mounting.respect_kept(state, wanted.name, wanted.whole, rebase=True)
        _check_renewable(wanted, record.stack, record.tmpfs_size)


def _in_itself(wanted: Wish, ask: Ask) -> Iterator[errors.OvlError]:
    """What is wrong with a stack whatever else is mounted."""
    stack, trusted = wanted.whole, preflight.trusted_xattrs()
    yield from rules.misshapen(stack)
    yield from rules.conflicts(stack.options, has_upper=not stack.read_only, trusted_xattrs=trusted)
    if not wanted.allow_weaker:
        yield from rules.weaknesses(stack.options, has_upper=not stack.read_only, trusted_xattrs=trusted)
    yield from kernel_limits.unknown_options(stack.options, ask)


def _check_renewable(wanted: Wish, now: Stack, size: int | None) -> None:
    """Refuse to end what could not be mounted again.

    Raises:
        VolatileLeftover, KeptUpperDiffers: as the words say.
    """
    hint = f"`ovlctl down {{1}} {wanted.name} --discard` ends it with what it holds; then `ovlctl up {{1}}`"
    if now.upper is not None and (now.options.volatile is Flag.YES or now.options.fsync is Fsync.VOLATILE):
        raise errors.VolatileLeftover(
            f"{wanted.name} has to be mounted anew, but its upper {{}} is volatile: once ended it cannot be used again",
            now.upper,
            wanted.origin,
            hint=hint,
        )
    if isinstance(wanted.allocate, TmpfsUpper) and now.upper == wanted.upper and wanted.allocate.size != size:
        raise errors.KeptUpperDiffers(
            f"the upper of {wanted.name} in memory, {{}}, has another size than is declared now",
            now.upper or "",
            wanted.origin,
            hint=hint,
        )


def steps(found: SetPlan, state: State) -> Iterator[Note]:
    """Every step of *found* as far as it can be known before the first one is taken."""
    moving = {each.name for each in found.actions if each.action is not Action.KEEP}
    for overlay in found.ending:
        ending = End(state, overlay, directly, None)
        yield from (step.describe() for step in ending.steps())
    for wanted in found.making:
        making = Make(state, wanted, directly, None)
        known: tuple[Note, ...] = (making.describe(),)
        if not found.ending and not found.drawn.mounted_first[wanted.name] & moving:
            with suppress(errors.OvlError):
                known = making.planned().describe()
        yield from known
