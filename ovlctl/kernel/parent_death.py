"""A process that does not outlive its parent: PR_SET_PDEATHSIG of prctl(2)."""

from __future__ import annotations

import ctypes
import os
import signal

from ovlctl.kernel.libc import check, function

_PR_SET_PDEATHSIG = 1

_prctl = function("prctl", ctypes.c_int, ctypes.c_int, *[ctypes.c_ulong] * 4)


def die_with(parent: int) -> None:
    """Have this process killed when the thread that made it ends; at once, when *parent* is its parent no longer.

    The setting is not inherited by children, and lost when ids change or a program with more rights is run.

    Args:
        parent: The process id of the parent, as it read it before the fork.

    Raises:
        OSError: The kernel refuses.
    """
    check(_prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), call="prctl")
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
