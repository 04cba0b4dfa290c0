"""End a mount, and only when told so remove what ovlctl made for it."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note, literal, strerror
from ovlctl.kernel import mounts
from ovlctl.kernel.mount import MNT, umount2
from ovlctl.ops import busy, discover, keeping, records
from ovlctl.ops.discover import Overlay, Standing
from ovlctl.ops.preflight.in_use import in_use
from ovlctl.ops.records import Phase, Record
from ovlctl.ops.recovery import Recover
from ovlctl.ops.removal import check_unmounted, remove_tree
from ovlctl.ops.state import DISCARDED, State, locate
from ovlctl.ops.steps import PointOfNoReturn, failing_as, run
from ovlctl.overlay.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ovlctl.kernel.mounts import Mount
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
    steps = (*ending, *map(RemoveTree, dict.fromkeys([*aside, *state.discarded()])))
    doomed = (place_of.upper,) if discard and place_of is not None and _holds_something(place_of.upper) else ()
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
    return _after(state, record, place_of, discard=discard)


def _own_place(state: State, overlay: Overlay) -> Layout | None:
    """The directories that ovlctl made for *overlay* and that belong to it still."""
    if overlay.record is not None:
        return _place_of(state, overlay.record)
    return None if overlay.name is None else keeping.existing(state, overlay.name)


def _place_of(state: State, record: Record) -> Layout | None:
    found = keeping.existing(state, record.name)
    # Of the same name, but kept from a time before this mount.
    return found if found is not None and found.upper == record.stack.upper else None


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
        return (*intent, Unmount(mount), *_after(state, record, place_of, discard=discard))
    rest = finish(state, record, discard=discard)
    # Clearing away a mount that never came to be needs the record of its intent until the end.
    return rest if isinstance(rest[0], Recover) else (*intent, *rest)


def _after(state: State, record: Record, place_of: Layout | None, *, discard: bool) -> tuple[Step, ...]:
    steps: list[Step] = []
    if discard and place_of is not None:
        steps += _discard(place_of)
    else:
        own = keeping.layout(state, record.name, in_memory=record.tmpfs is not None)
        kept = os.path.lexists(own.note)
        empty = [path for path in (own.merged, *(() if kept else (own.base,))) if path in record.made]
        steps += [RemoveEmpty(path) for path in empty]
    return (*steps, Forget(state, record))


def _discard(place_of: Layout) -> tuple[Step, ...]:
    steps: list[Step] = []
    if place_of.in_memory:
        steps.append(UnmountTmpfs(place_of))
    aside = os.path.join(os.path.dirname(place_of.base), DISCARDED + os.path.basename(place_of.base))
    return (*steps, MoveAside(place_of, aside))


def _holds_something(directory: str) -> bool:
    try:
        return bool(os.listdir(directory))
    except FileNotFoundError:
        return False


@dataclass(eq=False, repr=False)
class WriteEnding:
    """Remember that the mount is being ended, and what was made for it removed."""

    state: State
    record: Record

    def describe(self) -> Note:
        """What will be written where."""
        return Note("write the intent into {}", (records.path_of(self.state, self.record.name),))

    def apply(self) -> None:
        """Write it."""
        records.write(self.state, replace(self.record, phase=Phase.UNMOUNTING, discard=True))

    def undo(self) -> None:
        """Back to what it was."""
        records.write(self.state, self.record)


@dataclass(eq=False, repr=False)
class Unmount:
    """End the mount, unless somebody uses it."""

    mount: Mount

    def describe(self) -> Note:
        """The command."""
        return Note("umount {}", (self.mount.mount_point,))

    def apply(self) -> None:
        """Unmount; EBUSY becomes the list of who holds it."""
        with failing_as(errors.KernelRefused, "cannot look at {}", self.mount.mount_point):
            seen = mounts.mount_at(self.mount.mount_point)
        if (seen.mount_id, seen.unique_id) != (self.mount.mount_id, self.mount.unique_id):
            raise errors.DiscardRefused(
                f"something else ({literal(seen.fs_type)}) is mounted over {{}}",
                self.mount.mount_point,
                hint="`umount {}` ends what is on top",
            )
        try:
            umount2(self.mount.mount_point, MNT.UMOUNT_NOFOLLOW)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise busy.explained(self.mount) from error
            if error.errno == errno.EPERM:
                raise errors.MissingCapability(
                    "unmounting {} needs CAP_SYS_ADMIN, which this process does not have",
                    self.mount.mount_point,
                    errno=error.errno,
                    hint="run it as root",
                ) from error
            message = f"the kernel refused to unmount {{}}: {strerror(error)}"
            raise errors.KernelRefused(message, self.mount.mount_point, errno=error.errno) from error

    def undo(self) -> None:
        """An ended mount stays ended: its record, put back as it was, says that it is stale."""


@dataclass(eq=False, repr=False)
class UnmountTmpfs:
    """End the tmpfs of an upper in memory, and with it what the upper holds."""

    place: Layout

    def describe(self) -> Note:
        """The command."""
        return Note("umount {}   # the upper in memory is lost", (self.place.tmpfs,))

    def apply(self) -> None:
        """Unmount it, when it is mounted and is ours."""
        mount = self.place.mounted_tmpfs()
        if mount is not None:
            Unmount(mount).apply()

    def undo(self) -> None:
        """Memory does not come back; the steps after this one only remove empty directories."""


@dataclass(eq=False, repr=False)
class MoveAside:
    """Take a stack's directory out of the way by one rename, so that a crash finds all of it or nothing."""

    place: Layout
    aside: str

    def describe(self) -> Note:
        """The command."""
        return Note("mv {} {}", (self.place.base, self.aside))

    def apply(self) -> None:
        """Check that nothing lives in it, and rename it."""
        _refuse_if_used(self.place)
        if os.path.lexists(self.aside):
            # Left by a discard that was interrupted.
            remove_tree(self.aside)
        with failing_as(errors.DiscardRefused, "cannot move {} aside", self.place.base):
            os.rename(self.place.base, self.aside)

    def removes(self) -> frozenset[str]:
        """All that lies in it."""
        own = self.place
        return frozenset({own.base, own.tmpfs, own.upper, own.work, own.merged})

    def undo(self) -> None:
        """Put it back."""
        os.rename(self.aside, self.place.base)


def _refuse_if_used(place_of: Layout) -> None:
    check_unmounted(place_of.base)
    if os.path.isdir(place_of.upper) and in_use(place_of.upper):
        raise errors.DiscardRefused(
            "the mount has ended here, but a live overlay still uses the upper {}: one in another mount namespace, "
            "one on top of this one, or this one, unmounted lazily; nothing was removed",
            place_of.upper,
            errno=errno.EBUSY,
            hint="end that one, then `ovlctl umount --discard` again",
        )


@dataclass(eq=False, repr=False)
class RemoveTree(PointOfNoReturn):
    """Remove what was moved aside."""

    path: str

    def describe(self) -> Note:
        """The command."""
        return Note("rm -r {}", (self.path,))

    def apply(self) -> None:
        """Remove it without following any link and without leaving its mount."""
        remove_tree(self.path)

    def undo(self) -> None:
        """Gone is gone."""


@dataclass(eq=False, repr=False)
class RemoveEmpty:
    """Remove a directory that ovlctl made, when it is empty."""

    path: str

    def describe(self) -> Note:
        """The command."""
        return Note("rmdir {}   # if empty", (self.path,))

    def apply(self) -> None:
        """Remove it; one that is in use, gone, or on a disk that became read-only stays as it is."""
        with suppress(OSError):
            os.rmdir(self.path)

    def removes(self) -> frozenset[str]:
        """The directory."""
        return frozenset({self.path})

    def undo(self) -> None:
        """Make it again."""
        os.makedirs(self.path, mode=0o700, exist_ok=True)


@dataclass(eq=False, repr=False)
class Forget:
    """Remove the record."""

    state: State
    record: Record

    def describe(self) -> Note:
        """What will be removed."""
        return Note("remove {}", (records.path_of(self.state, self.record.name),))

    def apply(self) -> None:
        """Remove it; on a read-only disk it stays, and is stale."""
        try:
            records.remove(self.state, self.record.name)
        except errors.StateUnusable as error:
            if error.errno != errno.EROFS:
                raise

    def undo(self) -> None:
        """Write it again."""
        records.write(self.state, self.record)
