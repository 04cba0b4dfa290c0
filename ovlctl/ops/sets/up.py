"""Bring what is mounted to what a stack file declares: all of it, or nothing."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.kernel.bootcache import directly
from ovlctl.ops import mounting
from ovlctl.ops.sets import compare, mstack
from ovlctl.ops.sets.busy import check_alone, check_free, check_idle
from ovlctl.ops.sets.checks import check, known_whole
from ovlctl.ops.sets.compare import Action
from ovlctl.ops.sets.declared import GivenUpper
from ovlctl.ops.sets.steps import Course, End, Make
from ovlctl.ops.state import State, locate
from ovlctl.ops.steps import run
from ovlctl.overlay.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ovlctl.errors import Note
    from ovlctl.kernel.bootcache import Ask
    from ovlctl.ops.discover import Overlay
    from ovlctl.ops.sets.compare import SetPlan
    from ovlctl.ops.sets.declared import StackFile
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
            run([*(mstack.missing(file) if makes else ()), *ends, *makes])
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
    check_free(found.ending, found.others)
    for action in found.actions:
        if action.wish is not None and action.action in {Action.MAKE, Action.CHANGE}:
            try:
                check(found, action, action.wish, state, ask)
            except errors.OvlError as error:
                error.add_note(f"this is about the stack {action.name}; nothing was changed")
                raise
    return found


def steps(found: SetPlan, state: State) -> Iterator[Note]:
    """Every step of *found* as far as it can be known before the first one is taken."""
    if found.making:
        yield from (step.describe() for step in mstack.missing(found.file))
    for overlay in found.ending:
        ending = End(state, overlay, directly, None)
        yield from (step.describe() for step in ending.steps())
    for wanted in found.making:
        making = Make(state, wanted, directly, None)
        known: tuple[Note, ...] = (making.describe(),)
        if known_whole(found, wanted):
            with suppress(errors.OvlError):
                known = making.planned().describe()
        yield from known
