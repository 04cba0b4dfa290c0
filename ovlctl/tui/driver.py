"""Textual's way to the terminal, for one that may be closed while something is drawn."""

from __future__ import annotations

from typing import IO, Any

from textual.drivers.linux_driver import LinuxDriver


class Ending:
    """A file that takes everything, also when the terminal behind it is gone.

    Textual writes in a thread, behind a queue with few places. If the thread ended with an error, whoever writes next
    would wait for ever.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """Write, if there is still somebody to read."""
        try:
            self._file.write(text)
        except OSError:
            return

    def flush(self) -> None:
        """Write what is left, likewise."""
        try:
            self._file.flush()
        except OSError:
            return

    def fileno(self) -> int:
        """The descriptor."""
        return self._file.fileno()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._file.isatty()


class TerminalDriver(LinuxDriver):
    """Draws on the terminal, as long as there is one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        assert self._file is not None, "standard error is a terminal"  # noqa: S101 -- for the type checker
        self._file = Ending(self._file)  # type: ignore[assignment]  # all that is used of a file
