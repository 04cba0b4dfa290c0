"""openat2(2): opening what lies below a directory, and nothing else.

No symbolic link is followed, no ``..`` leads out, no magic link of /proc is taken. On kernels before 5.6, and in
sandboxes that hide the call, the path is walked component by component with O_NOFOLLOW, with the same answers.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct

from ovlctl.kernel.libc import StrPath, check, encode, syscall

# flags, mode, resolve; linux/openat2.h.
_OPEN_HOW = struct.Struct("=QQQ")
_RESOLVE_NO_XDEV = 0x01
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_BENEATH = _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS
# One path of openat2(2), with room to spare below PATH_MAX.
_PATH_BYTES = 4000

_openat2 = syscall(437, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)


def open_beneath(directory: int, path: StrPath, flags: int, *, cross_mounts: bool = False) -> int:
    """Open *path*, which lies below *directory*; the descriptor is close-on-exec.

    openat2(2) with RESOLVE_BENEATH, NO_SYMLINKS and NO_MAGICLINKS, since 5.6.

    Args:
        directory: A descriptor of a directory; O_PATH will do.
        path: Relative; ``"."`` is *directory* itself. Its last component may be a symbolic link only when *flags* has
            O_PATH and O_NOFOLLOW: what is opened then is the link itself.
        flags: Of open(2).
        cross_mounts: Follow mount points on the way. Otherwise they are EXDEV.

    Raises:
        OSError: ELOOP, a component is a symbolic link; EXDEV, *path* leads out of *directory* or over a mount point;
            and all of open(2).
    """
    resolve = _BENEATH | (0 if cross_mounts else _RESOLVE_NO_XDEV)
    how = _OPEN_HOW.pack(flags | os.O_CLOEXEC, 0, resolve)
    while True:
        result = _openat2(directory, encode(path), how, _OPEN_HOW.size)
        number = ctypes.get_errno() if result < 0 else 0
        if number == errno.ENOSYS:
            return walk_beneath(directory, path, flags, cross_mounts=cross_mounts)
        if number != errno.EAGAIN:  # something was renamed meanwhile: man page, section EAGAIN
            return check(result, path)


def open_far_beneath(directory: int, path: StrPath, flags: int) -> int:
    """:func:`open_beneath` for a path of any length, in as many calls as it takes; mount points are not crossed.

    Raises:
        OSError: As there.
    """
    here, rest = directory, os.fspath(path)
    while True:
        part, rest = first_part(rest)
        try:
            below = open_beneath(here, part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW if rest else flags)
        finally:
            if here != directory:
                os.close(here)
        if not rest:
            return below
        here = below


def first_part(path: str) -> tuple[str, str]:
    """As many components of *path* as one call takes, and what is left."""
    if len(os.fsencode(path)) <= _PATH_BYTES:
        return path, ""
    # Characters are at most four bytes, so that a quarter of the characters always fits. A component that does not is
    # longer than any name, and the kernel is to say so.
    cut = path.rfind("/", 0, _PATH_BYTES // 4)
    part, _, rest = path.partition("/") if cut < 0 else (path[:cut], "/", path[cut + 1 :])
    return part, rest


def walk_beneath(directory: int, path: StrPath, flags: int, *, cross_mounts: bool = False) -> int:
    """:func:`open_beneath` for kernels without openat2(2): one openat(2) per component.

    Raises:
        OSError: As there; EXDEV for any ``..``, even one that would stay inside.
    """
    *parents, last = os.fspath(path).split("/")
    if last == "" or ".." in (*parents, last) or (parents and parents[0] == ""):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
    mount = None if cross_mounts else _mount_id(directory)
    here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        for name in parents:
            below = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            os.close(here)
            here = below
            if stat.S_ISLNK(os.fstat(here).st_mode):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            _same_mount(here, mount, path)
        found = os.open(last, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
    finally:
        os.close(here)
    try:
        _same_mount(found, mount, path)
    except OSError:
        os.close(found)
        raise
    return found


def _same_mount(descriptor: int, mount: int | None, path: StrPath) -> None:
    if mount is not None and _mount_id(descriptor) != mount:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)


def _mount_id(descriptor: int) -> int:
    # Kernels without openat2(2) have no STATX_MNT_ID either; proc(5) has had this line since 3.15.
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("mnt_id:"))
