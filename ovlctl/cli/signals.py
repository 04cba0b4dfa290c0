"""Signals that ask for an end: they become exceptions, so that whoever holds something lets go of it."""

from __future__ import annotations

import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_ENDING = (signal.SIGTERM, signal.SIGHUP)


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived. A KeyboardInterrupt, because the same cleaning up is due."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    @property
    def status(self) -> int:
        """Exit status by the shell's convention: 143 for SIGTERM."""
        return 128 + self.number


@contextmanager
def ending_signals() -> Iterator[None]:
    """Raise :exc:`Terminated` in the main thread on SIGTERM and SIGHUP while inside.

    A signal that is ignored (``nohup``) or handled by somebody else stays as it is. Outside the main thread this
    does nothing, because Python handles signals only there.
    """
    taken = []
    try:
        for number in _ENDING:
            if signal.getsignal(number) is signal.SIG_DFL:
                with suppress(ValueError):  # not the main thread
                    signal.signal(number, _end)
                    taken.append(number)
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 -- the signature of a handler
    # Once is enough: a second signal must not interrupt the cleaning up.
    for ending in _ENDING:
        if signal.getsignal(ending) is _end:
            signal.signal(ending, signal.SIG_IGN)
    raise Terminated(number)
