"""``ovlctl explore`` on a merged view of five layers, driven through a pty; beside Textual's own Tree on a mount of it.

    benchmarks/explore.py [FILES]     100,000 by default; 1,000,000 takes some minutes

Prints what the first screen costs, in CPU seconds and memory of all its processes, how long keys take until the last
byte of the answer, and how long unfolding everything and searching take. Keys are timed after the whole tree was read,
and, where it says so, while it is being read. The layers are in memory. Run as root: it mounts in a mount namespace of
its own.
"""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fcntl import ioctl
from typing import TYPE_CHECKING

from ovlctl.kernel import capabilities, namespaces
from ovlctl.kernel.capabilities import Capability
from ovlctl.kernel.mount import MNT, MS, mount, umount2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROUNDS = 15
IN_A_DIRECTORY = 99
BURST_SECONDS = 0.004
QUIET_SECONDS = 0.25
BUSY_SECONDS = 0.1
MOST_SECONDS = 600
LAST = b"zz-last"
PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
DOWN, UP, END, HOME, ENTER = "\x1b[B", "\x1b[A", "\x1b[F", "\x1b[H", "\r"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How long a key took, in seconds: until the screen was drawn anew, and until nothing more came.

    What comes later are the details of the chosen path.
    """

    first: float
    whole: float


class Screen:
    """A program on a terminal of 160 columns and 50 lines."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.started = time.perf_counter()
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            # A user's installation has its modules compiled.
            os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", LANG="C.UTF-8", COLUMNS="160", LINES="50")
            os.environ.pop("NO_COLOR", None)
            os.execv(argv[0], [*argv])  # noqa: S606 -- a program of ours, without a shell
        ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
        self.output = b""

    def close(self) -> None:
        """End it, whatever it does."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)

    def read(self, seconds: float) -> bool:
        """Take what has come within *seconds*; whether anything has."""
        if not select.select([self.terminal], [], [], seconds)[0]:
            return False
        self.output += os.read(self.terminal, 1 << 16)
        return True

    def until(self, seen: Callable[[bytes], bool], seconds: float = 300) -> float:
        """Wait until *seen* is true of the text that came since; how long that took."""
        start, begin = time.perf_counter(), len(self.output)
        while not seen(_text(self.output[begin:])):
            if time.perf_counter() - start > seconds or not self.read(seconds):
                raise TimeoutError(_text(self.output[-3000:]).decode(errors="replace"))
        return time.perf_counter() - start

    def quiet(self, most: float = 5) -> None:
        """Wait for a pause in the output."""
        start = time.perf_counter()
        while self.read(QUIET_SECONDS) and time.perf_counter() - start < most:
            pass

    def press(self, keys: str) -> Answer:
        """Press keys, and wait for what comes."""
        start = time.perf_counter()
        os.write(self.terminal, keys.encode())
        self.read(MOST_SECONDS)
        first = last = time.perf_counter()
        while self.read(BURST_SECONDS):
            first = last = time.perf_counter()
        while self.read(QUIET_SECONDS):
            last = time.perf_counter()
        return Answer(first=first - start, whole=last - start)

    def processes(self) -> list[int]:
        """It and all that it started."""
        found = [self.pid]
        for pid in found:
            with suppress(OSError), open(f"/proc/{pid}/task/{pid}/children") as stream:
                found += map(int, stream.read().split())
        return found

    def cpu(self) -> float:
        """Seconds of CPU of all its processes."""
        return sum(_cpu(pid) for pid in self.processes())

    def memory(self) -> float:
        """MiB of all its processes; what they share counts once."""
        return sum(_pss(pid) for pid in self.processes()) / 1024


def _cpu(pid: int) -> float:
    with suppress(OSError):
        return (
            sum(
                int(_content(f"/proc/{pid}/task/{task}/schedstat").split()[0])
                for task in os.listdir(f"/proc/{pid}/task")
            )
            / 1e9
        )
    return 0


def _pss(pid: int) -> int:
    with suppress(OSError):
        found = re.search(r"^Pss:\s+(\d+) kB", _content(f"/proc/{pid}/smaps_rollup"), re.MULTILINE)
        return int(found[1]) if found else 0
    return 0


def _content(path: str) -> str:
    with open(path) as stream:
        return stream.read()


def _text(output: bytes) -> bytes:
    """What is written, without the sequences that place and colour it."""
    return re.sub(
        rb"\x1b(\[[0-9;?:<>=]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[@-Z\\-_])", b"", output
    )


def main() -> int:
    """Measure and print."""
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    if not capabilities.has(Capability.CAP_SYS_ADMIN):
        print("skipped: needs root")
        return 0
    namespaces.enter_private_mounts()
    scratch = tempfile.mkdtemp(prefix="ovlctl-benchmark-")
    mount("layers", scratch, "tmpfs", MS(0), b"size=90%,nr_inodes=0")
    try:
        build(scratch, files)
        explorer(scratch)
        stock(scratch)
    finally:
        umount2(f"{scratch}/merged", MNT.DETACH)
        umount2(scratch, MNT.DETACH)
        os.rmdir(scratch)
    return 0


def build(base: str, files: int) -> None:
    """Five layers, an upper among them, and the merged view of FILES names in directories of a hundred."""
    directories = files // (IN_A_DIRECTORY + 1)
    names = [f"some-file-{at:04}.txt" for at in range(IN_A_DIRECTORY)]
    parts = {
        "l4": (range(directories * 6 // 10), names),
        "l3": (range(directories * 6 // 10, directories * 9 // 10), names),
        "l2": (range(directories * 9 // 10, directories), names),
        "l1": (range(0, directories, 50), names[::5]),
        "upper": (range(0, directories, 100), names[::9]),
    }
    for layer, (numbers, inside) in parts.items():
        for number in numbers:
            path = f"{base}/{layer}/usr/{number // 100:03}/package-{number:05}"
            os.makedirs(path)
            here = os.open(path, os.O_PATH)
            for name in inside:
                os.mknod(name, 0o644, dir_fd=here)
            os.close(here)
        os.makedirs(f"{base}/{layer}/zz-last", exist_ok=True)
    os.makedirs(f"{base}/work")
    os.makedirs(f"{base}/merged")
    lowers = ":".join(f"{base}/l{at}" for at in range(1, 5))
    options = f"lowerdir={lowers},upperdir={base}/upper,workdir={base}/work"
    mount("overlay", f"{base}/merged", "overlay", MS(0), os.fsencode(options))


@contextmanager
def running(*argv: str) -> Iterator[Screen]:
    """A program on a terminal, ended afterwards."""
    screen = Screen(argv)
    try:
        yield screen
    finally:
        screen.close()


def keys(screen: Screen, *sequence: str) -> str:
    """What the keys of *sequence* take, pressed in turn: median, least and most, in milliseconds."""
    answers = [screen.press(key) for _ in range(ROUNDS) for key in sequence]
    first, whole = (sorted(getattr(answer, name) * 1000 for answer in answers) for name in ("first", "whole"))
    return (
        f"{statistics.median(first):5.0f} ms [{first[0]:.0f}..{first[-1]:.0f}], "
        f"all there after {statistics.median(whole):.0f} ms"
    )


def started(screen: Screen, title: str) -> None:
    """Wait for the first screen, and print what it took."""
    screen.until(lambda text: LAST in text)
    screen.read(0.05)
    wall = time.perf_counter() - screen.started
    print(title)
    line("first screen", f"{wall:5.2f} s, {screen.cpu():.2f} s CPU, {screen.memory():.0f} MiB")


def line(name: str, figures: str) -> None:
    """Print a line."""
    print(f"  {name:24}{figures}", flush=True)


def explorer(base: str) -> None:
    """The explorer."""
    with running(sys.executable, "-m", "ovlctl", "explore", f"{base}/merged") as screen:
        started(screen, "ovlctl explore")
        line("a key while it reads", keys(screen, DOWN, UP))
        peak = screen.memory()
        while _busy(screen.processes()[1:]):
            screen.read(0.05)
            peak = max(peak, screen.memory())
        screen.quiet()
        wall = time.perf_counter() - screen.started
        line("all read", f"{wall:5.2f} s, {screen.cpu():.2f} s CPU, {screen.memory():.0f} MiB, {peak:.0f} at the most")
        line("down, up", keys(screen, DOWN, UP))
        line("unfold, fold", keys(screen, ENTER, ENTER))
        line("end, home", keys(screen, END, HOME))
        line("unfold all", f"{screen.press('*').first * 1000:5.0f} ms")
        line("down, up in all of it", keys(screen, DOWN, UP))
        line("end, home in all of it", keys(screen, END, HOME))
        screen.press("/")
        typed = [(letter, screen.press(letter)) for letter in "file-0042"]
        times = " ".join(f"{letter}:{answer.first * 1000:.0f}..{answer.whole * 1000:.0f}" for letter, answer in typed)
        line("filter as you type", f"  {times} ms; {screen.memory():.0f} MiB")


def _busy(pids: Sequence[int]) -> bool:
    """Whether a process works, over a tenth of a second."""
    before = [_cpu(pid) for pid in pids]
    time.sleep(BUSY_SECONDS)
    return any(_cpu(pid) - spent > BUSY_SECONDS / 5 for pid, spent in zip(pids, before, strict=True))


def stock(base: str) -> None:
    """Textual's own Tree."""
    with running(sys.executable, f"{PROGRAMS}/stock_tree.py", f"{base}/merged") as screen:
        started(screen, "Textual's Tree on the mount, names only")
        screen.quiet()
        line("down, up", keys(screen, DOWN, UP))
        before = screen.cpu()
        spent = screen.press("*").whole
        line("unfold all", f"{spent * 1000:5.0f} ms, {screen.cpu() - before:.2f} s CPU, {screen.memory():.0f} MiB")


if __name__ == "__main__":
    sys.exit(main())
