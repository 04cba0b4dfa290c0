"""End a mount, and only when told so remove what ovlctl made for it."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note, literal, strerror
from ovlctl.kernel import mounts
from ovlctl.kernel.mount import umount2
from ovlctl.ops import busy, discover, keeping, records
from ovlctl.ops.defaults import module_defaults
from ovlctl.ops.discover import Overlay, Standing
from ovlctl.ops.preflight import sharing
from ovlctl.ops.preflight.places import place
from ovlctl.ops.records import Phase, Record
from ovlctl.ops.recovery import Recover
from ovlctl.ops.state import State, locate
from ovlctl.ops.steps import run

if TYPE_CHECKING:
    from collections.abc import Callable

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
    with state.locked() if state.exists else nullcontext():
        final = plan(word, discard=discard, state_dir=state)
        if not set(final.doomed) <= set(doomed):
            raise errors.NotConfirmed("nothing was changed: {} appeared meanwhile", final.doomed[-1], hint="try again")
        run(final.steps, watch)
    return final


def plan(word: str | os.PathLike[str], *, discard: bool = False, state_dir: str | State | None = None) -> UmountPlan:
    """Work out how to end a mount, changing nothing. Arguments and errors as for :func:`umount`."""
    state = state_dir if isinstance(state_dir, State) else locate(state_dir)
    overlay = discover.find(state, os.fspath(word))
    if overlay.standing is Standing.ELSEWHERE:
        raise errors.StackNotFound(
            f"{overlay.name} is mounted in another mount namespace",
            hint="`ovlctl umount` has to run in that namespace: `nsenter -t PID -m`",
        )
    place_of = None if overlay.name is None else keeping.existing(state, overlay.name)
    if discard and place_of is None and (overlay.record is None or not overlay.record.made):
        raise errors.NotOurs(
            "ovlctl made nothing for {}, so there is nothing for it to discard",
            overlay.target or os.fspath(word),
            hint="leave out `--discard`",
        )
    steps = _steps(state, overlay, place_of, discard=discard)
    doomed = (place_of.upper,) if discard and place_of is not None and _holds_something(place_of.upper) else ()
    removed = (place_of.base,) if discard and place_of is not None else ()
    kept = None if discard else overlay.stack.upper
    return UmountPlan(overlay=overlay, steps=steps, doomed=doomed, removed=removed, kept=kept)


def finish(state: State, record: Record, *, discard: bool = False) -> tuple[Step, ...]:
    """The steps that end what *record*, whose mount is gone, was about; an interrupted discard is completed."""
    place_of = keeping.existing(state, record.name)
    discard = discard or record.discard
    if record.phase is Phase.MOUNTING and not (discard and place_of is not None):
        return (Recover(state, record),)
    return _after(state, record, place_of, discard=discard)


def _steps(state: State, overlay: Overlay, place_of: Layout | None, *, discard: bool) -> tuple[Step, ...]:
    record, mount = overlay.record, overlay.mount
    if record is None:
        ending: tuple[Step, ...] = () if mount is None else (Unmount(mount),)
        if discard and place_of is not None:
            ending += _discard(place_of)
        return ending
    # An interrupted discard was ordered once; it is finished, not forgotten.
    discard = discard or record.discard
    intent = WriteEnding(state, record, discard=discard)
    if mount is not None:
        return (intent, Unmount(mount), *_after(state, record, place_of, discard=discard))
    rest = finish(state, record, discard=discard)
    # Clearing away a mount that never came to be needs the record of its intent until the end.
    return rest if isinstance(rest[0], Recover) else (intent, *rest)


def _after(state: State, record: Record, place_of: Layout | None, *, discard: bool) -> tuple[Step, ...]:
    steps: list[Step] = []
    if discard and place_of is not None:
        steps += _discard(place_of)
    else:
        own = keeping.layout(state, record.name, in_memory=record.tmpfs is not None)
        empty = [path for path in (own.merged, own.base) if path in record.made and path != record.stack.upper]
        steps += [RemoveEmpty(path) for path in empty]
    return (*steps, Forget(state, record))


def _discard(place_of: Layout) -> tuple[Step, ...]:
    steps: list[Step] = []
    if place_of.in_memory:
        steps.append(UnmountTmpfs(place_of.tmpfs))
    aside = os.path.join(os.path.dirname(place_of.base), f".discarded-{os.path.basename(place_of.base)}")
    return (*steps, MoveAside(place_of, aside), RemoveTree(aside))


def _holds_something(directory: str) -> bool:
    try:
        return bool(os.listdir(directory))
    except FileNotFoundError:
        return False


@dataclass(eq=False, repr=False)
class WriteEnding:
    """Remember that the mount is being ended."""

    state: State
    record: Record
    discard: bool

    def describe(self) -> Note:
        """What will be written where."""
        return Note("write the intent into {}", (os.path.join(self.state.records, self.record.name + ".json"),))

    def apply(self) -> None:
        """Write it."""
        records.write(self.state, replace(self.record, phase=Phase.UNMOUNTING, discard=self.discard))

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
        seen = mounts.mount_at(self.mount.mount_point)
        if seen.mount_id != self.mount.mount_id:
            raise errors.DiscardRefused(
                f"something else ({literal(seen.fs_type)}) is mounted over {{}}",
                self.mount.mount_point,
                hint="`umount {}` ends what is on top",
            )
        try:
            umount2(self.mount.mount_point)
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

    path: str

    def describe(self) -> Note:
        """The command."""
        return Note("umount {}   # the upper in memory is lost", (self.path,))

    def apply(self) -> None:
        """Unmount it, when it is mounted."""
        found = mounts.mount_at(self.path)
        if found.mount_point != self.path:
            return
        try:
            umount2(self.path)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise busy.explained(found) from error
            raise

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
            _remove_tree(self.aside)
        os.rename(self.place.base, self.aside)

    def undo(self) -> None:
        """Put it back."""
        os.rename(self.aside, self.place.base)


def _refuse_if_used(place_of: Layout) -> None:
    inside = place_of.base + "/"
    for mount in mounts.mounts():
        if mount.mount_point.startswith(inside):
            raise errors.DiscardRefused(
                "{} holds the mount point {}", place_of.base, mount.mount_point, hint="`umount {1}` first"
            )
    if os.path.isdir(place_of.upper):
        upper = place(place_of.upper)
        for error in sharing.conflicts([], upper, None, module_defaults()):
            raise errors.DiscardRefused(error.template, *error.paths, errno=error.errno) from error


@dataclass(eq=False, repr=False)
class RemoveTree:
    """Remove what was moved aside."""

    path: str

    def describe(self) -> Note:
        """The command."""
        return Note("rm -r {}", (self.path,))

    def apply(self) -> None:
        """Remove it without following any link and without leaving its file system."""
        _remove_tree(self.path)

    def undo(self) -> None:
        """Gone is gone; no step after this one can fail halfway."""


def _remove_tree(path: str) -> None:
    try:
        _open_up(path)
        shutil.rmtree(path)
    except OSError as error:
        raise errors.DiscardRefused(
            f"cannot remove all of {{}}: {strerror(error)}",
            path,
            errno=error.errno,
            hint="an immutable file needs `chattr -i`; then `rm -r {}`",
        ) from error


def _open_up(path: str) -> None:
    """Let the owner into WORK/work, which overlayfs leaves with mode 000."""
    if os.geteuid() == 0:
        return
    for name in ("work", "tmpfs/work"):
        inner = os.path.join(path, name, "work")
        try:
            if stat.S_ISDIR(os.lstat(inner).st_mode):
                os.chmod(inner, 0o700)
        except FileNotFoundError:
            continue


@dataclass(eq=False, repr=False)
class RemoveEmpty:
    """Remove a directory that ovlctl made, when it is empty."""

    path: str

    def describe(self) -> Note:
        """The command."""
        return Note("rmdir {}   # if empty", (self.path,))

    def apply(self) -> None:
        """Remove it; one that is in use or gone stays as it is."""
        try:
            os.rmdir(self.path)
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOTEMPTY, errno.EBUSY}:
                raise

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
        return Note("remove {}", (os.path.join(self.state.records, self.record.name + ".json"),))

    def apply(self) -> None:
        """Remove it."""
        records.remove(self.state, self.record.name)

    def undo(self) -> None:
        """Write it again."""
        records.write(self.state, self.record)
