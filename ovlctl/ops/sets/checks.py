"""What is wrong with the stacks of a set that are to be mounted, as far as that can be seen before anything is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.ops import mounting, preflight
from ovlctl.ops.keeping import TmpfsUpper
from ovlctl.ops.preflight import kernel_limits, overlap
from ovlctl.ops.preflight.places import place
from ovlctl.ops.sets import mstack
from ovlctl.ops.sets.compare import Action
from ovlctl.ops.sets.graph import is_below
from ovlctl.ops.sets.resolve import wish
from ovlctl.ops.sets.steps import Make
from ovlctl.overlay import rules
from ovlctl.overlay.options import Flag, Fsync

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.kernel.bootcache import Ask
    from ovlctl.ops.sets.compare import SetPlan, StackAction
    from ovlctl.ops.sets.resolve import Wish
    from ovlctl.ops.state import State
    from ovlctl.overlay.stack import Stack


def known_whole(found: SetPlan, wanted: Wish) -> bool:
    """Whether every step of mounting *wanted* is known now: nothing it needs is made, or out of its way, only then."""
    return not (found.ending or found.drawn.mounted_first[wanted.name] & found.moving or mstack.missing(found.file))


def check(found: SetPlan, action: StackAction, wanted: Wish, state: State, ask: Ask) -> None:
    """Look for what would stop *wanted*; what hangs on a step before it is seen when its turn comes.

    Raises:
        OvlError: the first that is found.
    """
    if known_whole(found, wanted):
        Make(state, wanted, ask, None).planned()
        return
    for problem in (*_in_itself(wanted, ask), *_in_place(found, wanted, state)):
        raise problem
    record = None if action.overlay is None else action.overlay.record
    if action.action is Action.CHANGE and record is not None and not record.discard:
        mounting.respect_kept(state, wanted.name, wanted.whole, rebase=True)
        _check_renewable(wanted, record.stack, record.tmpfs_size)


def _in_place(found: SetPlan, wanted: Wish, state: State) -> Iterator[errors.OvlError]:
    """What is wrong with those directories of *wanted* that no step before it touches."""
    points = [wish(found.file, name, state).point for name in found.drawn.mounted_first[wanted.name]]
    points += [overlay.target for overlay in found.ending if overlay.target is not None]
    missing = {step.path for step in mstack.missing(found.file)}

    def stay(*paths: str) -> list[str]:
        return [path for path in paths if path not in missing and not any(is_below(path, each) for each in points)]

    stack = wanted.stack
    for path in stay(*stack.layers(), *filter(None, (wanted.target,))):
        preflight.real(path)
    yield from overlap.overlaps(list(map(place, stay(*stack.lowers, *stack.data_only))), None, None)


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
