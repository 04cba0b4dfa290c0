"""The steps of a mount, from the intent on disk to the record of the outcome."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note
from ovlctl.kernel import mounts
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from ovlctl.kernel.namespaces import in_initial_user_namespace
from ovlctl.ops import busy, keeping, ladder, readback, records
from ovlctl.ops.api import Api
from ovlctl.ops.ladder import Request
from ovlctl.ops.preflight import sharing, trusted_xattrs
from ovlctl.ops.preflight.in_use import in_use
from ovlctl.ops.preflight.places import place
from ovlctl.ops.records import Phase, Record, source_of
from ovlctl.ops.state import State, write_atomically
from ovlctl.ops.steps import failing_as
from ovlctl.overlay import encode
from ovlctl.overlay.options import stated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.ladder import Rung, Taken
    from ovlctl.ops.steps import Step
    from ovlctl.overlay.stack import Stack


def steps(state: State, record: Record, rung: Rung, *, allow_weaker: bool) -> tuple[Step, ...]:
    """The steps that make the mount described by *record*.

    Args:
        state: Where records are kept; its lock is held while the steps run.
        record: The intent.
        rung: How to tell the kernel.
        allow_weaker: Accept a mount that is weaker than asked.
    """
    own = keeping.layout(state, record.name, in_memory=record.tmpfs is not None)
    planned: list[Step] = [WriteIntent(state, record)]
    for path in record.made:
        if path == own.upper and own.in_memory:
            planned.append(MountTmpfs(own.tmpfs, record))
        planned.append(MakeDirectory(path, like=record.stack.lowers[0] if path == own.upper else None))
    if record.stack.upper == own.upper:
        planned.append(WriteNote(own.note, record.stack))
    overlay = MountOverlay(record, rung)
    planned += [overlay, ReadBack(overlay, allow_weaker=allow_weaker), WriteOutcome(state, overlay)]
    return tuple(planned)


def outcome(taken: Sequence[Step]) -> WriteOutcome:
    """The last step, which knows the record and the mount that came of it."""
    last = taken[-1]
    assert isinstance(last, WriteOutcome), "steps() puts it last"  # noqa: S101 -- for the type checker
    return last


def remarks(taken: Sequence[Step]) -> tuple[Note, ...]:
    """What was found out while the steps ran and is no error."""
    return tuple(note for step in taken if isinstance(step, ReadBack) for note in step.accepted)


def request_of(record: Record) -> Request:
    """The mount that *record* is about."""
    told = stated(record.stack.options, trusted_xattrs=trusted_xattrs())
    return Request(stack=record.stack, told=told, target=record.target, source=record.source)


@dataclass(eq=False, repr=False)
class WriteIntent:
    """Remember what is about to be done, before it is done."""

    state: State
    record: Record

    def describe(self) -> Note:
        """What will be written where."""
        return Note("write the intent into {}", (records.path_of(self.state, self.record.name),))

    def apply(self) -> None:
        """Write it."""
        records.write(self.state, self.record)

    def undo(self) -> None:
        """Forget it."""
        records.remove(self.state, self.record.name)


@dataclass(eq=False, repr=False)
class WriteNote:
    """Write beside an upper that ovlctl keeps which lowers and options it belongs to."""

    path: str
    stack: Stack
    _before: str | None = None

    def describe(self) -> Note:
        """What will be written where."""
        return Note("write which lowers and options the upper belongs to into {}", (self.path,))

    def apply(self) -> None:
        """Write it."""
        with suppress(FileNotFoundError), open(self.path, encoding="ascii") as file:
            self._before = file.read()
        # The same once more would take room that a full disk does not have.
        if self._before != keeping.text(self.stack):
            write_atomically(self.path, keeping.text(self.stack))

    def undo(self) -> None:
        """Put back what was there."""
        if self._before is None:
            os.unlink(self.path)
        elif self._before != keeping.text(self.stack):
            write_atomically(self.path, self._before)


@dataclass(eq=False, repr=False)
class MakeDirectory:
    """Make a directory, which an upper does in the likeness of the topmost lower, as its root is the merged root."""

    path: str
    like: str | None

    def describe(self) -> Note:
        """The command."""
        return Note("mkdir {}", (self.path,))

    def apply(self) -> None:
        """Make it."""
        with failing_as(errors.StateUnusable, "cannot make {}", self.path):
            os.mkdir(self.path, 0o755 if self.like else 0o700)
        if self.like is None:
            return
        try:
            with failing_as(errors.StateUnusable, "cannot make {} like {}", self.path, self.like):
                self._resemble(os.stat(self.like))
        except errors.StateUnusable:
            os.rmdir(self.path)
            raise

    def _resemble(self, model: os.stat_result) -> None:
        if (model.st_uid, model.st_gid) != (os.geteuid(), os.getegid()):
            # An ordinary user cannot give directories away, nor can ids unknown to a user namespace be set; the
            # merged root then belongs to whoever mounts.
            owner, group = model.st_uid, model.st_gid
            if not in_initial_user_namespace():
                from ovlctl.kernel.idmap import known_owner

                owner, group = known_owner(model)
            with suppress(OSError):
                os.chown(self.path, owner, group)
        os.chmod(self.path, stat.S_IMODE(model.st_mode))

    def undo(self) -> None:
        """Remove it, which fails rather than take anything with it."""
        os.rmdir(self.path)


@dataclass(eq=False, repr=False)
class MountTmpfs:
    """Mount the tmpfs that holds an upper in memory."""

    path: str
    record: Record

    def describe(self) -> Note:
        """The command."""
        return Note(f"mount -t tmpfs -o {self._options()} {source_of(self.record.name)} {{}}", (self.path,))

    def apply(self) -> None:
        """Mount it."""
        with failing_as(errors.KernelRefused, "cannot mount a tmpfs at {}", self.path):
            mount(source_of(self.record.name), self.path, "tmpfs", MS.NOSUID | MS.NODEV, self._options().encode())

    def _options(self) -> str:
        size = self.record.tmpfs_size
        return "mode=0700" if size is None else f"mode=0700,size={size}"

    def undo(self) -> None:
        """Unmount it; it is still empty."""
        umount2(self.path, MNT.UMOUNT_NOFOLLOW)


#: In a work directory; the marker of a volatile mount may come into a directory that was there before.
_KERNEL_MAKES = (
    "index",
    "work",
    "work/incompat",
    "work/incompat/volatile",
    "work/incompat/volatile/dirty",
)


@dataclass(eq=False, repr=False)
class MountOverlay:
    """The mount itself."""

    record: Record
    rung: Rung
    taken: Taken | None = None
    one_fs: bool = False
    _before: frozenset[str] = frozenset()
    _found: Mount | None = None

    def describe(self) -> Note:
        """The equivalent mount(8) line."""
        how = {
            Api.MOUNT: "mount(2)",
            Api.FSCONFIG: "fsopen(2), fsconfig(2), fsmount(2), move_mount(2)",
            Api.RELATIVE: "mount(2) from the layers' common directory",
        }[self.rung.api]
        request = request_of(self.record)
        read_only = "ro," if request.stack.read_only else ""
        line = read_only + os.fsdecode(encode.mount_data(request.stack, request.told))
        return Note(f"mount -t overlay -o {{}} {self.record.source} {{}}   # by {how}", (line, self.record.target))

    def apply(self) -> None:
        """Mount; when that fails, remove what the kernel made in the work directory."""
        self._before, self._found = self._made_by_kernel(), None
        with failing_as(errors.PathMissing, "a layer of {} cannot be looked at", self.record.target):
            self.one_fs = readback.on_one_fs(self.record.stack)
        try:
            self.taken = ladder.mount_by(self.rung, self.record.reason, request_of(self.record))
        except BaseException as error:
            try:
                self._take_back()
            except (OSError, errors.OvlError) as failure:
                error.add_note(f"this could not be undone: {failure}")
            raise

    def mounted(self) -> Mount:
        """The mount that :meth:`apply` made, as it was seen first.

        Raises:
            KernelRefused: when it cannot be seen at the target.
        """
        found = self._found = self._found or self._seen()
        if found is None:
            raise errors.KernelRefused("the overlay mounted at {} is not seen there", self.record.target)
        return found

    def _seen(self) -> Mount | None:
        with suppress(OSError):
            found = mounts.mount_at(self.record.target)
            if (found.mount_point, found.source) == (self.record.target, self.record.source):
                return found
        return None

    def undo(self) -> None:
        """Unmount, and remove what the kernel made in the work directory.

        Raises:
            MountBusy: when somebody was quicker to use it.
        """
        self._take_back()

    def _take_back(self) -> None:
        self.end()
        self.clean_work()

    def end(self) -> None:
        """Unmount, when it is mounted."""
        mounted = self._seen()
        if mounted is not None:
            try:
                umount2(self.record.target, MNT.UMOUNT_NOFOLLOW)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                raise busy.explained(mounted) from error

    def _made_by_kernel(self) -> frozenset[str]:
        """What is there of all that the kernel makes in a work directory when it mounts."""
        work = self.record.stack.work
        if work is None:
            return frozenset()
        return frozenset(path for name in _KERNEL_MAKES if os.path.lexists(path := os.path.join(work, name)))

    def clean_work(self) -> None:
        """Remove what the kernel made in the work directory that was not there before."""
        for path in sorted(self._made_by_kernel() - self._before, reverse=True):
            (os.unlink if os.path.isfile(path) else os.rmdir)(path)


@dataclass(eq=False, repr=False)
class ReadBack:
    """Compare what the kernel made with what was asked."""

    overlay: MountOverlay
    allow_weaker: bool
    accepted: list[Note] = field(default_factory=list)

    def describe(self) -> Note:
        """What will be compared."""
        return Note("read the mount of {} back and compare it with what was asked", (self.overlay.record.target,))

    def apply(self) -> None:
        """Compare; a difference is an error unless weaker mounts were allowed."""
        taken = self.overlay.taken
        assert taken is not None, "the mount comes before"  # noqa: S101 -- for the type checker
        with failing_as(errors.KernelRefused, "cannot read the mount of {} back", self.overlay.record.target):
            if readback.suspects_sharing(taken) and (shared := self._shared()) is not None:
                raise shared
            found = list(self._found(taken))
        if found and not self.allow_weaker:
            raise errors.WeakerThanAsked(
                found[0].template,
                *found[0].paths,
                hint="the mount was undone; `--allow-weaker` accepts it",
                kernel=taken.kernel,
            )
        self.accepted = found

    def _shared(self) -> errors.OvlError | None:
        """What the kernel meant, found out by asking about each layer: its log is shared by all who mount.

        The mount is ended for it, as it has the work directory now if nobody else has.
        """
        stack = self.overlay.record.stack
        # As it was before, too: the marker of a volatile mount would stop the next one.
        self.overlay.undo()
        for kind, path in (("upper", stack.upper), ("work directory", stack.work)):
            if path is not None and in_use(path):
                return sharing.upper_in_use(kind, place(path), None)
        shared = sharing.written_lower([place(path) for path in (*stack.lowers, *stack.data_only)])
        if shared is None:
            self.overlay.apply()
        return shared

    def _found(self, taken: Taken) -> Iterator[Note]:
        overlay = self.overlay
        return readback.weaknesses(overlay.record.stack, taken, overlay.mounted(), one_fs=overlay.one_fs)

    def undo(self) -> None:
        """Nothing was changed."""


@dataclass(eq=False, repr=False)
class WriteOutcome:
    """Remember that the mount stands, and which one it is."""

    state: State
    overlay: MountOverlay

    def describe(self) -> Note:
        """What will be written."""
        return Note("write the outcome into {}", (records.path_of(self.state, self.overlay.record.name),))

    @property
    def mount(self) -> Mount:
        """The mount that stands."""
        return self.overlay.mounted()

    @property
    def record(self) -> Record:
        """The record of it."""
        return replace(self.overlay.record, phase=Phase.MOUNTED, mount_id=self.mount.unique_id)

    def apply(self) -> None:
        """Write it."""
        records.write(self.state, self.record)

    def undo(self) -> None:
        """Back to the intent."""
        records.write(self.state, self.overlay.record)
