"""Processes by descriptor: pidfd_open(2). A pid alone may mean another process a moment later."""

from __future__ import annotations

import errno
import os
import select
from pathlib import Path

from ovlctl.errors import KernelLacks

#: Field 22 of /proc/PID/stat, counted from the field after the name, which may hold anything.
_STARTTIME = 22 - 3


def pidfd_open(pid: int) -> int | None:
    """A descriptor of the process *pid*, or None when there is none.

    pidfd_open(2), since 5.3; always close-on-exec.

    Raises:
        KernelLacks: The kernel is older, or a sandbox hides the call.
    """
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        # EINVAL: a number that is no pid at all, or a thread's that leads no group.
        if error.errno in {errno.ESRCH, errno.EINVAL}:
            return None
        if error.errno == errno.ENOSYS:
            raise KernelLacks("this kernel has no pidfd_open(2), or a sandbox hides it", errno=error.errno) from error
        raise


def alive(fd: int) -> bool:
    """Whether the process of the pidfd *fd* has not ended: such a descriptor becomes readable when it does."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return not poll.poll(0)


def start_time(pid: int | str) -> int | None:
    """When the process *pid* started, in clock ticks since the boot; None when there is none.

    Together with the boot id it tells a process from a later one of the same number. Source: starttime,
    proc_pid_stat(5).
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(text.rpartition(b")")[2].split()[_STARTTIME])
