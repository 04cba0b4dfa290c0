"""Everything that would go wrong with a mount, found before the kernel is asked.

The kernel answers most mistakes with a bare errno, some with a line in a log that few may read, and some not at all:
it mounts something weaker, or deletes files. Each check here is one cause with its own error class; a test makes
every cause for real and compares with what the kernel says.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.kernel import mounts, namespaces
from ovlctl.kernel.bootcache import directly
from ovlctl.ops.preflight import kernel_limits, overlap, sharing, upper
from ovlctl.ops.preflight.in_use import Question
from ovlctl.ops.preflight.places import place, real, resolved
from ovlctl.overlay import rules
from ovlctl.overlay.options import Flag, stated

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ovlctl.errors import Note
    from ovlctl.kernel.bootcache import Ask
    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.preflight.places import Identity, Place
    from ovlctl.ops.preflight.unprivileged import Seen
    from ovlctl.overlay.options import Options
    from ovlctl.overlay.stack import Stack

__all__ = ["Case", "check", "problems", "real", "resolved", "trusted_xattrs"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One mount to be looked at before it is made; each thing is looked at once, when the first check asks.

    Attributes:
        stack: Paths resolved (see :func:`resolved`).
        target: An absolute path without symbolic links.
        allow_weaker: Accept what the kernel would silently leave out.
        to_make: Those of upper, work and target that do not exist yet and that ovlctl will make.
        base: An existing directory on the file system on which a missing upper will be made; None for a fresh
            tmpfs.
        held: The upper and the work directory of a mount that will have ended by then: that it uses them, and marked
            the work directory as volatile, is no obstacle.
        ask: How questions about the kernel are put, for answers kept from earlier in this boot.
    """

    stack: Stack
    target: str
    allow_weaker: bool = False
    to_make: Collection[str] = ()
    base: str | None = None
    held: Collection[str] = ()
    ask: Ask = directly

    @cached_property
    def told(self) -> Options:
        """What will be stated to the kernel."""
        return stated(self.stack.options, trusted_xattrs=trusted_xattrs())

    @cached_property
    def table(self) -> list[Mount]:
        """The mounts of this namespace, read in the cheaper way: nobody here needs their unique ids."""
        return mounts.from_mountinfo()

    @cached_property
    def claims(self) -> dict[Identity, str]:
        """What the overlays of this namespace say they write to, with their mount points."""
        own = {place(path).identity for path in self.held}
        return {identity: point for identity, point in sharing.written(self.table).items() if identity not in own}

    @cached_property
    def lowers(self) -> list[Place]:
        """Lowers and data-only lowers."""
        return [place(path) for path in (*self.stack.lowers, *self.stack.data_only)]

    @cached_property
    def upper(self) -> Place | None:
        """The upper, if it exists."""
        return self._existing(self.stack.upper)

    @cached_property
    def work(self) -> Place | None:
        """The work directory, if it exists."""
        return self._existing(self.stack.work)

    @cached_property
    def point(self) -> Place | None:
        """The target, if it exists."""
        return self._existing(self.target)

    @cached_property
    def survey(self) -> tuple[Seen, ...]:
        """What was seen in the layers that matters where trusted marks are not read; nothing where they are."""
        if trusted_xattrs() and self.told.userxattr is not Flag.YES:
            return ()
        # Here and below: root pays nothing for it.
        from ovlctl.ops.preflight import unprivileged

        return unprivileged.survey(self.upper, self.lowers, len(self.stack.data_only), by_root=trusted_xattrs())

    @cached_property
    def hears(self) -> bool:
        """Whether the kernel's log can be read, which it cannot in most containers, whatever the capabilities."""
        try:
            os.close(os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError:
            return False
        return True

    def _existing(self, path: str | None) -> Place | None:
        return None if path is None or path in self.to_make else place(path)


def check(case: Case) -> tuple[Note, ...]:
    """Look for everything that would go wrong.

    Returns:
        What is worth saying about the stack all the same.

    Raises:
        OvlError: The first problem found; see :func:`problems` for all of them.
    """
    for problem in problems(case):
        raise problem
    common = overlap.cautions(case.lowers, case.upper, case.work, case.point, case.table)
    return (*common, *_losses(case))


def problems(case: Case) -> Iterator[errors.OvlError]:
    """Every problem of a mount, what is wrong in itself first.

    Raises:
        PathMissing, NotADirectory, AccessDenied: when a path cannot even be looked at.
    """
    # Asked first and answered last: the kernel takes longer over this question than all other checks together.
    path = case.stack.upper
    question = Question(path) if path is not None and path not in case.to_make and _has_to_ask(case) else None
    try:
        yield from _in_itself(case)
        yield from _on_this_machine(case)
        if case.upper is not None and case.upper.path not in case.held:
            yield from sharing.upper_conflict(case.upper, question, case.claims)
    finally:
        if question is not None:
            # Whatever was found meanwhile: a question under way holds the directory.
            question.answer()


def _has_to_ask(case: Case) -> bool:
    """Whether the kernel has to be asked about the upper before the mount, even when no overlay here claims it.

    Asking leaves a line in its log. Where the work directory was never used, nothing of anybody's can be disturbed by
    a mount, and what the kernel says while mounting is early enough; if it can be heard.
    """
    if case.stack.upper in case.held:
        return False
    work = case.stack.work
    used = work is not None and os.path.lexists(os.path.join(work, "work"))
    return used or not case.hears


def _in_itself(case: Case) -> Iterator[errors.OvlError]:
    """What is wrong wherever it is mounted."""
    options, has_upper, trusted = case.stack.options, not case.stack.read_only, trusted_xattrs()
    yield from rules.misshapen(case.stack)
    yield from rules.conflicts(options, has_upper=has_upper, trusted_xattrs=trusted)
    if not case.allow_weaker:
        yield from rules.weaknesses(options, has_upper=has_upper, trusted_xattrs=trusted)
    if case.target == "/":
        yield errors.BadUsage("nothing can be mounted over the root directory", hint="choose another target")


def _on_this_machine(case: Case) -> Iterator[errors.OvlError]:
    """What is wrong here and now."""
    yield from kernel_limits.ability()
    yield from kernel_limits.unknown_options(case.stack.options, case.ask)
    layers = case.lowers if case.upper is None else [case.upper, *case.lowers]
    yield from kernel_limits.refused_file_systems(layers)
    yield from _upper(case)
    yield from _layers(case)
    if case.upper is not None and case.work is not None:
        own = case.work.path in case.held
        hazards = upper.hazards(case.work, case.told)
        yield from (each for each in hazards if not (own and isinstance(each, errors.VolatileLeftover)))
        yield from upper.strangers(case.upper, case.work, case.lowers[0], case.told)
        if not own:
            yield from sharing.work_conflict(case.work, case.claims, hears=case.hears)
    if not case.allow_weaker:
        yield from _marks_of_root(case)
        yield from kernel_limits.missing_handles(layers, case.told)
        yield from _poverty(case)
    if case.point is not None:
        yield from _target(case.point)


def _layers(case: Case) -> Iterator[errors.OvlError]:
    """What is wrong between the layers."""
    yield from overlap.overlaps(case.lowers, case.upper, case.work)
    yield from kernel_limits.nesting(case.lowers)
    yield from sharing.lower_conflicts(case.lowers, case.claims)


def _upper(case: Case) -> Iterator[errors.OvlError]:
    """Whether the file system of the upper, or of the place where one will be made, can carry it."""
    if case.upper is not None and case.work is not None:
        yield from upper.obstacles(case.upper, case.work)
    elif case.base is not None:
        base = place(case.base)
        yield from upper.obstacles(base, base)


def _poverty(case: Case) -> Iterator[errors.OvlError]:
    if case.work is not None:
        yield from upper.poverty(case.work, case.told)
    elif case.base is not None:
        yield from upper.poverty(place(case.base), case.told)


def _marks_of_root(case: Case) -> Iterator[errors.OvlError]:
    # Root who asks for userxattr gets it, and is told.
    if case.survey and not trusted_xattrs():
        from ovlctl.ops.preflight import unprivileged

        yield from unprivileged.problems(case.survey)


def _losses(case: Case) -> Iterator[Note]:
    if case.survey:
        from ovlctl.ops.preflight import unprivileged

        yield from unprivileged.cautions(case.survey)


def trusted_xattrs() -> bool:
    """Whether this process can use trusted xattrs: never inside a user namespace."""
    return namespaces.in_initial_user_namespace()


def _target(target: Place) -> Iterator[errors.OvlError]:
    if target.mount.fs_type == "overlay" and target.mount.mount_point == target.path:
        yield errors.TargetOccupied(
            "an overlay is mounted at {} already",
            target.path,
            hint="`ovlctl umount {}` first, or choose another target",
        )
