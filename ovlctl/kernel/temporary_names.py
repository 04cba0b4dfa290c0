"""Names of things that are there for a while only, which tell whether whoever made them still lives.

A process killed outright leaves its temporary things behind; the next one that works in the same place sweeps them.
"""

from __future__ import annotations

import os
import re
from itertools import count

_NAME = re.compile(r"\.ovlctl-(?P<purpose>[a-z]+)-(?P<pid>[0-9]+)-(?P<start>[0-9]+)-(?P<space>[0-9]+)-[0-9]+", re.ASCII)
_numbers = count()


def temporary_name(purpose: str) -> str:
    """A name that this process has not used yet, and no other one uses.

    Args:
        purpose: What it is for; small letters.
    """
    pid = os.getpid()
    return f".ovlctl-{purpose}-{pid}-{start_time(pid)}-{_pid_namespace()}-{next(_numbers)}"


def left_behind(name: str, purpose: str) -> bool:
    """Whether *name* was made for *purpose* by a process of this pid namespace that is gone."""
    match = _NAME.fullmatch(name)
    if match is None or match["purpose"] != purpose or int(match["space"]) != _pid_namespace():
        return False
    return not _lives(int(match["pid"]), match["start"])


def start_time(pid: int) -> str:
    """When a process started, in clock ticks since the machine booted: field 22, proc_pid_stat(5).

    Raises:
        OSError: There is no such process, or it is hidden.
    """
    # The name in field 2 may hold anything.
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[19].decode("ascii")


def _lives(pid: int, start: str) -> bool:
    try:
        os.kill(pid, 0)  # /proc may be mounted with hidepid=, which kill(2) does not know
        return start_time(pid) == start
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # somebody else's, or hidden: not known to be dead


def _pid_namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino
