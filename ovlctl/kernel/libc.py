"""The way to the C library and to system calls it has no symbol for.

Prototypes are set once, when a module of this package is imported: :func:`function` and :func:`syscall` give a
function object with a prototype of its own, so two modules can never disagree about one shared ``argtypes``.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from ovlctl.errors import KernelLacks, literal

if TYPE_CHECKING:
    from collections.abc import Callable

StrPath = str | os.PathLike[str]
FdOrPath = int | StrPath

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_SYMLINK_FOLLOW = 0x400
AT_NO_AUTOMOUNT = 0x800
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

libc = ctypes.CDLL(None, use_errno=True)


class Syscall(Protocol):
    """A typed C function: takes what its prototype says, returns an int and leaves errno for :func:`check`."""

    def __call__(self, *args: Any) -> int:
        """Call it."""
        ...


def function(name: str, restype: Any, *argtypes: Any) -> Syscall:
    """The function *name* of the C library, with its own prototype.

    A C library without it (musl lacks a few) gives a function that fails with ENOSYS when it is called, so that
    importing a module never fails.
    """
    prototype: Callable[..., Syscall] = ctypes.CFUNCTYPE(restype, *argtypes, use_errno=True)
    try:
        return prototype((name, libc))
    except AttributeError:
        return _missing


def syscall(number: int, *argtypes: Any) -> Syscall:
    """Give a function that makes system call *number*.

    It goes through syscall(2). Numbers from 424 on are the same on every architecture but alpha; all calls without
    a libc symbol that this package makes are among them.
    """
    raw = function("syscall", ctypes.c_long, ctypes.c_long, *argtypes)

    def call(*args: Any) -> int:
        return raw(number, *args)

    return call


def _missing(*_args: object) -> int:
    ctypes.set_errno(errno.ENOSYS)
    return -1


def check(result: int, *paths: object, call: str | None = None) -> int:
    """Give *result* back unless it is negative.

    Args:
        result: What a function made by :func:`function` or :func:`syscall` has just returned.
        paths: Up to two file names (or descriptors) to keep in the exception.
        call: Name of the system call, when an older kernel may lack it.

    Raises:
        KernelLacks: The call is missing (ENOSYS) and *call* was given.
        OSError: Any other error, with errno, its text and *paths*.
    """
    if result < 0:
        fail(ctypes.get_errno(), *paths, call=call)
    return result


def fail(number: int, *paths: object, call: str | None = None) -> NoReturn:
    """Raise what :func:`check` raises for errno *number*."""
    error = OSError(number, os.strerror(number), *_filenames(paths))
    if number == errno.ENOSYS and call is not None:
        message = literal(f"this kernel has no {call}(2), or a sandbox hides it")
        raise KernelLacks(message, errno=number) from error
    raise error


def _filenames(paths: tuple[object, ...]) -> tuple[object, ...]:
    # OSError(errno, text, filename, winerror, filename2): the fourth is ignored outside Windows.
    known = [path for path in paths if path is not None]
    return (known[0], None, known[1]) if len(known) > 1 else tuple(known)


def encode(text: StrPath) -> bytes:
    """*text* as the bytes the kernel gets, lossless for names that came through :func:`os.fsdecode`.

    Raises:
        ValueError: It holds a NUL, where ctypes would cut it silently.
    """
    raw = os.fsencode(text)
    if b"\0" in raw:
        message = "embedded null byte"
        raise ValueError(message)
    return raw


def encode_or_none(text: StrPath | None) -> bytes | None:
    """:func:`encode`, with None for a NULL pointer."""
    return None if text is None else encode(text)
