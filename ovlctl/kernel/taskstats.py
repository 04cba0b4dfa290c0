"""What the kernel charges to a thread: CPU, waiting for block I/O, bytes read from and written to devices.

Two sources. Taskstats over netlink (Documentation/accounting/taskstats.rst) wants CAP_NET_ADMIN in the initial user
namespace; /proc/thread-self (proc_pid_io(5), proc_pid_stat(5)) is there for everybody. pyroute2 carries the messages;
the payload is decoded here, because the structure changed its layout in one version and changed back in the next:

* up to version 14 new fields went to the end;
* version 15 (commit 658eb5ab916d "delayacct: add delay max to record delay peak", v6.14) put some in the middle;
* version 16 (commit 0bf2d838de1f "taskstats: fix struct taskstats breaks backward compatibility since version 15",
  May 2025, also in 6.14 stable) moved those to the end again, and later versions only append.

pyroute2's decoder knows 15 and takes everything else for the layout before it, which is right by luck; nor would it
notice a surprise. Here every answer is checked: it must name the thread that was asked about.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, Self

from ovlctl.kernel import namespaces
from ovlctl.kernel.capabilities import Capability, has

if TYPE_CHECKING:
    from types import TracebackType


class Source(StrEnum):
    """Where figures come from."""

    TASKSTATS = "taskstats"
    PROC = "proc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a thread used between two snapshots. None: this machine does not tell.

    Attributes:
        source: Where the figures come from.
        cpu_ns: CPU time, user and system, without that of the snapshots themselves.
        blkio_delay_ns: Time spent waiting for block I/O that the thread itself started.
        read_bytes: Bytes fetched from devices for it.
        write_bytes: Bytes it made dirty (charged when a page gets dirty, not when it is written).
    """

    source: Source
    cpu_ns: int
    blkio_delay_ns: int | None
    read_bytes: int | None
    write_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The counters of one thread at one moment; ``later - earlier`` is the :class:`Usage` between.

    Attributes:
        source: Where the figures come from.
        tid: The thread.
        cpu_ns: Its CPU time when the snapshot began (CLOCK_THREAD_CPUTIME_ID).
        cpu_end_ns: The same when the snapshot was complete.
        blkio_delay_ns: Time waited for block I/O so far, or None while kernel.task_delayacct is off. From /proc it
            comes in ticks of 10 ms.
        read_bytes: Bytes read from devices so far; taskstats cuts to whole KiB. None: no such accounting.
        write_bytes: Bytes made dirty so far, likewise.
    """

    source: Source
    tid: int
    cpu_ns: int
    cpu_end_ns: int
    blkio_delay_ns: int | None
    read_bytes: int | None
    write_bytes: int | None

    def __sub__(self, earlier: Snapshot) -> Usage:
        """What was used since *earlier*, a snapshot of the same thread from the same source.

        Raises:
            ValueError: They cannot be compared.
        """
        if (self.tid, self.source) != (earlier.tid, earlier.source):
            raise ValueError("snapshots of different threads or sources")
        return Usage(
            source=self.source,
            cpu_ns=self.cpu_ns - earlier.cpu_end_ns,
            blkio_delay_ns=_difference(self.blkio_delay_ns, earlier.blkio_delay_ns),
            read_bytes=_difference(self.read_bytes, earlier.read_bytes),
            write_bytes=_difference(self.write_bytes, earlier.write_bytes),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counters:
    blkio_delay_ns: int
    read_bytes: int
    write_bytes: int


class _Reader(Protocol):
    def read(self) -> _Counters: ...

    def close(self) -> None: ...


class Accounting:
    """Snapshots of the thread that opens it, for as long as it is open.

    The kernel counts delays only for tasks that began while kernel.task_delayacct was 1: switch it on before the
    process starts.

    Args:
        source: TASKSTATS or PROC; None for the best this process may use.

    Raises:
        OSError: *source* was asked for and cannot be used.
    """

    def __init__(self, source: Source | None = None) -> None:
        self._tid = threading.get_native_id()
        self._io_counted = os.path.exists("/proc/thread-self/io")
        self._delays_counted = _delay_accounting()
        self.source, self._reader = _open(self._tid, source)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the socket or the files back."""
        self._reader.close()

    def snapshot(self) -> Snapshot:
        """The counters now. Costs some 10 us from /proc, some 100 to 200 us from taskstats.

        CPU time is always the thread's clock, which is exact; taskstats counts user and system time in ticks.

        Raises:
            RuntimeError: Another thread calls than the one that opened this.
            OSError: The kernel does not answer any more.
        """
        began = time.thread_time_ns()
        if threading.get_native_id() != self._tid:
            raise RuntimeError("an Accounting belongs to the thread that opened it")
        counters = self._reader.read()
        return Snapshot(
            source=self.source,
            tid=self._tid,
            cpu_ns=began,
            blkio_delay_ns=counters.blkio_delay_ns if self._delays_counted else None,
            read_bytes=counters.read_bytes if self._io_counted else None,
            write_bytes=counters.write_bytes if self._io_counted else None,
            cpu_end_ns=time.thread_time_ns(),
        )


def _difference(later: int | None, earlier: int | None) -> int | None:
    return None if later is None or earlier is None else later - earlier


def _delay_accounting() -> bool:
    # A sysctl since 5.14, and off by default since then: commit e4042ad49235 "delayacct: Default disabled".
    try:
        with open("/proc/sys/kernel/task_delayacct", "rb") as file:
            return file.read().strip() == b"1"
    except OSError:
        return False


def _open(tid: int, source: Source | None) -> tuple[Source, _Reader]:
    if source is Source.TASKSTATS:
        return source, _Taskstats(tid)
    # Asked first, because loading pyroute2 takes longer than most commands.
    if source is None and has(Capability.CAP_NET_ADMIN) and namespaces.in_initial_user_namespace():
        try:
            return Source.TASKSTATS, _Taskstats(tid)
        except OSError:
            pass  # a kernel without CONFIG_TASKSTATS, another layout, or a sandbox
    return Source.PROC, _Proc()


class _Proc:
    """Counters from /proc/thread-self, whose files stay open: they answer anew at offset 0."""

    def __init__(self) -> None:
        self._stat = os.open("/proc/thread-self/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._io = os.open("/proc/thread-self/io", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._io = -1
        self._tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

    def read(self) -> _Counters:
        io = dict(line.split(b": ") for line in os.pread(self._io, 4096, 0).splitlines()) if self._io >= 0 else {}
        # Field 42, delayacct_blkio_ticks; the second field may hold anything, and ends with the last parenthesis.
        fields = os.pread(self._stat, 4096, 0).rpartition(b")")[2].split()
        return _Counters(
            blkio_delay_ns=int(fields[42 - 3]) * self._tick_ns,
            read_bytes=int(io.get(b"read_bytes", 0)),
            write_bytes=int(io.get(b"write_bytes", 0)),
        )

    def close(self) -> None:
        os.close(self._stat)
        if self._io >= 0:
            os.close(self._io)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Offsets in struct taskstats, linux/taskstats.h."""

    blkio_delay_total: int
    ac_pid: int
    read_bytes: int
    write_bytes: int


_LAYOUT = _Layout(blkio_delay_total=40, ac_pid=128, read_bytes=248, write_bytes=256)
_LAYOUT_15 = _Layout(blkio_delay_total=56, ac_pid=176, read_bytes=296, write_bytes=304)
_FIRST_VERSION = 3  # the first with read_bytes and write_bytes


def decode(payload: bytes, tid: int) -> tuple[int, int, int]:
    """blkio_delay_total in ns, read_bytes and write_bytes of a struct taskstats.

    Args:
        payload: The structure as the kernel sent it.
        tid: The thread that was asked about.

    Raises:
        OSError: It is of an unknown layout.
    """
    version, layout = 0, _LAYOUT
    if len(payload) >= _LAYOUT_15.write_bytes + 8:
        (version,) = struct.unpack_from("=H", payload)
        layout = _LAYOUT_15 if version == 15 else _LAYOUT  # noqa: PLR2004 -- the one that differs, see above
        if version >= _FIRST_VERSION and struct.unpack_from("=I", payload, layout.ac_pid)[0] == tid:
            values = (layout.blkio_delay_total, layout.read_bytes, layout.write_bytes)
            delay, read, written = (struct.unpack_from("=Q", payload, offset)[0] for offset in values)
            return int(delay), int(read), int(written)
    raise OSError(f"taskstats version {version} with {len(payload)} bytes is of an unknown layout")


class _Taskstats:
    """Counters over netlink. One socket, opened once: opening costs more than a snapshot."""

    def __init__(self, tid: int) -> None:
        from pyroute2.netlink.taskstats import TaskStats

        self._tid = tid
        self._socket: Any = TaskStats()
        try:
            with _as_os_error():
                self._socket.bind()
            self.read()
        except BaseException:
            self._socket.close()
            raise

    def read(self) -> _Counters:
        # By TID: with the TGID the kernel would add up all threads, dead ones too.
        with _as_os_error():
            (message,) = self._socket.get_pid_stat(self._tid)
        delay, read, written = decode(_stats_of(bytes(message.data)), self._tid)
        return _Counters(blkio_delay_ns=delay, read_bytes=read, write_bytes=written)

    def close(self) -> None:
        self._socket.close()


class _as_os_error:  # noqa: N801 -- reads as a word in a with statement
    """Turn pyroute2's error, which is no OSError, into one."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        from pyroute2.netlink.exceptions import NetlinkError

        if isinstance(error, NetlinkError):
            raise OSError(error.code, os.strerror(error.code)) from error


_NLMSG_HEADERS = 20  # struct nlmsghdr and struct genlmsghdr
_TYPE_STATS = 3
_TYPE_AGGR_PID = 4


def _stats_of(message: bytes) -> bytes:
    return _attribute(_attribute(message[_NLMSG_HEADERS:], _TYPE_AGGR_PID), _TYPE_STATS)


def _attribute(attributes: bytes, wanted: int) -> bytes:
    offset = 0
    while offset + 4 <= len(attributes):
        length, kind = struct.unpack_from("=HH", attributes, offset)
        if length < 4:  # noqa: PLR2004 -- the size of struct nlattr
            break
        if kind & 0x3FFF == wanted:
            return attributes[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    raise OSError("the kernel's answer holds no taskstats")
