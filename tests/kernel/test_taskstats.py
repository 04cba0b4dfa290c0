"""Task accounting against /proc and against the work that was done."""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ovlctl.kernel import taskstats
from ovlctl.kernel.taskstats import Accounting, Source
from tests.capabilities import needs_root, needs_taskstats
from tests.steps import counted

if TYPE_CHECKING:
    from tests.conftest import OrdinaryUser

MIB = 1 << 20
KIB = 1 << 10

SOURCES = [pytest.param(Source.TASKSTATS, marks=[needs_root, needs_taskstats]), Source.PROC]


def io_of_thread() -> tuple[int, int]:
    """read_bytes and write_bytes of the calling thread, straight from /proc."""
    with open("/proc/thread-self/io", encoding="ascii") as file:
        counters = {key: int(value) for key, value in (line.split(": ") for line in file)}
    return counters["read_bytes"], counters["write_bytes"]


def write_mib(path: str, count: int) -> None:
    """Write and sync *count* MiB through a descriptor that is open already."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        for _ in range(count):
            os.write(fd, bytes(MIB))
        os.fsync(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize("source", SOURCES)
def test_written_bytes_are_those_of_proc(scratch: str, source: Source) -> None:
    """The difference of two snapshots lies between those of /proc/thread-self/io just inside and just outside."""
    path = os.path.join(scratch, "file")
    with Accounting(source) as accounting:
        assert accounting.source is source
        outside, before, inside = io_of_thread(), accounting.snapshot(), io_of_thread()
        write_mib(path, 16)
        inside_after, after, outside_after = io_of_thread(), accounting.snapshot(), io_of_thread()
    usage = after - before
    assert usage.source is source
    assert usage.write_bytes is not None
    # taskstats cuts both counters to whole KiB.
    assert inside_after[1] - inside[1] - KIB < usage.write_bytes < outside_after[1] - outside[1] + KIB
    # The file system's own blocks come on top of the data.
    assert 16 * MIB <= usage.write_bytes < 20 * MIB


@pytest.mark.parametrize("source", SOURCES)
def test_read_bytes_are_those_of_proc(scratch: str, source: Source) -> None:
    """Bytes read from the device, past the cache, are charged in full."""
    path = os.path.join(scratch, "file")
    write_mib(path, 8)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    except OSError:
        pytest.skip("no O_DIRECT on the scratch file system")
    with Accounting(source) as accounting, mmap.mmap(-1, MIB) as buffer:
        before_proc, before = io_of_thread(), accounting.snapshot()
        while os.readv(fd, [buffer]):
            pass
        usage, after_proc = accounting.snapshot() - before, io_of_thread()
    os.close(fd)
    assert usage.read_bytes is not None
    assert abs(usage.read_bytes - (after_proc[0] - before_proc[0])) < KIB
    assert usage.read_bytes in {0, 8 * MIB}, "all of it, or nothing on a file system in memory"


@needs_root
@needs_taskstats
def test_root_gets_taskstats() -> None:
    """Without asking for a source root gets taskstats."""
    with Accounting() as accounting:
        assert accounting.source is Source.TASKSTATS


def test_ordinary_user_gets_proc(ordinary_user: OrdinaryUser) -> None:
    """An ordinary user gets /proc, without loading pyroute2, and figures that are right."""
    code = """
import os, sys
from ovlctl.kernel.taskstats import Accounting, Source
with Accounting() as accounting:
    before = accounting.snapshot()
    with open("file", "wb") as file:
        file.write(bytes(1 << 20)); file.flush(); os.fsync(file.fileno())
    usage = accounting.snapshot() - before
print(usage.source, (1 << 20) <= usage.write_bytes < (1 << 20) + 65536, usage.cpu_ns > 0, "pyroute2" in sys.modules)
try:
    Accounting(Source.TASKSTATS)
except OSError as error:
    print(error.errno)
"""
    done = ordinary_user.run([sys.executable, "-W", "error", "-c", code])
    assert (done.stdout, done.stderr) == ("proc True True False\n1\n", "")


@pytest.mark.parametrize("source", SOURCES)
def test_cpu_time(source: Source) -> None:
    """A thread is charged the CPU time of its own work, a busy wait of 20 ms, and not that of the snapshots."""
    with Accounting(source) as accounting:
        outer_began = time.thread_time_ns()
        before = accounting.snapshot()
        inner_began = time.thread_time_ns()
        while (inner_ended := time.thread_time_ns()) < inner_began + 20_000_000:
            pass
        after = accounting.snapshot()
        outer_ended = time.thread_time_ns()
    assert inner_ended - inner_began <= (after - before).cpu_ns <= outer_ended - outer_began
    assert (after - before).cpu_ns <= after.cpu_end_ns - before.cpu_ns


@pytest.mark.parametrize("source", SOURCES)
def test_sleeping_costs_no_cpu_time(source: Source) -> None:
    """A sleep is charged what the thread's own clock says of it, which stands still while the thread sleeps."""
    with Accounting(source) as accounting:
        outer_began = time.thread_time_ns()
        before = accounting.snapshot()
        time.sleep(0.02)
        after = accounting.snapshot()
        outer_ended = time.thread_time_ns()
    assert 0 <= (after - before).cpu_ns <= outer_ended - outer_began


@pytest.mark.parametrize("source", SOURCES)
def test_other_threads_are_not_charged(scratch: str, source: Source) -> None:
    """What another thread writes does not count, and another thread cannot take the snapshot."""
    failures: list[str] = []

    def other() -> None:
        write_mib(os.path.join(scratch, "file"), 4)
        try:
            accounting.snapshot()
        except RuntimeError as error:
            failures.append(str(error))

    with Accounting(source) as accounting:
        before = accounting.snapshot()
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        usage = accounting.snapshot() - before
    assert failures
    assert usage.write_bytes is not None
    assert usage.write_bytes < MIB


def test_unlike_snapshots_have_no_difference() -> None:
    """Snapshots of two sources or threads cannot be subtracted."""
    with Accounting(Source.PROC) as accounting:
        here = accounting.snapshot()
    found: list[taskstats.Snapshot] = []

    def other() -> None:
        with Accounting(Source.PROC) as accounting:
            found.append(accounting.snapshot())

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    with pytest.raises(ValueError, match="different"):
        _ = found[0] - here


@pytest.mark.parametrize("source", SOURCES)
def test_delay_is_unknown_while_it_is_not_counted(source: Source) -> None:
    """Block I/O delay is None, not 0, while kernel.task_delayacct is off."""
    try:
        with open("/proc/sys/kernel/task_delayacct", encoding="ascii") as file:
            counted = file.read().strip() == "1"
    except FileNotFoundError:
        counted = False
    with Accounting(source) as accounting:
        assert (accounting.snapshot().blkio_delay_ns is not None) == counted


@pytest.mark.parametrize("source", SOURCES)
def test_a_snapshot_is_cheap(source: Source) -> None:
    """It opens neither a file nor a socket, and /proc is read twice (benchmarks/accounting.py has the times)."""
    with Accounting(source) as accounting, counted() as calls:
        accounting.snapshot()
    assert calls.keys() & {"open", "socket.__init__"} == set()
    assert calls["pread"] == (2 if source is Source.PROC else 0)


@needs_root
@needs_taskstats
def test_no_warnings_and_no_leaks() -> None:
    """Importing, using and closing pyroute2 says nothing even when warnings are errors, and leaves no descriptor."""
    code = """
import gc, os
from ovlctl.kernel.taskstats import Accounting, Source
with Accounting(Source.TASKSTATS) as accounting: accounting.snapshot()
gc.collect()
before = len(os.listdir("/proc/self/fd"))
for _ in range(5):
    with Accounting(Source.TASKSTATS) as accounting: accounting.snapshot()
gc.collect()
assert len(os.listdir("/proc/self/fd")) == before
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("version", "pid_at", "delay_at", "read_at"),
    [(9, 128, 40, 248), (15, 176, 56, 296), (16, 128, 40, 248), (17, 128, 40, 248)],
)
def test_decode_knows_the_layouts(version: int, pid_at: int, delay_at: int, read_at: int) -> None:
    """Version 15 has fields in the middle that all others have at the end."""
    payload = bytearray(600)
    struct.pack_into("=H", payload, 0, version)
    struct.pack_into("=I", payload, pid_at, 4711)
    struct.pack_into("=Q", payload, delay_at, 11)
    struct.pack_into("=QQ", payload, read_at, 22, 33)
    assert taskstats.decode(bytes(payload), 4711) == (11, 22, 33)


@pytest.mark.parametrize("version", [2, 15, 16])
def test_decode_refuses_what_it_does_not_understand(version: int) -> None:
    """An answer about another thread than the one asked about means another layout."""
    payload = bytearray(600)
    struct.pack_into("=H", payload, 0, version)
    with pytest.raises(OSError, match="unknown layout"):
        taskstats.decode(bytes(payload), 4711)
    with pytest.raises(OSError, match="unknown layout"):
        taskstats.decode(b"\x10\x00", 4711)
