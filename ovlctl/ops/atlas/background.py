"""A process beside the screen that reads whole trees, so that no key waits for it.

It is forked while there is one thread, has the layers open already, and gives trees back as memory files. It ends with
the process that started it, whatever ends that one.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import socket
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ovlctl.errors import KernelRefused, OvlError, literal, strerror
from ovlctl.kernel.parent_death import die_with
from ovlctl.ops import reading
from ovlctl.ops.atlas import layers, scan, shared, summaries

if TYPE_CHECKING:
    from types import TracebackType

    from ovlctl.ops.atlas.atlas import Atlas
    from ovlctl.ops.atlas.summary import LayerSummary, MergedSummary
    from ovlctl.ops.reading import Subject, View

_PROGRESS_SECONDS = 0.1
_MESSAGE = 1 << 16
_NICE = 5


@dataclass(frozen=True, slots=True)
class Merged:
    """Read the merged view.

    Attributes:
        of: Another stack than the one that the process was started for.
        turn: Whatever tells states of that stack apart.
    """

    of: Subject | None = None
    turn: int = 0


@dataclass(frozen=True, slots=True)
class Summaries:
    """Say what there is to say of each layer; attributes as above."""

    of: Subject | None = None
    turn: int = 0


@dataclass(frozen=True, slots=True)
class OneLayer:
    """Read one layer, by its number; attributes as above."""

    number: int
    of: Subject | None = None
    turn: int = 0


Task = Merged | Summaries | OneLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How many objects were met so far."""

    task: Task
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came out.

    Attributes:
        atlas: Of Merged and OneLayer.
        merged: Of Merged.
        layers: Of Summaries, by number.
    """

    task: Task
    atlas: Atlas | None = None
    merged: MergedSummary | None = None
    layers: tuple[LayerSummary, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A task went wrong; other tasks may follow. With no task the process has ended, and nothing follows."""

    task: Task | None
    error: OvlError


Event = Progress | Done | Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """What is sent instead of :class:`Done`: a memory file comes with it."""

    task: Task
    layout: shared.Layout | None = None
    merged: MergedSummary | None = None


class Scanner:
    """The process that reads; see :meth:`start`."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self._pid = pid
        self._channel = channel

    @classmethod
    def start(cls, view: View) -> Self:
        """Fork.

        To be called while this process has one thread.

        Args:
            view: Open in this process; the child has it as it is now.

        Raises:
            OSError: EAGAIN, no process can be made.
        """
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            here.close()
            _serve(view, there, parent)
        there.close()
        return cls(pid, here)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """What is readable when :meth:`receive` has something to give."""
        return self._channel.fileno()

    def order(self, task: Task) -> None:
        """Have *task* done after all that was ordered before; nothing when the process has ended."""
        try:
            self._channel.send(pickle.dumps(task))
        except OSError:
            # receive() says so.
            return

    def receive(self) -> Event:
        """What has come; waits for it."""
        data, descriptors, _, _ = socket.recv_fds(self._channel, _MESSAGE, 1)
        try:
            if not data:
                return Failed(
                    task=None,
                    error=KernelRefused("the process that reads the layers has ended", hint="start again"),
                )
            event: Progress | Failed | _Ready = pickle.loads(data)  # noqa: S301 -- from our own process
            if not isinstance(event, _Ready):
                return event
            if event.layout is not None:
                return Done(task=event.task, atlas=shared.read(descriptors[0], event.layout), merged=event.merged)
            with open(descriptors[0], "rb", closefd=False) as stream:
                return Done(task=event.task, layers=pickle.load(stream))  # noqa: S301 -- as above
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def close(self) -> None:
        """End the process, in the middle of whatever it does."""
        self._channel.close()
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0


def _serve(view: View, channel: socket.socket, parent: int) -> None:
    """Never returns: what raises here must not run on in a second copy of the program."""
    status = 1
    try:
        die_with(parent)
        # Keys and signals of the terminal are for the other process, and so is its screen.
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(nowhere, descriptor)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.nice(_NICE)
        # A scan makes millions of values and no cycles.
        gc.freeze()
        gc.disable()
        _Server(view, channel).run()
        status = 0
    finally:
        os._exit(status)


class _Server:
    def __init__(self, view: View, channel: socket.socket) -> None:
        self._view = view
        self._channel = channel
        # Of which state it is, and the tree.
        self._merged: tuple[int, Atlas] | None = None
        self._last = 0.0

    def run(self) -> None:
        while data := self._channel.recv(_MESSAGE):
            task: Task = pickle.loads(data)  # noqa: S301 -- from our own process
            try:
                if task.of is None:
                    self._do(task, reading.renewed(self._view))
                else:
                    with reading.opened(task.of) as view:
                        self._do(task, view)
            except OvlError as error:
                self._tell(Failed(task=task, error=error))
            except OSError as error:
                where = error.filename if isinstance(error.filename, str) else ""
                told = KernelRefused(f"{{}} cannot be read: {literal(strerror(error))}", where, errno=error.errno)
                self._tell(Failed(task=task, error=told))

    def _do(self, task: Task, view: View) -> None:
        def tick(count: int) -> None:
            now = time.monotonic()
            if now - self._last >= _PROGRESS_SECONDS:
                self._last = now
                self._tell(Progress(task=task, count=count))

        match task:
            case Merged():
                self._merged = None
                atlas, merged = scan.merged(view, tick=tick)
                self._merged = task.turn, self._give(_Ready(task=task, merged=merged), atlas)
            case OneLayer(number):
                self._give(_Ready(task=task), layers.of_layer(view, number, tick=tick))
            case Summaries():
                known = self._merged is not None and self._merged[0] == task.turn
                whole = self._merged[1] if self._merged is not None and known else scan.merged(view)[0]
                self._hand(_Ready(task=task), pickle.dumps(summaries.summaries(view, whole, tick=tick)))

    def _give(self, ready: _Ready, atlas: Atlas) -> Atlas:
        """Send an atlas; what comes back is the same one, in the memory that both processes have."""
        descriptor, layout = shared.write(atlas)
        try:
            same = shared.read(descriptor, layout)
            self._tell(_Ready(task=ready.task, layout=layout, merged=ready.merged), descriptor)
        finally:
            os.close(descriptor)
        return same

    def _hand(self, ready: _Ready, content: bytes) -> None:
        with os.fdopen(os.memfd_create("ovlctl-summaries", os.MFD_CLOEXEC), "w+b") as stream:
            stream.write(content)
            stream.seek(0)
            self._tell(ready, stream.fileno())

    def _tell(self, event: Progress | Failed | _Ready, *descriptors: int) -> None:
        socket.send_fds(self._channel, [pickle.dumps(event)], list(descriptors))
