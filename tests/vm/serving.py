"""In the guest: ``python -m tests.vm.serving``, started in the directory of the tests by the host.

It reads a request (a line of JSON: ``ids`` of tests, ``options`` of pytest, ``variables`` of the environment) from
standard input, runs pytest, and copies what :mod:`tests.vm.reporter` writes to standard output, an ``end`` event last.
Standard input stays open as long as the host is there: when it ends, all that was started here is killed.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn

from ovlctl.kernel.libc import check, function
from tests.vm.reporter import EVENTS, WANTED, files

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Set in the guest: tests run here, and are not forwarded.
GUEST: Final = "OVLCTL_VM_GUEST"
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_PAUSE = 0.05  # seconds
_LAST_LINES = 30
#: Seconds after which a process that was killed hangs in the kernel, and would for ever.
_STUCK = 60.0


class HostGone(Exception):
    """Nobody waits for an answer any more."""


def main() -> int:
    """Serve one request; 0 when pytest ran to its end, whatever came out, and 1 when the host went away."""
    prctl = function("prctl", ctypes.c_int, ctypes.c_int, ctypes.c_ulong)
    check(prctl(_PR_SET_CHILD_SUBREAPER, 1))  # daemons that tests start stay below this process, and end with it
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _host_gone)
    try:
        with tempfile.TemporaryDirectory(prefix="ovlctl-vm-") as directory:
            os.chmod(directory, 0o711)
            _serve(json.loads(_line()), directory)
    except (HostGone, BrokenPipeError):
        return 1
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        _kill_all()
    return 0


def _serve(request: Mapping[str, Any], directory: str) -> None:
    wanted, events = os.path.join(directory, "wanted"), os.path.join(directory, "events")
    with open(wanted, "x", encoding="ascii") as file:
        json.dump(request["ids"], file)
    with open(events, "xb"), open(events, "rb") as coming, tempfile.TemporaryFile(dir=directory) as said:
        environment = {**os.environ, **request["variables"], GUEST: "1", WANTED: wanted}
        paths = files(request["ids"])
        program = "tests.side_by_side" if len(paths) > 1 else "pytest"
        process = subprocess.Popen(
            [sys.executable, "-m", program, *request["options"], *paths],
            env={**environment, EVENTS: events},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        status = None
        while status is None:
            if select.select([0], [], [], _PAUSE)[0] and not os.read(0, 1024):
                raise HostGone
            status = _reap(process.pid)
            _copy(coming)
        process.returncode = status  # it was waited for here
        said.seek(0)
        last = deque(said, _LAST_LINES)
        text = b"".join(last).decode(errors="replace")
        _write(json.dumps({"event": "end", "status": status, "said": text}).encode() + b"\n")


def _line() -> bytes:
    # Unbuffered, so that select(2) sees all that follows.
    line = b""
    while not line.endswith(b"\n"):
        read = os.read(0, 1 << 16)
        if not read:
            raise HostGone
        line += read
    return line


def _copy(coming: IO[bytes]) -> None:
    # Whole lines: one that somebody who was killed did not finish stays here.
    place = coming.tell()
    read = coming.read()
    whole = read.rfind(b"\n") + 1
    coming.seek(place + whole)
    _write(read[:whole])


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def _reap(pid: int) -> int | None:
    # Of this process, whose children all orphans become: those that ended; the status when *pid* is among them.
    status = None
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == pid:
                status = os.waitstatus_to_exitcode(ended[1])
    return status


def _kill_all() -> None:
    # The children of one that is killed become this one's, and are killed in the next round.
    end = time.monotonic() + _STUCK
    while (children := _children()) and time.monotonic() < end:
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
        _reap(0)


def _children() -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            fields = Path(f"/proc/{name}/stat").read_bytes().rpartition(b")")[2].split()
            if int(fields[1]) == os.getpid():
                found.append(int(name))
    return found


def _host_gone(_number: int, _frame: object) -> NoReturn:
    raise HostGone


if __name__ == "__main__":
    sys.exit(main())
