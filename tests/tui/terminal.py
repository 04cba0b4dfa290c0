"""A terminal that a test sits at: a program in a pty, keys, and what is on the screen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import pyte

from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

# What pyte would print instead of ignoring it: questions to the terminal, and private modes that it does not know.
_UNKNOWN: Final = re.compile(rb"\x1b\[(?:[<>=][0-9;]*[a-zA-Z]|\?[0-9;]*\$p)")
_UNFINISHED: Final = re.compile(rb"\x1b(?:\[[0-9;<>=?$ ]*)?$")
ENTER, ESCAPE = "\r", "\x1b"


class Terminal:
    """One program and its screen.

    Attributes:
        process: The program.
    """

    def __init__(self, process: subprocess.Popen[bytes], master: int, size: tuple[int, int]) -> None:
        self.process = process
        self._master = master
        self._screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._screen)
        self._rest = b""

    @property
    def lines(self) -> list[str]:
        """What is on the screen."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        """The same as one text."""
        return "\n".join(self.lines)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    def wait(self, condition: Callable[[str], bool] | str, seconds: float = PATIENCE) -> str:
        """Wait until the screen has a text, or fits a condition, and return it."""
        fits = condition if callable(condition) else lambda text: condition in text
        end = time.monotonic() + seconds
        while not fits(self.text):
            assert time.monotonic() < end, f"it did not come to that:\n{self.text}"
            self._read(0.05)
        return self.text

    def resize(self, width: int, height: int) -> None:
        """Another size, of which the program is told."""
        _set_size(self._master, width, height)
        self._screen.resize(height, width)
        self.process.send_signal(signal.SIGWINCH)

    def close(self) -> None:
        """Close the terminal, as its window would be closed."""
        if self._master != -1:
            os.close(self._master)
            self._master = -1

    def ended(self, seconds: float = PATIENCE) -> int:
        """Wait for the end of the program, and return its status."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it did not end:\n{self.text}"
            if self._master == -1 or not self._read(0.05):
                time.sleep(0.02)
        return self.process.returncode

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], seconds)[0]:
            return True
        try:
            data = self._rest + os.read(self._master, 1 << 16)
        except OSError:  # EIO: nobody has the other side any more
            return False
        unfinished = _UNFINISHED.search(data)
        cut = len(data) if unfinished is None else unfinished.start()
        data, self._rest = data[:cut], data[cut:]
        self._stream.feed(_UNKNOWN.sub(b"", data))
        return True


@contextmanager
def terminal(
    argv: Sequence[str], env: Mapping[str, str], *, size: tuple[int, int] = (100, 30), cwd: str | None = None
) -> Iterator[Terminal]:
    """Run *argv* in a terminal of its own; it is killed at the end, if it still runs."""
    master, slave = pty.openpty()
    _set_size(master, *size)
    process = subprocess.Popen(
        ["setsid", "--ctty", *argv],
        env={**env, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=cwd,
    )
    os.close(slave)
    made = Terminal(process, master, size)
    try:
        yield made
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
        made.close()


def descendants(pid: int) -> set[int]:
    """The processes that a process has started, and those that these have."""
    found: set[int] = set()
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                for child in map(int, file.read().split()):
                    found |= {child, *descendants(child)}
    return found


def _set_size(master: int, width: int, height: int) -> None:
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
