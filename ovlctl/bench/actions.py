"""The timed part: one operation on one path, the clock read around every system call.

Nothing but system calls lies between two readings of the clock. The functions take a *mark* that is called once,
right after the part that counts as the first touch: the sampler reads its accounting there, before fsync and close,
and outside every timed part.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter_ns

from ovlctl.bench.terms import Operation

WRITE_BYTES = 4096
"""How much the first write writes, at most: one page, and never more than the file holds."""

XATTR = "user.ovlctl-bench"

Mark = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Nanoseconds of one operation; the parts are None for an operation that does not open the file."""

    first_ns: int
    open_ns: int | None = None
    write_ns: int | None = None
    fsync_ns: int | None = None
    close_ns: int | None = None


def payload(size: int) -> bytes:
    """What is written over the start of a file (or behind its end) of *size* bytes."""
    return b"\xa5" * min(WRITE_BYTES, size)


def perform(op: Operation, path: str, data: bytes, mark: Mark, *, turn: int = 0) -> Timing:
    """Do *op* on *path* and time it.

    Args:
        op: What to do.
        path: The file.
        data: What the operations that write write.
        mark: Called once after the first touch.
        turn: 0 for the first time, 1 for the second; operations that change the name or a value use it to do
            something new, see :func:`name_after`.

    Raises:
        OSError: from the system call.
    """
    if op is Operation.WRITE:
        return _open_and_write(path, os.O_WRONLY | os.O_CLOEXEC, data, mark)
    if op is Operation.TRUNCATE:
        return _open_and_write(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, data, mark)
    if op is Operation.APPEND:
        return _open_and_write(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, data, mark)
    if op is Operation.MMAP:
        return _open_and_map(path, mark)
    return _one_call(op, path, mark, turn)


def name_after(op: Operation, path: str, turn: int = 0) -> str:
    """The name that *op* gave the file: its new name after rename, the second one after link, else *path*."""
    return f"{path}.{turn}" if op in {Operation.RENAME, Operation.LINK} else path


def _open_and_write(path: str, flags: int, data: bytes, mark: Mark) -> Timing:
    clock, open_, write, fsync, close = perf_counter_ns, os.open, os.write, os.fsync, os.close
    t0 = clock()
    fd = open_(path, flags)
    t1 = clock()
    write(fd, data)
    t2 = clock()
    mark()
    t3 = clock()
    fsync(fd)
    t4 = clock()
    close(fd)
    t5 = clock()
    return Timing(first_ns=t2 - t0, open_ns=t1 - t0, write_ns=t2 - t1, fsync_ns=t4 - t3, close_ns=t5 - t4)


def _open_and_map(path: str, mark: Mark) -> Timing:
    clock = perf_counter_ns
    flags = os.O_RDWR | os.O_CLOEXEC
    t0 = clock()
    fd = os.open(path, flags)
    t1 = clock()
    mapped = mmap.mmap(fd, 0)
    mapped[0] = 0xA5
    t2 = clock()
    mark()
    t3 = clock()
    mapped.flush()
    t4 = clock()
    mapped.close()
    os.close(fd)
    t5 = clock()
    return Timing(first_ns=t2 - t0, open_ns=t1 - t0, write_ns=t2 - t1, fsync_ns=t4 - t3, close_ns=t5 - t4)


def _one_call(op: Operation, path: str, mark: Mark, turn: int) -> Timing:
    call = _call(op, path, turn)
    clock = perf_counter_ns
    t0 = clock()
    call()
    t1 = clock()
    mark()
    return Timing(first_ns=t1 - t0)


def _call(op: Operation, path: str, turn: int) -> Callable[[], object]:
    # Bound beforehand, so that only the call itself is timed.
    uid, gid = os.getuid(), os.getgid()
    now = name_after(op, path)
    calls: dict[Operation, Callable[[], object]] = {
        Operation.CHMOD: lambda: os.chmod(path, (0o600, 0o640)[turn]),
        # To the own ids: inside a user namespace no others exist, and a chown that changes nothing copies up too.
        Operation.CHOWN: lambda: os.chown(path, uid, gid),
        Operation.SETXATTR: lambda: os.setxattr(path, XATTR, b"%d" % turn),
        Operation.UTIME: lambda: os.utime(path, ns=(turn, turn)),
        Operation.LINK: lambda: os.link(path, name_after(op, path, turn)),
        Operation.RENAME: lambda: os.rename(now if turn else path, name_after(op, path, turn)),
        Operation.UNLINK: lambda: os.unlink(path),
    }
    return calls[op]
