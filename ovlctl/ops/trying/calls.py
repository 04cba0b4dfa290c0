"""The system calls of an action, made one by one through a mount, with the clock read around each.

Nothing but the system call lies between two readings of the clock (CLOCK_MONOTONIC), and the garbage collector is off
meanwhile. Everything is named relative to a descriptor of the directory that it lies in, which is opened beforehand
without following a symbolic link or leaving the mount; the last component is never followed either. Fifos, sockets and
devices are not opened: that would wait for somebody, or reach a driver instead of a layer.
"""

from __future__ import annotations

import errno
import gc
import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import monotonic_ns
from typing import TYPE_CHECKING, TypeVar

from ovlctl import errors
from ovlctl.kernel.modes import chmod_nofollow
from ovlctl.kernel.openat2 import open_beneath, open_far_beneath
from ovlctl.ops.trying.values import Action, Call
from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ovlctl.ops.trying.values import Wish

WRITE_BYTES = 4096
"""How much MODIFY writes, at most."""

READ_BYTES = 64 << 20
"""How much READ reads, at most."""

_PIECE = 1 << 20
_NEW_FILE, _NEW_DIRECTORY = 0o644, 0o755
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
#: O_NONBLOCK, should something else take a file's place after the look at it.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_OPENED = {
    Kind.FIFO: "a fifo",
    Kind.SOCKET: "a socket",
    Kind.CHARACTER: "a character device",
    Kind.BLOCK: "a block device",
}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Performed:
    """What was done.

    Attributes:
        calls: In order; the last one has the errno when it failed.
        bytes: Read or written.
    """

    calls: tuple[Call, ...]
    bytes: int = 0


class _Refused(Exception):
    """A call failed; it is in the log."""


class _Log:
    def __init__(self) -> None:
        self.calls: list[Call] = []

    def timed(self, text: str, call: Callable[[], _T]) -> _T:
        clock = monotonic_ns
        begin = clock()
        try:
            result = call()
        except OSError as error:
            end = clock()
            self.calls.append(Call(text=text, ns=end - begin, errno=error.errno or errno.EIO))
            raise _Refused from error
        end = clock()
        self.calls.append(Call(text=text, ns=end - begin))
        return result

    def untimed(self, text: str, call: Callable[[], _T]) -> _T:
        """Of what only prepares an action: in the log when it fails."""
        try:
            return call()
        except OSError as error:
            self.calls.append(Call(text=text, ns=0, errno=error.errno or errno.EIO))
            raise _Refused from error


def perform(root: int, wish: Wish) -> Performed:
    """Do what *wish* says in the mount that the descriptor *root* is the root of.

    Raises:
        NotAFile: Something is to be opened that is not.
        BadUsage: The wish has no ``to`` or no ``mode`` where it takes one, or is about the root.
    """
    check(wish)
    log = _Log()
    collects = gc.isenabled()
    gc.disable()
    try:
        done = _ACTIONS[wish.action](log, root, wish)
    except _Refused:
        done = 0
    finally:
        if collects:
            gc.enable()
    return Performed(calls=tuple(log.calls), bytes=done)


def check(wish: Wish) -> None:
    """See to it that *wish* is complete.

    Raises:
        BadUsage: It is not.
    """
    if wish.action in {Action.RENAME, Action.LINK} and not wish.to:
        raise errors.BadUsage(f"`{wish.action}` needs a new path", hint="`--to PATH`, from the root of the merged view")
    if wish.action is Action.CHMOD and wish.mode is None:
        raise errors.BadUsage("`chmod` needs a mode", hint="`--mode 600`, in octal digits")
    if not wish.path and wish.action not in {Action.READ, Action.CHMOD}:
        raise errors.BadUsage(f"`{wish.action}` cannot be done to the root of the merged view")


def name_of(path: str) -> str:
    """The last component of *path*; the root's is ``.``."""
    return path.rpartition("/")[2] or "."


@contextmanager
def _around(log: _Log, root: int, path: str) -> Iterator[tuple[int, str]]:
    """A descriptor of the directory that *path* lies in, and its name there."""
    parent = path.rpartition("/")[0]
    opening = partial(open_far_beneath, root, parent or ".", _DIRECTORY)
    directory = log.untimed(f'open("{name_of(parent)}", O_PATH|O_DIRECTORY|O_NOFOLLOW)', opening)
    try:
        yield directory, name_of(path)
    finally:
        os.close(directory)


def _kind(log: _Log, directory: int, name: str) -> Kind:
    looking = partial(open_beneath, directory, name, os.O_PATH | os.O_NOFOLLOW)
    found = log.untimed(f'open("{name}", O_PATH|O_NOFOLLOW)', looking)
    try:
        return Kind.of(os.fstat(found).st_mode)
    finally:
        os.close(found)


def _openable(log: _Log, directory: int, name: str, path: str) -> Kind:
    kind = _kind(log, directory, name)
    if kind in _NOT_OPENED:
        raise errors.NotAFile(
            f"{{}} is {_NOT_OPENED[kind]}, which is not opened here: that touches no layer",
            path,
            hint="it can be removed, renamed, linked, and its mode be changed",
        )
    return kind


def _read(log: _Log, root: int, wish: Wish) -> int:
    with _around(log, root, wish.path) as (directory, name):
        kind = _openable(log, directory, name, wish.path)
        if kind is Kind.SYMLINK:
            return len(os.fsencode(log.timed(f'readlink("{name}")', partial(os.readlink, name, dir_fd=directory))))
        more, said = (os.O_DIRECTORY, "|O_DIRECTORY") if kind is Kind.DIRECTORY else (0, "")
        opening = partial(os.open, name, _READ | more, dir_fd=directory)
        opened = log.timed(f'open("{name}", O_RDONLY{said})', opening)
        try:
            if kind is Kind.DIRECTORY:
                log.timed("getdents64(fd)", partial(os.listdir, opened))
                return 0
            return _read_all(log, opened)
        finally:
            log.timed("close(fd)", partial(os.close, opened))


def _read_all(log: _Log, opened: int) -> int:
    buffer = [bytearray(_PIECE)]
    clock, total, spent, number = monotonic_ns, 0, 0, 0
    while total < READ_BYTES:
        begin = clock()
        try:
            count = os.readv(opened, buffer)
        except OSError as error:
            spent += clock() - begin
            number = error.errno or errno.EIO
            break
        spent += clock() - begin
        total += count
        if not count:
            break
    log.calls.append(Call(text=f"read(fd) = {total}", ns=spent, errno=number))
    return total


def _modify(log: _Log, root: int, wish: Wish) -> int:
    with _around(log, root, wish.path) as (directory, name):
        kind = _openable(log, directory, name, wish.path)
        data = _first_bytes(log, directory, name) if kind is Kind.FILE else b""
        opened = log.timed(f'open("{name}", O_WRONLY)', partial(os.open, name, _WRITE, dir_fd=directory))
        try:
            return log.timed(f"write(fd, {len(data)})", partial(os.write, opened, data))
        finally:
            log.timed("close(fd)", partial(os.close, opened))


def _first_bytes(log: _Log, directory: int, name: str) -> bytes:
    opened = log.untimed(f'open("{name}", O_RDONLY)', partial(os.open, name, _READ, dir_fd=directory))
    try:
        return log.untimed("read(fd)", partial(os.pread, opened, WRITE_BYTES, 0)) or b"\n"
    finally:
        os.close(opened)


def _delete(log: _Log, root: int, wish: Wish) -> int:
    with _around(log, root, wish.path) as (directory, name):
        if _kind(log, directory, name) is Kind.DIRECTORY:
            log.timed(f'rmdir("{name}")', partial(os.rmdir, name, dir_fd=directory))
        else:
            log.timed(f'unlink("{name}")', partial(os.unlink, name, dir_fd=directory))
    return 0


def _create(log: _Log, root: int, wish: Wish) -> int:
    with _around(log, root, wish.path) as (directory, name):
        opening = partial(os.open, name, _CREATE, _NEW_FILE, dir_fd=directory)
        opened = log.timed(f'open("{name}", O_WRONLY|O_CREAT|O_EXCL, {_NEW_FILE:#05o})', opening)
        log.timed("close(fd)", partial(os.close, opened))
    return 0


def _mkdir(log: _Log, root: int, wish: Wish) -> int:
    with _around(log, root, wish.path) as (directory, name):
        making = partial(os.mkdir, name, _NEW_DIRECTORY, dir_fd=directory)
        log.timed(f'mkdir("{name}", {_NEW_DIRECTORY:#05o})', making)
    return 0


def _chmod(log: _Log, root: int, wish: Wish) -> int:
    mode = wish.mode or 0
    with _around(log, root, wish.path) as (directory, name):
        _kind(log, directory, name)  # what is mounted there is not meant
        log.timed(f'chmod("{name}", {mode:#05o})', partial(chmod_nofollow, directory, name, mode))
    return 0


def _rename(log: _Log, root: int, wish: Wish) -> int:
    to = wish.to or ""
    with _around(log, root, wish.path) as (old, name), _around(log, root, to) as (new, other):
        moving = partial(os.rename, name, other, src_dir_fd=old, dst_dir_fd=new)
        log.timed(f'rename("{name}", "{other}")', moving)
    return 0


def _link(log: _Log, root: int, wish: Wish) -> int:
    to = wish.to or ""
    with _around(log, root, wish.path) as (old, name), _around(log, root, to) as (new, other):
        linking = partial(os.link, name, other, src_dir_fd=old, dst_dir_fd=new, follow_symlinks=False)
        log.timed(f'link("{name}", "{other}")', linking)
    return 0


_ACTIONS: dict[Action, Callable[[_Log, int, Wish], int]] = {
    Action.READ: _read,
    Action.MODIFY: _modify,
    Action.DELETE: _delete,
    Action.CREATE: _create,
    Action.CHMOD: _chmod,
    Action.RENAME: _rename,
    Action.LINK: _link,
    Action.MKDIR: _mkdir,
}
