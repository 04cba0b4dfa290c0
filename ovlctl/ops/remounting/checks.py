"""What stands in the way of a remount, found before anything is changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note
from ovlctl.kernel import fscontext
from ovlctl.ops import keeping, preflight
from ovlctl.ops.preflight import overlap
from ovlctl.ops.preflight.places import place
from ovlctl.overlay.options import Switch, stated
from ovlctl.overlay.stack import MAX_LOWERS, Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.kernel.bootcache import Ask
    from ovlctl.ops.records import Record
    from ovlctl.ops.remounting.values import How
    from ovlctl.ops.state import State


def check_way(before: Record, how: How) -> None:
    """Refuse a way that this kernel or this stack does not allow.

    Raises:
        DetachNeedsReadOnly, BeneathMissing: so.
    """
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


def looked_at(before: Record, wanted: Stack, how: How, ask: Ask) -> tuple[Stack, preflight.Case, tuple[Note, ...]]:
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
    found = [place(path) for path in bridge_of(stack).lowers]
    for problem in overlap.overlaps(found, None, None):
        raise errors.BridgeImpossible(
            f"the upper cannot be shown while it changes hands: {problem.template}", *problem.paths, hint=hint
        )


def bridge_of(stack: Stack) -> Stack:
    """The read-only stack that shows what *stack* shows: its upper as the topmost lower."""
    # The marks in the upper are followed as they were made; what only an upper has is left out.
    options = replace(
        stated(stack.options, trusted_xattrs=preflight.trusted_xattrs()),
        index=Switch.OFF,
        nfs_export=None,
        uuid=None,
        volatile=None,
        fsync=None,
    )
    return Stack((stack.upper or "", *stack.lowers), data_only=stack.data_only, options=options)


def respect_marks(state: State, before: Record, wanted: Stack) -> None:
    """Let an upper go over other lowers, or under other options, only where that does not change what it says.

    Raises:
        KeptUpperDiffers: otherwise.
    """
    old = before.stack
    if old.upper is None:
        return
    same_lowers = Stack(old.lowers, data_only=old.data_only, upper=wanted.upper, options=wanted.options)
    keeping.check_same(before.name, old, same_lowers)
    lasting = keeping.binding(old.options)
    moved = (old.lowers, old.data_only) != (wanted.lowers, wanted.data_only)
    if moved and lasting and old.upper == keeping.layout(state, before.name, in_memory=before.tmpfs is not None).upper:
        raise errors.KeptUpperDiffers(
            f"the upper of {before.name} was written with {' and '.join(lasting)}, so it belongs to the lowers it was "
            "made over (topmost {}), and {} is another stack",
            old.lowers[0],
            wanted.lowers[0],
            hint="mount the new lowers under another `--name`",
        )


def doubtful(old: Stack, wanted: Stack) -> Iterator[Note]:
    """What the marks in an upper may make of other lowers."""
    lasting = keeping.binding(old.options)
    if old.upper is None or not lasting:
        return
    moved = "other lowers" if old.lowers != wanted.lowers else "lowers that were changed"
    yield Note(
        f"the upper {{}} was written with {' and '.join(lasting)}; over {moved} it may show wrong files", (old.upper,)
    )
