"""A scratch mount over the layers of a stack, kept by a process of its own, and what can be done there."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import literal
from ovlctl.kernel import mounts
from ovlctl.ops import frames, own_process, reading
from ovlctl.ops.reading.paths import plain
from ovlctl.ops.trying import protocol
from ovlctl.ops.trying.calls import check
from ovlctl.ops.trying.doing import stage_subject
from ovlctl.ops.trying.ground import check_layers, ground_of
from ovlctl.ops.trying.owners import with_owners
from ovlctl.ops.trying.preview import foretell
from ovlctl.ops.workspace import TRYING, default_directory, scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.reading import Subject
    from ovlctl.ops.trying.values import Deed, Difference, GroundLayer, Preview, Wish

_MEMORY = "/dev/shm"  # noqa: S108 -- the directory made in it is private
_END_SECONDS = 10


class Stage:
    """Actions on a scratch upper over the layers of a stack, which are only read. From :func:`stage`.

    One order at a time: threads wait for each other.

    Attributes:
        ground: What the numbers of layers in deeds mean; 0 is the scratch upper.
        file_system: The type that the scratch upper is on.
        subject: The scratch stack, readable by its directories; another one after :meth:`reset`.
        differences: Options that the scratch mount has otherwise than the stack.
    """

    def __init__(self, of: Subject, process: subprocess.Popen[bytes], file_system: str) -> None:
        self._process = process
        self._lock = threading.Lock()
        # By its directories alone: what is mounted elsewhere is not what is asked about here.
        self._of = replace(of, overlay=None, root=None)
        self.file_system = file_system
        self.ground: tuple[GroundLayer, ...]
        self.subject: Subject
        self.differences: tuple[Difference, ...]

    def preview(self, wish: Wish) -> Preview:
        """What *wish* will do, as the stage stands now.

        Raises:
            BadUsage: The wish is not complete, or a path has a component ``..``.
            OvlError: A layer cannot be opened.
        """
        wish = plain_wish(wish)
        check(wish)
        with reading.opened(self.subject) as view:
            if self._of.stack.upper is None:
                return foretell(view, wish)
            own = replace(self._of, options=self.subject.options, following=self.subject.following)
            with reading.opened(own) as theirs:
                return foretell(view, wish, theirs)

    def do(self, wish: Wish) -> Deed:
        """Do what *wish* says, on the scratch upper.

        A refusal of the kernel is no error, but told by the deed.

        Raises:
            BadUsage, NotAFile: It is nothing that is done here.
            StageLost: The process with the mount has ended.
        """
        wish = plain_wish(wish)
        check(wish)
        answer = self._ask(protocol.Do(wish=wish))
        if not isinstance(answer, protocol.Done):
            raise self._lost()
        return with_owners(answer.deed, self.ground)

    def reset(self) -> None:
        """Begin again: an empty scratch upper in place of the one there is, which is removed.

        Raises:
            StageLost: The process with the mount has ended.
        """
        answer = self._ask(protocol.Reset())
        if not isinstance(answer, protocol.Ready):
            raise self._lost()
        self._stand(answer)

    def _begin(self, scratch_directory: str, hidden: str | None) -> None:
        of = self._of
        begin = protocol.Begin(stack=of.stack, options=of.options, scratch=scratch_directory, hidden=hidden)
        answer = self._ask(begin)
        if not isinstance(answer, protocol.Ready):
            raise self._lost()
        self._stand(answer)

    def _stand(self, ready: protocol.Ready) -> None:
        self.subject = stage_subject(self._of.label, ready.stack, ready.options, trusted=ready.trusted)
        self.ground = ground_of(self._of.stack, ready.stack.upper)
        self.differences = ready.differences

    def _ask(self, order: protocol.Begin | protocol.Order) -> protocol.Answer | None:
        assert self._process.stdin is not None  # noqa: S101 -- for the type checker
        assert self._process.stdout is not None  # noqa: S101 -- as above
        with self._lock:
            try:
                frames.send(self._process.stdin.fileno(), order)
                answer: protocol.Answer | None = frames.receive(self._process.stdout.fileno())
            except BrokenPipeError:
                answer = None
        if isinstance(answer, protocol.Failed):
            raise answer.error
        return answer

    def _lost(self) -> errors.StageLost:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        status = self._process.returncode
        killed = f" (killed by {signal.Signals(-status).name})" if status is not None and status < 0 else ""
        return errors.StageLost(
            literal(f"the process that has the scratch mount has ended{killed}"), hint="start again: nothing is lost"
        )


@contextmanager
def stage(subject: Subject, *, directory: str | None = None) -> Iterator[Stage]:
    """Mount the layers of *subject* below a scratch upper, where nobody else sees it, for as long as the block runs.

    The stack's own upper is the topmost lower there; without one, the scratch upper is simply the upper. The mount is
    in a mount namespace of one process (without root in a user namespace, too), which ends with this one, however that
    ends; its scratch directory then goes with the next start.

    Args:
        subject: From :mod:`ovlctl.ops.reading`; mounted or not.
        directory: Where the scratch directory is made; by default $TMPDIR or /var/tmp, and memory (/dev/shm) where
            that is on an overlay.

    Raises:
        LayersAreArchives: The layers are no directories.
        NoUserNamespace: This user may mount nothing.
        LowerHoldsMounts: A layer has mounts below it, which takes root.
        AccessDenied, LayerElsewhere, PathMissing, NotADirectory: A layer, or the directory, cannot be used.
        UpperOnOverlay, UpperFileSystemPoor: The directory cannot hold an upper.
        KernelRefused and others of :func:`ovlctl.ops.ladder.mount_stack`.
    """
    if subject.image is not None:
        raise errors.LayersAreArchives(
            "the layers of {} are archives, and only directories can be mounted",
            subject.label,
            hint="unpack the image (`umoci unpack`), then `ovlctl try --lower ROOTFS ACTION PATH`",
        )
    with reading.opened(subject):
        pass  # says in clear words what is wrong with a layer
    check_layers(subject.stack)
    with scratch(_place(directory), TRYING) as place:
        file_system = mounts.mount_at(place.path).fs_type
        if file_system == "overlay":
            raise errors.UpperOnOverlay(
                "{} is on an overlay itself, which cannot hold the upper of another one",
                place.path,
                hint="name a directory on another file system with `--dir`",
            )
        process = own_process.start("ovlctl.ops.trying.child", pass_fds=(place.lock,))
        try:
            made = Stage(subject, process, file_system)
            made._begin(place.path, subject.root)  # noqa: SLF001 -- of this module's own
            yield made
        finally:
            _end(process)


def _place(directory: str | None) -> str:
    if directory is not None:
        return directory
    place = default_directory()
    with suppress(OSError):
        if mounts.mount_at(place).fs_type == "overlay" and os.access(_MEMORY, os.W_OK | os.X_OK):
            return _MEMORY
    return place


def plain_wish(wish: Wish) -> Wish:
    """*wish* with its paths without slashes that say nothing. Raises BadUsage for ``..``."""
    return replace(wish, path=plain(wish.path), to=None if wish.to is None else plain(wish.to))


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            frames.send(process.stdin.fileno(), protocol.End())
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
