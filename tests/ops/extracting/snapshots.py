"""Everything that a copy keeps, as values to compare."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One object of a tree.

    Attributes:
        same: Other names of it in the tree, the first of them.
        data: Bytes of it that are no hole.
    """

    mode: str
    bits: int
    owner: tuple[int, int]
    rdev: int
    mtime_ns: int
    size: int = 0
    content: bytes = b""
    data: int = 0
    target: str = ""
    same: str = ""
    xattrs: tuple[tuple[str, bytes], ...] = ()


def snapshot(top: str) -> dict[str, Snapshot]:
    """Every object at and below *top*, by its path from there."""
    found: dict[str, Snapshot] = {}
    first: dict[tuple[int, int], str] = {}
    pending = [""]
    while pending:
        path = pending.pop()
        full = os.path.join(top, path) if path else top
        status = os.lstat(full)
        found[path] = _object(full, path, status, first)
        if stat.S_ISDIR(status.st_mode):
            pending += sorted((os.path.join(path, name) for name in os.listdir(full)), reverse=True)
    return found


def alone(path: str) -> Snapshot:
    """The object at *path*, and nothing below it. Raises OSError."""
    return _object(path, "", os.lstat(path), {})


def _object(full: str, path: str, status: os.stat_result, first: dict[tuple[int, int], str]) -> Snapshot:
    regular, directory = stat.S_ISREG(status.st_mode), stat.S_ISDIR(status.st_mode)
    same = "" if directory else first.setdefault((status.st_dev, status.st_ino), path)
    content, data = _content(full) if regular else (b"", 0)
    return Snapshot(
        mode=stat.filemode(status.st_mode),
        bits=stat.S_IMODE(status.st_mode),
        owner=(status.st_uid, status.st_gid),
        rdev=status.st_rdev if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode) else 0,
        mtime_ns=status.st_mtime_ns,
        size=status.st_size if regular else 0,
        content=content,
        data=data,
        target=os.readlink(full) if stat.S_ISLNK(status.st_mode) else "",
        same=same if same != path else "",
        xattrs=tuple(
            (name, os.getxattr(full, name, follow_symlinks=False))
            for name in sorted(os.listxattr(full, follow_symlinks=False))
        ),
    )


def _content(path: str) -> tuple[bytes, int]:
    with open(path, "rb", buffering=0) as opened:
        descriptor, data, at = opened.fileno(), 0, 0
        try:
            while True:
                begin = os.lseek(descriptor, at, os.SEEK_DATA)
                at = os.lseek(descriptor, begin, os.SEEK_HOLE)
                data += at - begin
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        os.lseek(descriptor, 0, os.SEEK_SET)
        return opened.read(), data
