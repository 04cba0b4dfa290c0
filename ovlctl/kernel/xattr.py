"""Extended attributes: values are bytes, symbolic links are never followed, the absent is None. xattr(7)."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovlctl.kernel.libc import FdOrPath

XATTR_CREATE = os.XATTR_CREATE
XATTR_REPLACE = os.XATTR_REPLACE

_ABSENT = {errno.ENODATA, errno.ENOTSUP}


def get(path: FdOrPath, name: str) -> bytes | None:
    """Give the value of *name*, or None when there is none.

    lgetxattr(2), fgetxattr(2).

    None also stands for a file system without such attributes, and for a trusted attribute seen by a process
    without CAP_SYS_ADMIN in the initial user namespace: the kernel says "no data" there.

    Args:
        path: The object itself, even if it is a symbolic link; or a descriptor (no O_PATH one: EBADF).
        name: Full name, such as ``"trusted.overlay.opaque"``.

    Raises:
        OSError: Anything but ENODATA and ENOTSUP.
    """
    try:
        if isinstance(path, int):
            return os.getxattr(path, name)
        return os.getxattr(path, name, follow_symlinks=False)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise


def set(path: FdOrPath, name: str, value: bytes, flags: int = 0) -> None:  # noqa: A001 -- always used as xattr.set
    """Store *value*.

    lsetxattr(2), fsetxattr(2).

    Args:
        path: As for :func:`get`.
        name: Full name.
        value: The bytes to store.
        flags: XATTR_CREATE, XATTR_REPLACE or 0.

    Raises:
        OSError: ENOTSUP, the file system has no such attributes; EPERM, the attribute is not for this user or not
            for this kind of file (user attributes exist on files and directories only).
    """
    if isinstance(path, int):
        os.setxattr(path, name, value, flags)
    else:
        os.setxattr(path, name, value, flags, follow_symlinks=False)


def remove(path: FdOrPath, name: str) -> bool:
    """Remove *name* and say whether it was there.

    lremovexattr(2), fremovexattr(2).

    Raises:
        OSError: Anything but ENODATA and ENOTSUP.
    """
    try:
        if isinstance(path, int):
            os.removexattr(path, name)
        else:
            os.removexattr(path, name, follow_symlinks=False)
    except OSError as error:
        if error.errno in _ABSENT:
            return False
        raise
    return True


def names(path: FdOrPath) -> tuple[str, ...]:
    """Give the names, sorted; empty where the file system has no attributes.

    llistxattr(2), flistxattr(2).

    Raises:
        OSError: Anything but ENOTSUP.
    """
    try:
        found = os.listxattr(path) if isinstance(path, int) else os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return ()
        raise
    return tuple(sorted(found)) if found else ()
