"""Permission bits of an object itself: fchmodat2(2), and what does instead."""

from __future__ import annotations

import ctypes
import errno
import os
import stat

from ovlctl.kernel.libc import AT_SYMLINK_NOFOLLOW, StrPath, check, encode, syscall

_fchmodat2 = syscall(452, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint, ctypes.c_uint)


def chmod_nofollow(directory: int, name: StrPath, mode: int) -> None:
    """Change the permission bits of *name* in *directory*; a symbolic link is not followed.

    fchmodat2(2) with AT_SYMLINK_NOFOLLOW, since 6.6; before that through the magic link of an O_PATH descriptor.

    Raises:
        OSError: EOPNOTSUPP, it is a symbolic link, which has no permission bits; and all of chmod(2).
    """
    result = _fchmodat2(directory, encode(name), mode, AT_SYMLINK_NOFOLLOW)
    if result >= 0 or ctypes.get_errno() != errno.ENOSYS:
        check(result, name)
        return
    chmod_by_descriptor(directory, name, mode)


def chmod_by_descriptor(directory: int, name: StrPath, mode: int) -> None:
    """:func:`chmod_nofollow` for kernels without fchmodat2(2).

    Raises:
        OSError: As there.
    """
    found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if stat.S_ISLNK(os.fstat(found).st_mode):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), os.fspath(name))
        os.chmod(f"/proc/self/fd/{found}", mode)
    finally:
        os.close(found)
