"""openat2(2): looking a path up as somebody with another root directory would."""

from __future__ import annotations

import ctypes
import os
import struct

from ovlctl.kernel.libc import StrPath, check, encode, syscall

# flags, mode, resolve; linux/openat2.h.
_OPEN_HOW = struct.Struct("=QQQ")
_RESOLVE_IN_ROOT = 0x10

_openat2 = syscall(437, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)


def open_in_root(root: int, path: StrPath) -> int:
    """Open *path* (O_PATH), with its ``/`` and ``..`` and those of symbolic links ending at the directory *root*.

    openat2(2) with RESOLVE_IN_ROOT, since 5.6.

    Args:
        root: A descriptor, O_PATH will do.
        path: Looked up from *root*, whether absolute or not.

    Raises:
        KernelLacks: No such system call.
        OSError: It cannot be reached.
    """
    how = _OPEN_HOW.pack(os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT)
    return check(_openat2(root, encode(path), how, _OPEN_HOW.size), path, call="openat2")
