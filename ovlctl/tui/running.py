"""From a stack to the explorer on the terminal, and back."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from typing import TYPE_CHECKING

from ovlctl.ops import reading
from ovlctl.ops.atlas.background import Scanner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.ops.reading import Subject, View
    from ovlctl.tui.terminal import Colour, Theme


def explore(subject: Subject, words: Sequence[str], colour: Colour, theme: Theme) -> int | None:
    """Show the explorer until the user has seen enough; the terminal is then as it was before.

    Args:
        subject: What is looked at.
        words: How it was named on the command line.
        colour: When there are colours.
        theme: Which.

    Returns:
        The signal that ended it; None when the user did.

    Raises:
        OvlError: as :func:`ovlctl.ops.reading.opened`.
        OSError: The root of the topmost layer cannot be looked at.
        Exception: Whatever went wrong inside the explorer.
    """
    with reading.opened(subject) as view, closing(Scanner.start(view)) as scanner:
        return _shown(view, words, scanner, colour, theme)


def _shown(view: View, words: Sequence[str], scanner: Scanner, colour: Colour, theme: Theme) -> int | None:
    # Loaded only now: the scanner works meanwhile, and was started before these libraries start threads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # nothing here multiplies matrices
    from ovlctl.tui import terminal
    from ovlctl.tui.session import Session

    session = Session(view, words, scanner)
    look = terminal.look(colour, theme)
    from ovlctl.tui.app import Explorer
    from ovlctl.tui.driver import TerminalDriver

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    app = Explorer(session, look, scanner, driver=TerminalDriver)
    try:
        app.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if app.failure is not None:
        raise app.failure
    return app.ended_by
