"""The Textual application: a session, a look, and one screen."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, ClassVar, Final

from textual.app import App

from ovlctl.tui.binding import bindings
from ovlctl.tui.glyphs import ASCII
from ovlctl.tui.keys import Where
from ovlctl.tui.main_screen import MainScreen
from ovlctl.tui.palette import MONO, SIXTEEN
from ovlctl.tui.style import CSS
from ovlctl.tui.terminal import is_gone
from ovlctl.tui.themes import THEMES

if TYPE_CHECKING:
    from textual.driver import Driver

    from ovlctl.ops.atlas.background import Scanner
    from ovlctl.tui.ground import Ground
    from ovlctl.tui.look import Look
    from ovlctl.tui.session import Session

# Seconds between looks whether the terminal is still there.
_LOOK: Final = 1.0
_ENDING: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class Explorer(App[None], inherit_bindings=False):
    """The explorer.

    Args:
        session: What is looked at.
        look: Of everything.
        scanner: What reads trees for the session.
        ground: Where actions are done.
        driver: Draws; None, in tests, for Textual's own.

    Attributes:
        failure: What went wrong inside; None for nothing.
        ended_by: The signal that ended it; None when the user did.
    """

    CSS = CSS
    BINDINGS = bindings(Where.ALWAYS)
    ENABLE_COMMAND_PALETTE: ClassVar[bool] = False

    def __init__(
        self, session: Session, look: Look, scanner: Scanner, ground: Ground, *, driver: type[Driver] | None = None
    ) -> None:
        super().__init__(driver_class=driver, ansi_color=True if look.palette in {SIXTEEN, MONO} else None)
        self.title = "ovlctl explore"
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = look.palette.name
        self.set_class(look.glyphs is ASCII, "plain-letters")
        self.set_class(look.palette is MONO, "no-colour")
        self.set_class(look.palette is SIXTEEN, "sixteen")
        self.set_class(look.palette is MONO or look.glyphs is ASCII, "no-bars")
        self._session = session
        self._scanner = scanner
        self.main = MainScreen(session, look, ground)
        self.failure: Exception | None = None
        self.ended_by: int | None = None
        self._on_terminal = driver is not None

    def get_default_screen(self) -> MainScreen:
        """The only screen; windows lie over it."""
        return self.main

    def on_mount(self) -> None:
        """Listen to the scanner, and to whoever wants an end."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._scanner.fileno(), self._scanned)
        if self._on_terminal:
            for number in _ENDING:
                loop.add_signal_handler(number, self._end_by, number)
            self.set_interval(_LOOK, self._look)

    def on_unmount(self) -> None:
        """Listen no longer."""
        self._listen_no_longer()
        self.main.reader.close()
        self.main.acting.standing.close()

    async def action_quit(self) -> None:
        """End."""
        self.exit()

    def _fatal_error(self) -> None:
        # Textual's own would print where it happened; the command says it in one line.
        self.failure = self._exception
        self._close_messages_no_wait()

    def _listen_no_longer(self) -> None:
        asyncio.get_running_loop().remove_reader(self._scanner.fileno())

    def _end_by(self, number: int) -> None:
        self.ended_by = number
        self.exit()

    def _look(self) -> None:
        if is_gone():
            self._end_by(signal.SIGHUP)

    def _scanned(self) -> None:
        more = self._session.received()
        if self._session.alone:
            self._listen_no_longer()
        if self.main.is_mounted:
            self.main.refreshed(more=more)
