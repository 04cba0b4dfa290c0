"""The way to the C library."""

from __future__ import annotations

import ctypes
import errno

import pytest

from ovlctl.errors import KernelLacks
from ovlctl.kernel.libc import check, encode, function, syscall


def test_failure_keeps_errno_and_path() -> None:
    """An OSError has the number the call left, and the path as its file name."""
    umount2 = function("umount2", ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
    with pytest.raises(OSError, match="no-such-place") as caught:
        check(umount2(b"/no-such-place", 0), "/no-such-place")
    assert caught.value.errno in {errno.ENOENT, errno.EPERM}
    assert caught.value.filename == "/no-such-place"


def test_missing_symbol_fails_like_a_missing_call() -> None:
    """A function that the C library lacks can be had, and fails with ENOSYS when called."""
    missing = function("ovlctl_no_such_function", ctypes.c_int, ctypes.c_int)
    with pytest.raises(KernelLacks, match="no_such_call"):
        check(missing(1), call="no_such_call")


def test_missing_system_call() -> None:
    """A number that no kernel knows is ENOSYS: an OSError, or KernelLacks when the caller names the call."""
    call = syscall(100_000, ctypes.c_int)
    with pytest.raises(OSError, match="not implemented") as caught:
        check(call(0))
    assert caught.value.errno == errno.ENOSYS
    with pytest.raises(KernelLacks):
        check(call(0), call="future")


def test_one_symbol_two_prototypes() -> None:
    """Two prototypes of one symbol do not disturb each other."""
    as_int = function("abs", ctypes.c_int, ctypes.c_int)
    function("abs", ctypes.c_int, ctypes.c_char_p)
    assert as_int(-3) == 3


def test_null_byte_is_refused() -> None:
    """A NUL would cut the name silently."""
    with pytest.raises(ValueError, match="null"):
        encode("a\0b")


def test_bytes_pass_unchanged() -> None:
    """A name that is no UTF-8 comes out as it was."""
    assert encode("caf\udce9") == b"caf\xe9"
