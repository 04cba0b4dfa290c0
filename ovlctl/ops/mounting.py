"""Mount a stack: look for trouble, write down the intent, mount, read back, write down the outcome."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note
from ovlctl.kernel import namespaces
from ovlctl.kernel.bootcache import BootCache, directly
from ovlctl.ops import discover, keeping, ladder, mount_steps, preflight, records
from ovlctl.ops.api import Api
from ovlctl.ops.keeping import KeptUpper, Layout, TmpfsUpper
from ovlctl.ops.preflight.places import translated
from ovlctl.ops.records import Phase, Record
from ovlctl.ops.recovery import Recover
from ovlctl.ops.state import State, check_name, locate, name_from, wait_for_lock
from ovlctl.ops.steps import run
from ovlctl.overlay.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from ovlctl.kernel.bootcache import Ask
    from ovlctl.ops.discover import Overlay
    from ovlctl.ops.records import Seen
    from ovlctl.ops.steps import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class MountPlan:
    """The steps of one mount, worked out and not yet taken.

    Attributes:
        record: What will be remembered.
        steps: In order; each can describe, apply and undo itself.
        cautions: What works but is worth saying.
    """

    record: Record
    steps: tuple[Step, ...]
    cautions: tuple[Note, ...]

    def describe(self) -> tuple[Note, ...]:
        """One sentence or command per step."""
        return tuple(step.describe() for step in self.steps)

    def overlay(self) -> Overlay:
        """The overlay that came of the steps, once they were taken."""
        outcome = mount_steps.outcome(self.steps)
        return discover.of_mount(outcome.mount, outcome.record)

    def remarks(self) -> tuple[Note, ...]:
        """The cautions, and what was found out while the steps were taken."""
        return (*self.cautions, *mount_steps.remarks(self.steps))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """A mount that ovlctl made; as a context manager it is unmounted at the end of the block.

    Attributes:
        name: Its name, for :func:`ovlctl.umount` and the command line.
        target: The mount point, where the merged view is.
        overlay: What the kernel says is mounted there.
        cautions: What the kernel or the checks had to say.
    """

    name: str
    target: str
    overlay: Overlay
    cautions: tuple[Note, ...]
    _state: State
    _discard: bool

    def __fspath__(self) -> str:
        """The mount point, so that a Mounted can stand where a path can."""
        return self.target

    def umount(self, *, discard: bool = False) -> None:
        """End the mount; with *discard* also remove the upper that ovlctl made for it.

        Raises:
            MountBusy: when somebody uses it; nothing has changed then.
        """
        # Here and below: most mounts outlive the process that makes them, and pay nothing for being ended.
        from ovlctl.ops import unmounting

        unmounting.umount(self.name, discard=discard, state_dir=self._state)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        made = self.overlay.record is not None and self.overlay.stack.upper in self.overlay.record.made
        self.umount(discard=self._discard and made)


def mount(
    stack: Stack,
    target: str | os.PathLike[str] | None = None,
    *,
    allocate: KeptUpper | TmpfsUpper | None = None,
    name: str | None = None,
    api: Api = Api.AUTO,
    allow_weaker: bool = False,
    discard: bool = False,
    origin: str | None = None,
    state_dir: str | State | None = None,
    watch: Callable[[Step], None] | None = None,
) -> Mounted:
    """Mount *stack*.

    Args:
        stack: Lowers, topmost first; without an upper it is mounted read-only, unless *allocate* makes one.
        target: An existing directory; None lets ovlctl make one.
        allocate: What kind of upper ovlctl shall make for a stack that has none.
        name: How to call it; None takes a name from the target or the topmost lower.
        api: How to tell the kernel; AUTO takes the first way that can express the stack.
        allow_weaker: Accept a mount that is weaker than asked, with a caution instead of an error.
        discard: When used as a context manager, remove the upper, if ovlctl made it, at the end of the block.
        origin: The stack file that declares it, if one does.
        state_dir: Where ovlctl keeps its records and uppers; None takes the user's own place.
        watch: Called after each step.

    Raises:
        OvlError: One class per cause; nothing has changed then.

    Example:
        >>> with mount(Stack(["/srv/app", "/srv/base"]), allocate=TmpfsUpper(), discard=True) as merged:
        ...     os.listdir(merged)
    """
    state = state_dir if isinstance(state_dir, State) else locate(state_dir)
    planned = partial(
        plan,
        stack,
        target,
        allocate=allocate,
        name=name,
        api=api,
        allow_weaker=allow_weaker,
        origin=origin,
        state_dir=state,
        ask=asking(state),
    )
    if not state.exists:
        # A stack that is refused must not leave even a state directory behind.
        planned()
    with held(state, [stack]):
        agreed = planned()
        run(agreed.steps, watch)
        overlay = agreed.overlay()
    return Mounted(
        name=agreed.record.name,
        target=agreed.record.target,
        overlay=overlay,
        cautions=agreed.remarks(),
        _state=state,
        _discard=discard,
    )


@contextmanager
def held(state: State, stacks: Iterable[Stack]) -> Iterator[None]:
    """Hold *state*, and the given uppers of *stacks* against other users' ovlctl, from the check to the mount.

    Raises:
        StateLocked: when somebody else holds one of them for too long.
        StateUnsafe, StateUnusable: as for :meth:`State.locked`.
    """
    # In this order: whoever holds a layer of these stacks must not stop the mounts of others.
    with _claimed(stacks), state.locked():
        yield


def asking(state: State) -> Ask:
    """How questions about the kernel are put, so that an answer is kept in *state* until the machine boots."""
    return BootCache(os.path.join(state.run, "probes.json")).answer


def plan(
    stack: Stack,
    target: str | os.PathLike[str] | None = None,
    *,
    allocate: KeptUpper | TmpfsUpper | None = None,
    name: str | None = None,
    api: Api = Api.AUTO,
    allow_weaker: bool = False,
    origin: str | None = None,
    rebase: bool = False,
    state_dir: str | State | None = None,
    ask: Ask = directly,
) -> MountPlan:
    """Work out how to mount *stack*, changing nothing.

    Arguments and errors are those of :func:`mount`; *ask* is how questions about the kernel are put, for answers
    kept from earlier in this boot, and *rebase* lets a kept upper go over other lowers (see :func:`respect_kept`).
    """
    state = state_dir if isinstance(state_dir, State) else locate(state_dir)
    state.check()
    wanted = preflight.resolved(stack)
    point = None if target is None else preflight.real(os.fspath(target))
    chosen = _free_name(state, point or (wanted.lowers or ("stack",))[0]) if name is None else check_name(name)
    stale = _stale(state, chosen)
    first, gone = ((), frozenset[str]()) if stale is None else _clearing(state, stale)
    place = keeping.layout(state, chosen, in_memory=isinstance(allocate, TmpfsUpper))
    wanted = _with_upper(wanted, allocate, place)
    moved = respect_kept(state, chosen, wanted, gone, rebase=rebase)
    to_make = _to_make(wanted, point, place, gone)
    base = None if isinstance(allocate, TmpfsUpper) else _nearest_directory(place.base)
    final = point or place.merged
    case = preflight.Case(
        stack=wanted,
        target=final,
        allow_weaker=allow_weaker,
        to_make=to_make,
        base=base if wanted.upper in to_make else None,
        ask=ask,
    )
    cautions = preflight.check(case)
    request = ladder.Request(stack=wanted, told=case.told, target=final, source=records.source_of(chosen))
    rung, reason = ladder.choose(request, api)
    in_memory = isinstance(allocate, TmpfsUpper) and wanted.upper is not None
    record = Record(
        name=chosen,
        phase=Phase.MOUNTING,
        stack=wanted,
        target=final,
        made=to_make,
        tmpfs=place.tmpfs if in_memory else None,
        tmpfs_size=allocate.size if isinstance(allocate, TmpfsUpper) else None,
        namespace=namespaces.mount_namespace_id(),
        boot=records.boot_id(),
        api=rung.api,
        reason=reason,
        origin=origin,
        began_ns=time.time_ns(),
        clock_ns=records.clock_lead(),
        seen=_seen(wanted),
    )
    steps = mount_steps.steps(state, record, rung, allow_weaker=allow_weaker)
    return MountPlan(record=record, steps=(*first, *steps), cautions=(*moved, *cautions))


def _seen(stack: Stack) -> tuple[Seen, ...]:
    """What the lowers are, for telling later which of them was replaced."""
    try:
        return records.seen(stack)
    except OSError as error:
        raise translated(error, error.filename) from error


def _stale(state: State, name: str) -> Record | None:
    """The record of an earlier mount called *name* that has no mount any more.

    Raises:
        NameTaken: when it is alive.
    """
    record = records.read(state, name)
    if record is None:
        return None
    for overlay in discover.overlays(state).overlays:
        if overlay.name == name and overlay.standing in {discover.Standing.MOUNTED, discover.Standing.ELSEWHERE}:
            raise errors.NameTaken(
                f"a stack called {name} is mounted at {{}}",
                record.target,
                hint=f"choose another `--name`, or `ovlctl umount {name}` first",
            )
    return record


def _clearing(state: State, stale: Record) -> tuple[tuple[Step, ...], frozenset[str]]:
    """The steps that end what was interrupted, and the directories that will be gone after them."""
    from ovlctl.ops import unmounting
    from ovlctl.ops.unmount_steps import MoveAside, RemoveEmpty

    steps = unmounting.finish(state, stale)
    removing = (Recover, RemoveEmpty, MoveAside)
    return steps, frozenset().union(*(step.removes() for step in steps if isinstance(step, removing)))


def _with_upper(wanted: Stack, allocate: KeptUpper | TmpfsUpper | None, place: Layout) -> Stack:
    """*wanted* with the upper that ovlctl makes, or has kept, for it."""
    if allocate is None or wanted.upper is not None or wanted.work is not None:
        return wanted
    return Stack(wanted.lowers, data_only=wanted.data_only, upper=place.upper, work=place.work, options=wanted.options)


def respect_kept(
    state: State, name: str, wanted: Stack, gone: frozenset[str] = frozenset(), *, rebase: bool = False
) -> tuple[Note, ...]:
    """Let the upper kept as *name* go under nothing but the stack it belongs to.

    Args:
        state: Where it is kept.
        name: The stack's name.
        wanted: What is to be mounted under that name, its upper included.
        gone: Directories that will be removed before.
        rebase: Other lowers than its own are meant; see :func:`ovlctl.ops.keeping.check_same`.

    Returns:
        What is worth saying when it goes over other lowers.

    Raises:
        KeptUpperDiffers: when *wanted* has another upper, or other lowers.
    """
    found = keeping.existing(state, name)
    kept = keeping.read(state, name)
    if found is None or kept is None or found.upper in gone:
        return ()
    if found.upper != wanted.upper:
        raise errors.KeptUpperDiffers(
            f"{name} is the name of the kept upper {{}}, which this stack does not use",
            found.upper,
            hint=f"choose another `--name`, or end the old one: `ovlctl umount {name} --discard`",
        )
    keeping.check_same(name, kept, wanted, rebase=rebase)
    if (kept.lowers, kept.data_only) == (wanted.lowers, wanted.data_only):
        return ()
    text = "the upper {} was made over other lowers: what it replaces or hides there it replaces or hides here"
    return (Note(text, (found.upper,)),)


def _to_make(wanted: Stack, point: str | None, place: Layout, gone: frozenset[str]) -> tuple[str, ...]:
    """The directories that do not exist, or will be *gone* by then, outermost first."""
    own_upper = wanted.upper == place.upper
    needed = [place.base] if point is None or own_upper else []
    inside: list[str] = []
    if own_upper and place.in_memory:
        needed.append(place.tmpfs)
        if place.mounted_tmpfs() is None or place.tmpfs in gone:
            # Whatever lies below a tmpfs yet to be mounted is not the upper.
            inside = [place.upper, place.work]
        else:
            needed += [place.upper, place.work]
    elif own_upper:
        needed += [place.upper, place.work]
    needed += [place.merged] if point is None else []
    missing = [path for path in needed if path in gone or not os.path.isdir(path)]
    return (*missing, *inside)


def _nearest_directory(path: str) -> str:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return os.path.realpath(path)


def _free_name(state: State, path: str) -> str:
    """A name that neither a record nor a kept upper has: an upper is reused only when it is asked for by name."""
    wish = name_from(path)
    taken = {*records.names(state), *state.kept_names()}
    numbered = (f"{wish}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (wish, *numbered) if name not in taken)


def _given(stacks: Iterable[Stack]) -> set[str]:
    """Given uppers and work directories, resolved; the checks that follow say what is wrong with one left out."""
    found: set[str] = set()
    for stack in stacks:
        for path in (stack.upper, stack.work):
            if path is not None:
                with suppress(errors.OvlError):
                    found.add(preflight.real(path))
    return found


@contextmanager
def _claimed(stacks: Iterable[Stack]) -> Iterator[None]:
    """Hold the given uppers and work directories against other users' ovlctl."""
    with ExitStack() as claims:
        # In one order for everybody, so that two never wait for each other.
        for path in sorted(_given(stacks)):
            try:
                directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError:
                # As in _given().
                continue
            claims.callback(os.close, directory)
            wait_for_lock(directory, path, patience=5.0)
        yield
