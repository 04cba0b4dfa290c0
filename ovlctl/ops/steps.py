"""A plan as a list of steps: each can say what it will do, do it, and take it back.

Law: a run that fails or is interrupted leaves what was there before, unless it is killed outright; the record
written first then tells the next command how far it came. Signals that Python would turn into an exception wait
while a step is at work or being undone, so that an interrupt falls between two steps and never inside one.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

from ovlctl.errors import Note, OvlError, literal, strerror

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_ENDING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


class Step(Protocol):
    """One change to the machine."""

    def describe(self) -> Note:
        """What :meth:`apply` does, as a sentence or a command."""

    def apply(self) -> None:
        """Do it. When it raises, nothing of it is left."""

    def undo(self) -> None:
        """Take it back after a successful :meth:`apply`."""


class PointOfNoReturn:
    """Base of steps whose :meth:`Step.apply` may fail halfway: what was done before one stays done."""


def run(steps: Sequence[Step], watch: Callable[[Step], None] | None = None) -> None:
    """Apply *steps* in order; when one raises, undo those before it in reverse and let the error pass.

    An undo that fails stops the undoing, so that the record, made first, stays and tells; the error that passes then
    bears a note about it.

    Args:
        steps: What to do.
        watch: Called after each step, for progress and for tests that interrupt between steps.
    """
    done: list[Step] = []
    try:
        for step in steps:
            with undisturbed():
                if isinstance(step, PointOfNoReturn):
                    done.clear()
                step.apply()
                done.append(step)
            if watch is not None:
                watch(step)
    except BaseException as error:
        with undisturbed():
            _undo(done, error)
        raise


def _undo(done: list[Step], error: BaseException) -> None:
    for step in reversed(done):
        try:
            step.undo()
        except (OSError, OvlError) as failure:
            error.add_note(f"this could not be undone: {step.describe().text()}: {failure}")
            return


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep signals that end the program waiting while inside.

    Blocking them keeps them from this thread, and system calls from being cut short; where there are other threads
    they take them, and Python would still raise here.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    others = threading.active_count() > 1 and threading.current_thread() is threading.main_thread()
    try:
        # Within: a signal that came just before raises here, with the signals blocked already.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        with _handlers_waiting() if others else nullcontext():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _handlers_waiting() -> Iterator[None]:
    """Let Python's signal handlers run at the end only; for the main thread."""
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in _ENDING}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    try:
        for number in handlers:
            signal.signal(number, lambda number, _frame: came.append(number))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


@contextmanager
def failing_as(kind: type[OvlError], text: str, *paths: str, hint: str | None = None) -> Iterator[None]:
    """Turn an OSError into *kind*, with its words and symbol after *text*.

    Args:
        kind: The class to raise.
        text: What could not be done; a format string, as the classes take it.
        paths: For its ``{}``.
        hint: What to do about it.
    """
    try:
        yield
    except OSError as error:
        raise kind(f"{text}: {literal(strerror(error))}", *paths, errno=error.errno, hint=hint) from error
