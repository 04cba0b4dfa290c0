"""What overlayfs writes to the kernel log: /dev/kmsg, Documentation/ABI/testing/dev-kmsg."""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from types import TracebackType

_PREFIXES = (b"overlay:", b"overlayfs:")
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")
_RECORD = 16384
_PROC_PID_INIT_INO = 0xEFFFFFFC
"""Inode number of the initial pid namespace, fixed by the kernel's ABI (linux/nsfs.h, PROC_PID_INIT_INO)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record of the log.

    Attributes:
        text: Its text, without the kernel's escapes.
        caller: ``"T123"``, the thread it was written in, by its number in the initial pid namespace; ``"C0"``, an
            interrupt on that CPU; None where the kernel does not tell (CONFIG_PRINTK_CALLER).
    """

    text: bytes
    caller: str | None

    def by_overlay(self) -> bool:
        """Whether overlayfs wrote it."""
        return self.text.startswith(_PREFIXES)

    def by_one_of(self, threads: AbstractSet[int]) -> bool:
        """Whether it was written in one of *threads*."""
        return self.caller is not None and self.caller in {f"T{thread}" for thread in threads}


class KernelLog:
    """A context that collects what overlayfs logs while it is open.

    The log is shared by everybody who mounts, and the kernel limits the rate of some messages. Where the kernel tells
    in which thread a record was written, only those of the thread that entered the context, and of threads named to
    :meth:`accept`, are given. Reading the log needs CAP_SYSLOG (or kernel.dmesg_restrict=0); without that
    :meth:`lines` gives nothing.

    Attributes:
        attributed: Whether :meth:`lines` gives the own threads' messages only. False, too, in a pid namespace, where
            nobody knows the numbers that the kernel writes.
    """

    def __init__(self) -> None:
        self._fd: int | None = None
        self._records: list[Record] = []
        self._threads: set[int] = set()
        self.attributed = False

    def __enter__(self) -> Self:
        self.accept(threading.get_native_id())
        try:
            self._fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            # Every record of a kernel tells the caller, or none does; the first to be had is the oldest of the log.
            oldest = self._next()
            self.attributed = oldest is not None and oldest.caller is not None and _thread_numbers_are_global()
            os.lseek(self._fd, 0, os.SEEK_END)
        except OSError:
            self._close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._collect()
        self._close()

    def accept(self, thread: int) -> None:
        """Give messages written in *thread*, too, from the beginning on.

        Args:
            thread: As threading.get_native_id() or the pid of a process with one thread has it.
        """
        self._threads.add(thread)

    def lines(self) -> tuple[str, ...]:
        """The texts since the context was entered, such as ``"overlayfs: missing 'workdir'"``, oldest first."""
        self._collect()
        return tuple(
            os.fsdecode(record.text)
            for record in self._records
            if not self.attributed or record.by_one_of(self._threads)
        )

    def _collect(self) -> None:
        try:
            while (record := self._next()) is not None:
                if record.by_overlay():
                    self._records.append(record)
        except OSError:
            self._close()

    def _next(self) -> Record | None:
        while self._fd is not None:
            try:
                return parse_record(os.read(self._fd, _RECORD))
            except BlockingIOError:
                return None
            except BrokenPipeError:
                continue  # records were overwritten before we read them; the next read gives the oldest left
        return None

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def parse_record(record: bytes) -> Record:
    r"""Take apart one record ``level,sequence,time,flags[,caller=T1]...;text``; ``\x5c`` and the like are undone."""
    head, _, rest = record.partition(b";")
    # Lines after the first start with a space and hold KEY=value pairs; a newline in the text itself is escaped.
    text = rest.partition(b"\n")[0]
    callers = [field.partition(b"=")[2] for field in head.split(b",")[4:] if field.startswith(b"caller=")]
    return Record(
        text=_ESCAPED.sub(lambda match: bytes((int(match[1], 16),)), text),
        caller=os.fsdecode(callers[0]) if callers else None,
    )


def _thread_numbers_are_global() -> bool:
    return os.stat("/proc/self/ns/pid").st_ino == _PROC_PID_INIT_INO
