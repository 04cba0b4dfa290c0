"""kcmp(2): whether two threads share what threads usually share."""

from __future__ import annotations

import ctypes
import os
from enum import IntEnum

from ovlctl.kernel.libc import check, function

# The one call here from before the numbers became the same everywhere; other architectures do without.
_NUMBERS = {"x86_64": 312, "aarch64": 272, "riscv64": 272, "loongarch64": 272, "ppc64le": 354, "s390x": 343}
_syscall = function("syscall", ctypes.c_long, ctypes.c_long, *[ctypes.c_int] * 3, ctypes.c_ulong, ctypes.c_ulong)


class KCMP(IntEnum):
    """What to compare, linux/kcmp.h."""

    FILES = 2
    FS = 3


def kcmp(one: int, other: int, what: KCMP) -> bool | None:
    """Whether two threads share their table of descriptors, or their working and root directory.

    kcmp(2), since 3.5; asks for the right to trace both.

    Args:
        one: Thread id.
        other: Thread id.
        what: What to compare.

    Returns:
        None when the kernel does not say: not built with it, or refused.
    """
    number = _NUMBERS.get(os.uname().machine)
    if number is None:
        return None
    try:
        return check(_syscall(number, one, other, what, 0, 0)) == 0
    except OSError:
        return None
