"""``mount -t ovlctl FILE#NAME TARGET``: what mount(8) asks its helper for.

The stacks that NAME stands on are mounted first, each at its own target; when one fails, those mounted on the way are
ended again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note, literal
from ovlctl.kernel.bootcache import directly
from ovlctl.kernel.fscontext import mount_setattr
from ovlctl.kernel.libc import AT_FDCWD
from ovlctl.ops import discover, mounting, sets
from ovlctl.ops.discover import Standing
from ovlctl.ops.preflight.places import real
from ovlctl.ops.sets import mstack
from ovlctl.ops.sets.graph import declared, graph
from ovlctl.ops.sets.resolve import wish
from ovlctl.ops.sets.steps import Make
from ovlctl.ops.steps import failing_as, run

if TYPE_CHECKING:
    from ovlctl.ops.boot.mount_words import Words
    from ovlctl.ops.discover import Overlay
    from ovlctl.ops.sets.declared import Declared, StackFile
    from ovlctl.ops.sets.resolve import Wish
    from ovlctl.ops.state import State
    from ovlctl.ops.steps import Step
    from ovlctl.overlay.options import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One call of the helper, understood and not yet carried out.

    Attributes:
        name: The stack.
        wishes: It and those it stands on, these first.
        words: The mount options.
        file: What declares it, with what the command line changes.
    """

    name: str
    wishes: tuple[Wish, ...]
    words: Words
    file: StackFile


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it.

    Attributes:
        mounted: What is mounted now and was not before, in order.
        cautions: What was said about it.
    """

    mounted: tuple[Overlay, ...]
    cautions: tuple[Note, ...]


def asked(spec: str, target: str, words: Words, state: State) -> Asked:
    """Understand ``mount -t ovlctl SPEC TARGET``.

    Args:
        spec: ``FILE#NAME``, ``DIR.mstack``, or a file that declares one stack.
        target: Where; it wins over the target in the file.
        words: The mount options; they win over the options in the file.
        state: Root's.

    Raises:
        OvlError: When the file cannot be read or has no such stack.
    """
    path, name = _taken_apart(spec)
    file = sets.load(path)
    if name is None:
        if len(file.stacks) != 1:
            names = ", ".join(stack.name for stack in file.stacks)
            raise errors.BadUsage(
                f"{{}} declares {len(file.stacks)} stacks", spec, hint=literal(f"write FILE#NAME; it has {names}")
            )
        name = file.stacks[0].name
    changed = _with(declared(file, name), real(target), words.overlay)
    for stack in file.stacks:
        if stack.name != name and stack.target is not None and os.path.realpath(stack.target) == changed.target:
            raise errors.BadUsage(f"{{}} is the target of another stack, {literal(stack.name)}", stack.target)
    file = replace(file, stacks=tuple(changed if stack.name == name else stack for stack in file.stacks))
    known = graph(file)
    needed = known.with_grounds([name])
    wishes = tuple(wish(file, stack.name, state) for stack in known.order if stack.name in needed)
    return Asked(name=name, wishes=wishes, words=words, file=file)


def _taken_apart(spec: str) -> tuple[str, str | None]:
    path, sharp, name = spec.rpartition("#")
    # A file may have such a character in its name.
    return (spec, None) if not sharp or os.path.lexists(spec) else (path, name)


def _with(stack: Declared, target: str, over: Options) -> Declared:
    options = replace(stack.options, **{key.name: value for key, value in over.asked()})  # type: ignore[arg-type]
    return replace(stack, target=target, options=options)


def mount(call: Asked, state: State) -> Done:
    """Mount what *call* asks for; what is mounted there already, under the same name, stays as it is.

    Raises:
        NameTaken: when the stack, or one it stands on, is mounted at another place.
        OvlError: As :func:`ovlctl.ops.mounting.mount`; nothing is mounted then that was not before.
    """
    if not state.exists:
        # What is refused must not leave even a state directory behind.
        check(call, state)
    # At boot several helpers run at once, and may want the same stack below theirs.
    with mounting.held(state, [wanted.stack for wanted in call.wishes]):
        ask = mounting.asking(state)
        makes = [Make(state, wanted, ask, None) for wanted in call.wishes if not _stands(wanted, state)]
        steps: list[Step] = [*makes]
        if any(make.name == call.name for make in makes):
            last = [SetAttributes(call.wishes[-1].point, call.words)] if call.words.changes() else []
            steps = [*mstack.missing(call.file), *makes, *last]
        run(steps)
    plans = [make.plan for make in makes if make.plan is not None]
    remarks = call.file.remarks if plans else ()
    return Done(
        tuple(plan.overlay() for plan in plans), (*remarks, *(note for plan in plans for note in plan.remarks()))
    )


def check(call: Asked, state: State) -> None:
    """Do all that :func:`mount` would do before it changes anything (``mount -f``).

    Raises:
        OvlError: as :func:`mount`; what depends on a stack that is not mounted yet is not looked at.
    """
    for wanted in call.wishes:
        if not _stands(wanted, state):
            if not mstack.missing(call.file):
                Make(state, wanted, directly, None).planned()
            return


def change(target: str, words: Words) -> None:
    """Change the attributes of the mount at *target* (``mount -o remount``).

    Raises:
        BadUsage: when options of the overlay are to be changed, which the kernel cannot.
        NotAnOverlay: when none is mounted there.
    """
    if words.overlay.asked():
        key = words.overlay.asked()[0][0].name
        raise errors.BadUsage(
            f"an overlay keeps its options for as long as it is mounted, `{key}` among them",
            hint="`ovlctl remount` puts another mount in its place",
        )
    target = real(target)
    if not any(overlay.target == target and overlay.mount is not None for overlay in discover.overlays().overlays):
        raise errors.NotAnOverlay("no overlay is mounted at {}", target, hint="`ovlctl ls` lists all")
    SetAttributes(target, words).apply()


class SetAttributes:
    """Set and clear attributes of the mount at *target*; never undone, because the mount goes with them."""

    def __init__(self, target: str, words: Words) -> None:
        self._target, self._words = target, words

    def describe(self) -> Note:
        """What is set and what is cleared."""
        words = self._words
        return Note(f"mount_setattr(2) at {{}}: set {words.attr_set!r}, clear {words.attr_clr!r}", (self._target,))

    def apply(self) -> None:
        """Do it."""
        with failing_as(errors.KernelRefused, "cannot set the attributes of the mount at {}", self._target):
            mount_setattr(AT_FDCWD, self._target, attr_set=self._words.attr_set, attr_clr=self._words.attr_clr)

    def undo(self) -> None:
        """Nothing to do."""


def _stands(wanted: Wish, state: State) -> bool:
    """Whether *wanted* is mounted in its place, by ovlctl, or with the same lowers by somebody else."""
    for overlay in discover.overlays(state).overlays:
        if overlay.standing is not Standing.MOUNTED:
            continue
        in_place = overlay.target == wanted.point
        if in_place and (overlay.name == wanted.name or overlay.stack.lowers == wanted.stack.lowers):
            return True
        if overlay.name == wanted.name:
            raise errors.NameTaken(
                f"{wanted.name} is mounted at {{}}, and a stack is mounted once",
                overlay.target or "",
                hint="`umount {}` first, or declare another stack with the same layers",
            )
    return False
