"""Processes of engines that a test started and did not end: a run was killed, a daemon too quick."""

from __future__ import annotations

import glob
import os
import signal
from contextlib import suppress
from pathlib import Path

from tests.patience import eventually

_PROGRAMS = ("dockerd", "containerd", "containerd-shim")


def end_engines(directory: str) -> None:
    """Kill daemons and shims that keep something in *directory*, and what they started; their cgroups go, too.

    Args:
        directory: Of the test; a daemon is told by its words, in which the directory stands.
    """
    parents = {pid: _parent(pid) for pid in _pids()}
    # Parents come first: one whose child is killed may have ended by itself, or started another, before its turn.
    ours = [pid for pid in parents if _is_engine(pid, directory)]
    while more := [pid for pid, parent in parents.items() if parent in ours and pid not in ours]:
        ours += more
    groups = {group for pid in ours for group in _cgroups(pid)} | ({"/docker/buildkit"} if ours else set())
    for pid in ours:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(_lives(pid) for pid in ours))
    for group in sorted(groups, key=len, reverse=True):
        for path in glob.glob(f"/sys/fs/cgroup{glob.escape(group)}") + glob.glob(
            f"/sys/fs/cgroup/*{glob.escape(group)}"
        ):
            with suppress(OSError):  # that of another daemon as well
                os.rmdir(path)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _parent(pid: int) -> int:
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if fields else 0


def _lives(pid: int) -> bool:
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return bool(fields) and fields[0] != b"Z"


def _is_engine(pid: int, directory: str) -> bool:
    words = _read(pid, "cmdline").split(b"\0")
    name = os.path.basename(os.fsdecode(words[0]))
    inside = f"{directory}/".encode()
    return name.startswith(_PROGRAMS) and any(inside in word for word in words[1:])


def _cgroups(pid: int) -> set[str]:
    # Of a container, /docker/ID, and the one around it; never that of a daemon, which is the test's own.
    lines = _read(pid, "cgroup").decode(errors="replace").splitlines()
    paths = {line.split(":", 2)[-1] for line in lines}
    inner = {path for path in paths if path.startswith("/docker/")}
    return inner | {os.path.dirname(path) for path in inner}
