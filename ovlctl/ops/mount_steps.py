"""The steps of a mount, from the intent on disk to the record of the outcome."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note, strerror
from ovlctl.kernel import mounts
from ovlctl.kernel.mount import MS, mount, umount2
from ovlctl.ops import keeping, ladder, readback, records
from ovlctl.ops.api import Api
from ovlctl.ops.preflight import trusted_xattrs
from ovlctl.ops.records import Phase, Record, source_of
from ovlctl.ops.state import State, write_atomically
from ovlctl.overlay import encode
from ovlctl.overlay.options import stated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.ladder import Taken
    from ovlctl.ops.steps import Step
    from ovlctl.overlay.stack import Stack


def steps(state: State, record: Record, api: Api, *, allow_weaker: bool) -> tuple[Step, ...]:
    """The steps that make the mount described by *record*.

    Args:
        state: Where records are kept; its lock is held while the steps run.
        record: The intent.
        api: The rung to take.
        allow_weaker: Accept a mount that is weaker than asked.
    """
    place = keeping.layout(state, record.name, in_memory=record.tmpfs is not None)
    planned: list[Step] = [WriteIntent(state, record)]
    for path in record.made:
        if path == place.upper:
            planned.append(WriteNote(place.note, record.stack))
        planned.append(MakeDirectory(path, like=record.stack.lowers[0] if path == place.upper else None))
        if path == record.tmpfs:
            planned.append(MountTmpfs(path, record))
    overlay = MountOverlay(record, api)
    planned += [overlay, ReadBack(overlay, allow_weaker=allow_weaker), WriteOutcome(state, overlay)]
    return tuple(planned)


def remarks(taken: Sequence[Step]) -> tuple[Note, ...]:
    """What was found out while the steps ran and is no error."""
    return tuple(note for step in taken if isinstance(step, ReadBack) for note in step.accepted)


@dataclass(eq=False, repr=False)
class WriteIntent:
    """Remember what is about to be done, before it is done."""

    state: State
    record: Record

    def describe(self) -> Note:
        """What will be written where."""
        return Note("write the intent into {}", (os.path.join(self.state.records, self.record.name + ".json"),))

    def apply(self) -> None:
        """Write it."""
        records.write(self.state, self.record)

    def undo(self) -> None:
        """Forget it."""
        records.remove(self.state, self.record.name)


@dataclass(eq=False, repr=False)
class WriteNote:
    """Write beside a new upper which lowers it belongs to."""

    path: str
    stack: Stack

    def describe(self) -> Note:
        """What will be written where."""
        return Note("write which lowers the upper belongs to into {}", (self.path,))

    def apply(self) -> None:
        """Write it."""
        write_atomically(self.path, keeping.text(self.stack))

    def undo(self) -> None:
        """Remove it."""
        os.unlink(self.path)


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
        try:
            os.mkdir(self.path, 0o755 if self.like else 0o700)
        except OSError as error:
            message = f"cannot make {{}}: {strerror(error)}"
            raise errors.StateUnusable(message, self.path, errno=error.errno) from error
        if self.like is not None:
            self._resemble(os.stat(self.like))

    def _resemble(self, model: os.stat_result) -> None:
        if (model.st_uid, model.st_gid) != (os.geteuid(), os.getegid()):
            # An ordinary user cannot give directories away, nor can ids unknown to a user namespace be set; the
            # merged root then belongs to whoever mounts.
            with suppress(OSError):
                os.chown(self.path, model.st_uid, model.st_gid)
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
        mount(source_of(self.record.name), self.path, "tmpfs", MS.NOSUID | MS.NODEV, self._options().encode())

    def _options(self) -> str:
        size = self.record.tmpfs_size
        return "mode=0700" if size is None else f"mode=0700,size={size}"

    def undo(self) -> None:
        """Unmount it; it is still empty."""
        umount2(self.path)


@dataclass(eq=False, repr=False)
class MountOverlay:
    """The mount itself."""

    record: Record
    api: Api
    taken: Taken | None = None
    _before: frozenset[str] = frozenset()

    def describe(self) -> Note:
        """The equivalent mount(8) line."""
        told = stated(self.record.stack.options, trusted_xattrs=trusted_xattrs())
        how = {
            Api.MOUNT: "mount(2)",
            Api.FSCONFIG: "fsopen(2), fsconfig(2), fsmount(2), move_mount(2)",
            Api.RELATIVE: "mount(2) from the layers' common directory",
        }[self.api]
        line = os.fsdecode(encode.mount_data(self.record.stack, told))
        return Note(f"mount -t overlay -o {{}} {self.record.source} {{}}   # by {how}", (line, self.record.target))

    def apply(self) -> None:
        """Mount; when the kernel refuses, remove what it made in the work directory."""
        self._before = self._made_by_kernel()
        try:
            self.taken = ladder.mount_stack(
                self.record.stack, self.record.target, api=self.api, source=self.record.source
            )
        except BaseException:
            self._clean_work()
            raise

    def undo(self) -> None:
        """Unmount, and remove what the kernel made in the work directory."""
        umount2(self.record.target)
        self._clean_work()

    def _made_by_kernel(self) -> frozenset[str]:
        work = self.record.stack.work
        if work is None:
            return frozenset()
        return frozenset(path for name in ("work", "index") if os.path.lexists(path := os.path.join(work, name)))

    def _clean_work(self) -> None:
        for path in self._made_by_kernel() - self._before:
            marker = os.path.join(path, "incompat", "volatile")
            for empty in (os.path.join(marker, "dirty"), marker, os.path.dirname(marker), path):
                if os.path.lexists(empty):
                    (os.unlink if os.path.isfile(empty) else os.rmdir)(empty)


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
        assert taken is not None, "the mount comes before"  # noqa: S101 - for the type checker
        if (shared := readback.shared(taken)) is not None:
            raise shared
        found = list(readback.weaknesses(self.overlay.record.stack, taken, self._mount()))
        if found and not self.allow_weaker:
            raise errors.WeakerThanAsked(
                found[0].template,
                *found[0].paths,
                hint="the mount was undone; `--allow-weaker` accepts it",
                kernel=taken.kernel,
            )
        self.accepted = found

    def _mount(self) -> Mount:
        return mounts.mount_at(self.overlay.record.target)

    def undo(self) -> None:
        """Nothing was changed."""


@dataclass(eq=False, repr=False)
class WriteOutcome:
    """Remember that the mount stands, and which one it is."""

    state: State
    overlay: MountOverlay

    def describe(self) -> Note:
        """What will be written."""
        return Note("write the outcome into {}", (os.path.join(self.state.records, self._record.name + ".json"),))

    @property
    def _record(self) -> Record:
        return self.overlay.record

    def apply(self) -> None:
        """Write it."""
        mounted = mounts.mount_at(self._record.target)
        records.write(self.state, replace(self._record, phase=Phase.MOUNTED, mount_id=mounted.unique_id))

    def undo(self) -> None:
        """Back to the intent."""
        records.write(self.state, self._record)
