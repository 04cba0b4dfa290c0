"""Everything that would go wrong with a mount, found before the kernel is asked.

The kernel answers most mistakes with a bare errno, some with a line in a log that few may read, and some not at all:
it mounts something weaker, or deletes files. Each check here is one cause with its own error class; a test makes
every cause for real and compares with what the kernel says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.kernel import namespaces
from ovlctl.kernel.bootcache import directly
from ovlctl.ops.defaults import module_defaults
from ovlctl.ops.preflight import kernel_limits, overlap, sharing, upper
from ovlctl.ops.preflight.places import place, real, resolved
from ovlctl.overlay import rules
from ovlctl.overlay.options import stated

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ovlctl.errors import Note
    from ovlctl.kernel.bootcache import Ask
    from ovlctl.ops.preflight.places import Place
    from ovlctl.overlay.stack import Stack

__all__ = ["check", "problems", "real", "resolved", "trusted_xattrs"]


def check(
    stack: Stack,
    target: str,
    *,
    allow_weaker: bool = False,
    to_make: Collection[str] = (),
    base: str | None = None,
    ask: Ask = directly,
) -> tuple[Note, ...]:
    """Look for everything that would go wrong with mounting *stack* at *target*.

    Args:
        stack: Paths resolved (see :func:`resolved`).
        target: An absolute path without symbolic links.
        allow_weaker: Accept what the kernel would silently leave out.
        to_make: Those of upper, work and target that do not exist yet and that ovlctl will make.
        base: An existing directory on the file system on which a missing upper will be made; None for a fresh
            tmpfs.
        ask: How questions about the kernel are put, for answers kept from earlier in this boot.

    Returns:
        What is worth saying about the stack all the same.

    Raises:
        OvlError: The first problem found; see :func:`problems` for all of them.
    """
    for problem in problems(stack, target, allow_weaker=allow_weaker, to_make=to_make, base=base, ask=ask):
        raise problem
    lowers = [place(path) for path in (*stack.lowers, *stack.data_only)]
    over, work, point = (_existing(path, to_make) for path in (stack.upper, stack.work, target))
    return tuple(overlap.cautions(lowers, over, work, point))


def problems(
    stack: Stack,
    target: str,
    *,
    allow_weaker: bool = False,
    to_make: Collection[str] = (),
    base: str | None = None,
    ask: Ask = directly,
) -> Iterator[errors.OvlError]:
    """Every problem of mounting *stack* at *target*, what is wrong in itself first. Arguments as for :func:`check`.

    Raises:
        PathMissing, NotADirectory, AccessDenied: when a path cannot even be looked at.
    """
    trusted = trusted_xattrs()
    told = stated(stack.options, trusted_xattrs=trusted)
    yield from rules.misshapen(stack)
    yield from rules.conflicts(stack.options, has_upper=not stack.read_only, trusted_xattrs=trusted)
    if not allow_weaker:
        yield from rules.weaknesses(stack.options, has_upper=not stack.read_only, trusted_xattrs=trusted)
    yield from kernel_limits.ability()
    yield from kernel_limits.unknown_options(stack.options, ask)

    defaults = module_defaults()
    lowers = [place(path) for path in (*stack.lowers, *stack.data_only)]
    over, work = _existing(stack.upper, to_make), _existing(stack.work, to_make)
    writable = [] if over is None else [over]
    yield from kernel_limits.refused_file_systems([*lowers, *writable])
    if over is not None and work is not None:
        yield from upper.obstacles(over, work)
    elif base is not None:
        made = place(base)
        yield from upper.obstacles(made, made)
        if not allow_weaker:
            yield from upper.poverty(made, made, told)
    yield from overlap.overlaps(lowers, over, work)
    yield from kernel_limits.nesting(lowers, defaults)
    yield from sharing.conflicts(lowers, over, work, defaults)
    if over is not None and work is not None:
        yield from upper.hazards(work, told)
        yield from upper.strangers(over, work, lowers[0], told)
        if not allow_weaker:
            yield from upper.poverty(over, work, told)
    if not allow_weaker:
        yield from kernel_limits.missing_handles([*writable, *lowers], told)
    if target == "/":
        yield errors.BadUsage("nothing can be mounted over the root directory", hint="choose another target")
    elif target not in to_make:
        yield from _target(place(target))


def trusted_xattrs() -> bool:
    """Whether this process can use trusted xattrs: never inside a user namespace."""
    return namespaces.in_initial_user_namespace()


def _existing(path: str | None, to_make: Collection[str]) -> Place | None:
    return None if path is None or path in to_make else place(path)


def _target(target: Place) -> Iterator[errors.OvlError]:
    if target.mount.fs_type == "overlay" and target.mount.mount_point == target.path:
        yield errors.TargetOccupied(
            "an overlay is mounted at {} already",
            target.path,
            hint="`ovlctl umount {}` first, or choose another target",
        )
