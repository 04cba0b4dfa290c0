"""Where the time of one sample goes: the kernel's accounting of this thread, read outside the timed part."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self

from ovlctl.kernel.taskstats import Accounting, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one timed part used; None where the machine does not tell."""

    cpu_ns: int
    blkio_ns: int | None
    read_bytes: int | None
    write_bytes: int | None


class Meter:
    """Takes a snapshot of the calling thread's counters before and right after a timed part.

    CPU time counts from :meth:`begin`, one cheap system call right before the timed part, so that what lies between
    it and :meth:`start` is not charged to the sample.

    Both sources know the same CPU time and bytes; only taskstats knows waiting for block I/O to the nanosecond, and
    only while the kernel counts it (kernel.task_delayacct). Talking netlink around a sample pushes the kernel's code
    out of the CPU's caches, though: it made the copy-up of 4 KiB on tmpfs take 15 us instead of 9, for a C program
    beside it as well. So taskstats is used where it knows more, and /proc everywhere else.

    Args:
        source: Where from; None for that rule.
    """

    def __init__(self, source: Source | None = None) -> None:
        accounting = Accounting(source or Source.PROC)
        if source is None and accounting.snapshot().blkio_delay_ns is not None:
            accounting.close()
            accounting = Accounting()
        self._accounting = accounting
        self._before = self._after = self._accounting.snapshot()
        self._cpu_ns = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._accounting.close()

    @property
    def source(self) -> str:
        """Where the figures come from, for people."""
        return "taskstats" if self._accounting.source is Source.TASKSTATS else "/proc/thread-self"

    def start(self) -> None:
        """Take the first snapshot."""
        self._before = self._accounting.snapshot()

    def begin(self) -> None:
        """The timed part comes now."""
        self._cpu_ns = time.thread_time_ns()

    def stop(self) -> None:
        """Take the second one."""
        self._after = self._accounting.snapshot()

    def result(self, elapsed_ns: int) -> Usage:
        """What was used between.

        Args:
            elapsed_ns: The time that passed in the timed part, which CPU time and waiting cannot exceed; reading
                the clock and calling the snapshot take a microsecond of CPU themselves.
        """
        used = self._after - self._before
        # /proc counts waiting in ticks of 10 ms, which says nothing of one copy-up.
        waited = used.blkio_delay_ns if self._accounting.source is Source.TASKSTATS else None
        return Usage(
            cpu_ns=max(0, min(self._after.cpu_ns - self._cpu_ns, elapsed_ns)),
            blkio_ns=None if waited is None else min(waited, elapsed_ns),
            read_bytes=used.read_bytes,
            write_bytes=used.write_bytes,
        )
