"""Did a sample really copy up? Looked at in the upper itself, after the clock has stopped."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from ovlctl.bench.actions import XATTR, name_after, payload
from ovlctl.bench.terms import DataPath, Operation
from ovlctl.errors import NoCopyUp
from ovlctl.kernel import fiemap, xattr

if TYPE_CHECKING:
    from io import FileIO

_CHUNK = 1 << 20


def check(op: Operation, *, upper: str, lower: str, prefix: str, metacopy: bool, has_origin: bool) -> DataPath | None:
    """Check that *op*, done twice, did to *upper* what overlayfs promises, and say what happened to the data.

    The upper must hold a new inode (or the whiteout) that was not there before; an object with data must have the
    lower's content with the write in it, and an origin mark; with *metacopy*, an operation on metadata alone must
    leave a metacopy mark.

    Args:
        op: What was done.
        upper: The path it was done to, in the upper.
        lower: The same path in the lower.
        prefix: ``trusted.overlay.`` or ``user.overlay.``.
        metacopy: Whether metacopy=on is in effect.
        has_origin: Whether an origin mark is due: not on a file with several names that copy-up tears apart.

    Returns:
        What happened to the data, or None where it can no longer be seen: the write has replaced every block, or
        the file system cannot tell.

    Raises:
        NoCopyUp: Something is not as it must be; the message says what.
    """
    if op in {Operation.UNLINK, Operation.RENAME}:
        _expect(_is_whiteout(upper), "no whiteout appeared at {}", upper)
    if op is Operation.UNLINK:
        return DataPath.NONE
    upper = name_after(op, upper, turn=1)
    try:
        there = os.lstat(upper)
    except FileNotFoundError as error:
        raise NoCopyUp("nothing appeared at {}", upper) from error
    _expect(stat.S_ISREG(there.st_mode), "{} is no regular file", upper)
    # A file system that cannot make handles leaves an empty origin, which is still a mark.
    found = xattr.get(upper, f"{prefix}origin") is not None
    _expect(found == has_origin, f"{{}} has {'an' if found else 'no'} origin mark", upper)
    marked = xattr.get(upper, f"{prefix}metacopy") is not None
    expected = metacopy and not op.opens
    _expect(marked == expected, f"{{}} has {'a' if marked else 'no'} metacopy mark", upper)
    if op is Operation.SETXATTR:
        _expect(xattr.get(upper, XATTR) is not None, "the extended attribute did not arrive at {}", upper)
    if expected:
        _expect(there.st_size == os.stat(lower).st_size, "{} has not the size of its data", upper)
        return DataPath.METADATA
    _check_content(op, upper, lower)
    return DataPath.NONE if op is Operation.TRUNCATE or _is_hole(lower) else _data_path(op, upper)


def opened_only(upper: str) -> DataPath | None:
    """What happened to the data of a file that was opened for writing and closed again."""
    return _data_path(None, upper)


def _data_path(op: Operation | None, upper: str) -> DataPath | None:
    fd = os.open(upper, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        size = os.fstat(fd).st_size
        shared = fiemap.shared_bytes(fd)
    finally:
        os.close(fd)
    if shared:
        return DataPath.CLONED
    if shared is None or op is None or not op.opens or size > 2 * len(payload(size)):
        return DataPath.COPIED
    return None


def _is_hole(path: str) -> bool:
    # A copy-up skips holes: of a file that is nothing else, there is no data to move.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.lseek(fd, 0, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return True
    else:
        return False
    finally:
        os.close(fd)


def _check_content(op: Operation, upper: str, lower: str) -> None:
    with open(upper, "rb", buffering=0) as new, open(lower, "rb", buffering=0) as old:
        size = os.fstat(old.fileno()).st_size
        written = payload(size)
        if op is Operation.TRUNCATE:
            _expect(new.read(2 * len(written)) == written, "{} does not hold just the new data", upper)
            return
        head = {Operation.WRITE: written, Operation.MMAP: written[:1]}.get(op, b"")
        _expect(new.read(len(head)) == head, "{} has lost the write", upper)
        old.seek(len(head))
        compared = _same_bytes(new, old)
        _expect(compared == size - len(head), "{} differs from the lower", upper)
        new.seek(size)
        tail = 2 * written if op is Operation.APPEND else b""
        _expect(new.read(len(tail) + 1) == tail, "{} has a wrong end", upper)


def _same_bytes(new: FileIO, old: FileIO) -> int:
    # How many bytes are equal up to the end of *old*; -1 when some are not.
    total = 0
    while block := old.read(_CHUNK):
        if new.read(len(block)) != block:
            return -1
        total += len(block)
    return total


def _is_whiteout(path: str) -> bool:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _expect(condition: bool, message: str, path: str) -> None:  # noqa: FBT001 - an assertion
    if not condition:
        raise NoCopyUp(message, path, hint="something else writes to the layers, or this is a kernel bug")
