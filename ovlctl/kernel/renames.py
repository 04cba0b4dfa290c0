"""rename(2) that never replaces anything."""

from __future__ import annotations

import ctypes
import errno
import os
import stat

from ovlctl.kernel.libc import check, encode, function

_RENAME_NOREPLACE = 1
_NOT_KNOWN = {errno.EINVAL, errno.ENOSYS}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK}

_renameat2 = function(
    "renameat2", ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint
)


def rename_noreplace(old_directory: int, old: str, new_directory: int, new: str) -> None:
    """Rename *old* to *new*, which must not exist.

    renameat2(2) with RENAME_NOREPLACE, since 3.15. Where the file system lacks it (NFS), a directory takes the place of
    an empty one made for it, and everything else is linked and unlinked; only where there are no links either is
    there a moment between looking and renaming.

    Args:
        old_directory: A descriptor of where it is.
        old: Its name there.
        new_directory: A descriptor of where it goes.
        new: Its name there.

    Raises:
        OSError: EEXIST, something is there.
    """
    try:
        check(_renameat2(old_directory, encode(old), new_directory, encode(new), _RENAME_NOREPLACE), old, new)
    except OSError as error:
        if error.errno not in _NOT_KNOWN:
            raise
        rename_by_steps(old_directory, old, new_directory, new)


def rename_by_steps(old_directory: int, old: str, new_directory: int, new: str) -> None:
    """:func:`rename_noreplace` without renameat2(2).

    Raises:
        OSError: As there.
    """
    if stat.S_ISDIR(os.stat(old, dir_fd=old_directory, follow_symlinks=False).st_mode):
        os.mkdir(new, dir_fd=new_directory)
        try:
            os.rename(old, new, src_dir_fd=old_directory, dst_dir_fd=new_directory)
        except OSError:
            os.rmdir(new, dir_fd=new_directory)
            raise
        return
    try:
        os.link(old, new, src_dir_fd=old_directory, dst_dir_fd=new_directory, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if _exists(new_directory, new):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new) from error
        os.rename(old, new, src_dir_fd=old_directory, dst_dir_fd=new_directory)
    else:
        os.unlink(old, dir_fd=old_directory)


def _exists(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
