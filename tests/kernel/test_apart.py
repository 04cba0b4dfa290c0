"""Work in a child process."""

from __future__ import annotations

import os
import signal
import time

import pytest

from ovlctl.kernel.apart import apart


def test_content_comes_back() -> None:
    """What is returned arrives whole, also more than a pipe holds, and was made by somebody else."""
    assert apart(lambda: bytes(300_000)) == bytes(300_000)
    assert apart(lambda: b"") == b""
    assert apart(lambda: b"%d" % os.getpid()) != b"%d" % os.getpid()


def _killed() -> bytes:
    os.kill(os.getpid(), signal.SIGKILL)
    return b"never"


def _asleep() -> bytes:
    time.sleep(600)
    return b"never"


def test_what_fails_gives_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """An exception or a signal in the child is None here, and no second copy of the program runs on."""
    assert apart(lambda: b"%d" % (1 // 0)) is None
    assert apart(_killed) is None
    assert "ZeroDivisionError" not in capfd.readouterr().out


def test_interrupted() -> None:
    """When waiting is cut short, the child is ended and waited for."""

    def interrupt(_number: int, _frame: object) -> None:
        raise InterruptedError

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(InterruptedError):
            apart(_asleep)
    finally:
        signal.signal(signal.SIGALRM, old)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_no_descriptor_stays() -> None:
    """As many are open afterwards as before."""
    before = os.listdir("/proc/self/fd")
    apart(lambda: b"x")
    assert len(os.listdir("/proc/self/fd")) == len(before)
