"""Waiting for what another process does: as long as a machine needs that has a lot else to do, and not for ever."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Seconds after which something hangs. Nothing in a test takes a fortieth of it, but for emulated machines, where all
#: takes ten times as long, and more beside others; no verdict is about less.
PATIENCE = 240.0


def eventually(condition: Callable[[], object]) -> bool:
    """Whether *condition* comes true before patience ends."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


@contextmanager
def no_hang() -> Iterator[None]:
    """Fail when what is done inside does not come to an end."""

    def give_up(_number: int, _frame: object) -> NoReturn:
        raise AssertionError(f"no end within {PATIENCE:.0f} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
