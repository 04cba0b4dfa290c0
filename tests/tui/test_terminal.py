"""The real program on a real terminal: it draws, ends when it is told to, and leaves nothing behind."""

from __future__ import annotations

import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fcntl import ioctl
from typing import TYPE_CHECKING

import pyte
import pytest

from tests.patience import PATIENCE, eventually
from tests.tui.scenes import article, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Cli

_SIZE = (80, 24)


@dataclass(slots=True)
class Terminal:
    """A program and its terminal."""

    pid: int
    master: int
    screen: pyte.Screen = field(default_factory=lambda: pyte.Screen(*_SIZE))
    output: bytes = b""
    status: int | None = None

    def until(self, text: str) -> None:
        """Read until *text* is on the screen."""
        stream = pyte.ByteStream(self.screen)
        end = time.monotonic() + PATIENCE
        while text not in "\n".join(self.screen.display):
            assert time.monotonic() < end, "\n".join(self.screen.display)
            if (part := self._read()) is None:
                break
            stream.feed(part)
        assert text in "\n".join(self.screen.display), self.output

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self.master, keys.encode())

    def children(self) -> list[int]:
        """Its processes."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]

    def ended(self) -> int:
        """Wait for its end: its exit status, or the negative number of a signal."""
        end = time.monotonic() + PATIENCE
        while self.status is None:
            assert time.monotonic() < end, "it did not end"
            self._read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status

    def close(self) -> None:
        """Close the terminal."""
        with suppress(OSError):
            os.close(self.master)

    def _read(self) -> bytes | None:
        with suppress(OSError, ValueError):
            if not select.select([self.master], [], [], 0.05)[0]:
                return b""
            part = os.read(self.master, 1 << 16)
            self.output += part
            return part
        time.sleep(0.05)
        return None


@contextmanager
def running(*args: str, env: dict[str, str] | None = None) -> Iterator[Terminal]:
    """``ovlctl ARGS`` on a terminal of its own."""
    pid, master = pty.fork()
    if pid == 0:
        os.environ.update({"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", **(env or {})})
        os.execv(sys.executable, [sys.executable, "-m", "ovlctl", *args])  # noqa: S606 -- no shell is wanted
    ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", _SIZE[1], _SIZE[0], 0, 0))
    terminal = Terminal(pid, master)
    try:
        yield terminal
    finally:
        terminal.close()
        if terminal.status is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@pytest.mark.parametrize(
    ("how", "status"),
    [("q", 0), ("\x03", 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130), (None, 129)],
    ids=["q", "ctrl-c", "SIGTERM", "SIGHUP", "SIGINT", "closed"],
)
def test_the_end(how: str | signal.Signals | None, status: int, scratch: str) -> None:
    """However it ends, the terminal is as before, the exit status says how, and no process is left."""
    with running("explore", *words(article(scratch))) as terminal:
        terminal.until("lower:1  ")
        terminal.press("E")
        terminal.until("lib.so")
        (scanner,) = terminal.children()
        if how is None:
            terminal.close()
        elif isinstance(how, signal.Signals):
            os.kill(terminal.pid, how)
        else:
            terminal.press(how)
        assert terminal.ended() == status
        if how is not None:
            assert b"\x1b[?1049l" in terminal.output
            assert b"\x1b[?25h" in terminal.output
            assert b"Traceback" not in terminal.output
        assert not _alive(scanner)


def test_killed(scratch: str) -> None:
    """Killed outright, the process that scans goes with it."""
    with running("explore", *words(article(scratch))) as terminal:
        terminal.until("lower:1  ")
        (scanner,) = terminal.children()
        os.kill(terminal.pid, signal.SIGKILL)
        assert terminal.ended() == -signal.SIGKILL
        assert eventually(lambda: not _alive(scanner))


@pytest.mark.parametrize(
    ("env", "colours"),
    [
        ({"NO_COLOR": "1"}, False),
        ({"TERM": "vt100", "COLORTERM": ""}, False),
        ({"TERM": "xterm", "COLORTERM": ""}, True),
    ],
    ids=["NO_COLOR", "vt100", "sixteen"],
)
def test_colours(env: dict[str, str], *, colours: bool, scratch: str) -> None:
    """Without colours no colour is sent but the terminal's own; in sixteen none of the others."""
    with running("explore", *words(article(scratch)), env=env) as terminal:
        terminal.until("lower:1  ")
        terminal.press("q")
        assert terminal.ended() == 0
        assert b"38;2;" not in terminal.output
        assert b"38;5;" not in terminal.output
        assert (b";44m" in terminal.output) is colours


@pytest.mark.parametrize("term", ["dumb", "", "unknown"])
def test_a_terminal_that_cannot(term: str, scratch: str) -> None:
    """A terminal that cannot move its cursor gets one clear error."""
    with running("explore", *words(article(scratch)), env={"TERM": term}) as terminal:
        assert terminal.ended() == 2
        assert b"error[OVL-E190 no-terminal]" in terminal.output
        assert b"hint: `ovlctl tree STACK --hidden`" in terminal.output


def test_no_terminal(cli: Cli) -> None:
    """In a pipe there is one clear error, before anything is looked for."""
    done = cli("explore", "nowhere")
    assert done.status == 2
    assert "OVL-E190" in done.stderr
    assert "ovlctl tree nowhere --hidden" in done.stderr


def test_the_example() -> None:
    """Without STACK it is the article's example, in a directory that is gone afterwards."""
    with running("explore") as terminal:
        terminal.until("lib.so")
        terminal.until("app.conf")
        terminal.press("q")
        assert terminal.ended() == 0


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
