"""Where the time of one sample goes: the kernel's accounting of this thread, read outside the timed part."""

from __future__ import annotations

import os
from dataclasses import dataclass
from time import thread_time_ns
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one timed part used; None where no source tells."""

    cpu_ns: int | None
    blkio_ns: int | None
    read_bytes: int | None
    write_bytes: int | None


class Meter:
    """Reads the accounting of the calling thread around a timed part.

    CPU time comes from the thread's clock, whose reading costs less than a microsecond and lies closest to the
    timed part; bytes and waiting for block I/O from the kernel's task accounting.
    """

    source = "/proc/thread-self/io"

    def __init__(self) -> None:
        self._io = -1
        self._cpu = (0, 0)
        self._bytes = ((0, 0), (0, 0))

    def __enter__(self) -> Self:
        self._io = os.open("/proc/thread-self/io", os.O_RDONLY | os.O_CLOEXEC)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._io)

    def start(self) -> None:
        """Read everything; call it right before the timed part."""
        self._bytes = (self._read(), (0, 0))
        self._cpu = (thread_time_ns(), 0)

    def stop(self) -> None:
        """Read everything again; call it right after."""
        self._cpu = (self._cpu[0], thread_time_ns())
        self._bytes = (self._bytes[0], self._read())

    def result(self, elapsed_ns: int) -> Usage:
        """The differences. CPU time is at most *elapsed_ns*: reading the clocks takes some too."""
        before, after = self._bytes
        return Usage(
            cpu_ns=min(self._cpu[1] - self._cpu[0], elapsed_ns),
            blkio_ns=None,
            read_bytes=after[0] - before[0],
            write_bytes=after[1] - before[1],
        )

    def _read(self) -> tuple[int, int]:
        words = os.pread(self._io, 4096, 0).split()
        return int(words[words.index(b"read_bytes:") + 1]), int(words[words.index(b"write_bytes:") + 1])
