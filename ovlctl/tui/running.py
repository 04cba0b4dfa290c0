"""From a stack to the explorer on the terminal, and back."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.ops import reading
from ovlctl.ops.atlas.background import Scanner
from ovlctl.ops.trying.example import example
from ovlctl.tui.command_lines import words_of
from ovlctl.tui.ground import Ground

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.ops.reading import Subject, View
    from ovlctl.tui.terminal import Colour, Theme


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the user wants, besides a stack.

    Attributes:
        colour: When there are colours.
        theme: Which.
        live: Whether actions are done on the real mount.
        directory: Where to put a scratch upper; None for the default.
        animated: Whether things may move.
    """

    colour: Colour
    theme: Theme
    live: bool = False
    directory: str | None = None
    animated: bool = True


def explore(subject: Subject | None, words: Sequence[str], wanted: Wanted) -> int | None:
    """Show the explorer until the user has seen enough; the terminal is then as it was before.

    Args:
        subject: What is looked at; None for the example of :mod:`ovlctl.ops.trying.example`, with an upper.
        words: How it was named on the command line.
        wanted: The rest.

    Returns:
        The signal that ended it; None when the user did.

    Raises:
        OvlError: as :func:`ovlctl.ops.reading.opened`; NotMountedHere, nothing can be done live; of the example, as
            :func:`ovlctl.ops.trying.stage.stage`.
        OSError: The root of the topmost layer cannot be looked at.
        Exception: Whatever went wrong inside the explorer.
    """
    with ExitStack() as closing:
        if subject is None:
            shown = closing.enter_context(example(directory=wanted.directory))
            ground = closing.enter_context(Ground(shown, example=True, directory=wanted.directory))
            ground.make()
            subject = ground.subject
            words = words_of(subject)
        else:
            ground = closing.enter_context(Ground(subject, live=wanted.live, directory=wanted.directory))
        view = closing.enter_context(reading.opened(subject))
        scanner = closing.enter_context(Scanner.start(view))
        return _shown(view, words, scanner, ground, wanted)


def _shown(view: View, words: Sequence[str], scanner: Scanner, ground: Ground, wanted: Wanted) -> int | None:
    # Loaded only now: the scanner works meanwhile, and was started before these libraries start threads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # nothing here multiplies matrices
    if not wanted.animated:
        os.environ["TEXTUAL_ANIMATIONS"] = "none"
    from ovlctl.tui import terminal
    from ovlctl.tui.session import Session

    session = Session(view, words, scanner)
    look = terminal.look(wanted.colour, wanted.theme)
    from ovlctl.tui.app import Explorer
    from ovlctl.tui.driver import TerminalDriver

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    app = Explorer(session, look, scanner, ground, driver=TerminalDriver)
    try:
        app.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if app.failure is not None:
        raise app.failure
    return app.ended_by
