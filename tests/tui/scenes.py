"""A stack with something of everything, and the explorer driven on it by key presses."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from textual.widgets import Input
from textual.worker import WorkerCancelled

from ovlctl.ops import reading
from ovlctl.ops.atlas.background import Scanner
from ovlctl.overlay.options import Flag, Options
from ovlctl.overlay.stack import Stack
from ovlctl.tui.app import Explorer
from ovlctl.tui.glyphs import UNICODE
from ovlctl.tui.ground import Ground
from ovlctl.tui.look import Look
from ovlctl.tui.palette import DARK
from ovlctl.tui.session import Session
from tests import capabilities, trees
from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.pilot import Pilot
    from textual.screen import Screen
    from textual.widget import Widget

    from ovlctl.ops.reading import Subject
    from ovlctl.tui.glyphs import Glyphs
    from ovlctl.tui.palette import Palette

MOMENT = 1_700_000_000
#: Names of a layer that somebody else made.
HOSTILE = (
    "\x1b[31mred",
    "[bold]markup[/bold]",
    "[/b]",
    "<script>alert(1)</script>",
    "right\u202eleft",
    "two\nlines",
    "not-utf8-\udcff",
    "w\u00efde-\u65e5\u672c\u8a9e",
    "x" * 255,
)


def article(base: str) -> Stack:
    """Two lowers and an upper below *base*: added, changed, unchanged, deleted and hidden names, and links."""
    first, second, upper = (os.path.join(base, name) for name in ("lower-0", "lower-1", "upper"))
    trees.make(
        second,
        {
            "etc/app.conf": "port = 80\n",
            "etc/hosts": "127.0.0.1 localhost\n",
            "usr/lib/lib.so": b"\x7fELF" + bytes(range(128)) * 80,
            "usr/lib/old.so": b"\0" * 5000,
            "usr/share/doc/readme.txt": "hello\n" * 300,
            "var/log/app.log": "x" * 70000 + "\n",
        },
    )
    trees.make(first, {"etc/app.conf": "port = 8080\n" * 4, "usr/bin/tool": b"\0" * 70000})
    trees.make(first, {f"usr/share/data/item-{number:02}.json": "{}" * number for number in range(40)})
    trees.make(upper, {"etc/app.conf": "port = 9090\n" * 20, "etc/new.conf": "n = 1\n", "usr/lib/": None})
    shutil.copy2(os.path.join(second, "etc/hosts"), os.path.join(upper, "etc/hosts"))
    os.symlink("app.conf", os.path.join(upper, "etc/link"))
    os.mknod(os.path.join(upper, "usr/lib/old.so"), 0o020000, os.makedev(0, 0))
    _at_one_moment(base)
    return stack(base)


def hostile(base: str) -> Stack:
    """A lower with names that would do harm if they were printed as they are."""
    trees.make(os.path.join(base, "lower-0"), {f"bad/{name}": "x\n" for name in HOSTILE})
    trees.make(os.path.join(base, "lower-1"), {"good": "y\n"})
    trees.make(os.path.join(base, "upper"), {})
    _at_one_moment(base)
    return stack(base)


#: Whether marks are in user.overlay.*: as an ordinary user, and where the scratch upper can have them there.
MARKS = Flag.NO if capabilities.overlay() and not capabilities.userxattr() else Flag.YES
MARK_WORD = "--userxattr" if MARKS is Flag.YES else "--no-userxattr"


def stack(base: str) -> Stack:
    """The layers below *base*; marks are those that anybody can read, where the kernel mounts with them."""
    return Stack(
        [os.path.join(base, "lower-0"), os.path.join(base, "lower-1")],
        upper=os.path.join(base, "upper"),
        options=Options(userxattr=MARKS),
    )


def words(of: Stack) -> tuple[str, ...]:
    """How the stack is named on a command line."""
    assert of.upper is not None
    lowers = [word for lower in of.lowers for word in ("--lower", lower)]
    return (*lowers, "--upper", of.upper, MARK_WORD)


def _at_one_moment(base: str) -> None:
    for directory, names, files in os.walk(base):
        for name in (*names, *files):
            os.utime(os.path.join(directory, name), (MOMENT, MOMENT), follow_symlinks=False)
        os.utime(directory, (MOMENT, MOMENT))


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """The explorer, as a test holds it."""

    app: Explorer
    pilot: Pilot[None]
    session: Session
    scanner_pid: int
    stopped: bool = False

    async def press(self, *keys: str) -> None:
        """Press keys one after the other, each when the last one's work is done."""
        for key in keys:
            await self.pilot.press(key)
            await self.settle()

    async def type(self, text: str) -> None:
        """Put *text* into the line that is typed in, as a paste would."""
        line = self.app.focused
        assert isinstance(line, Input)
        line.value = text
        await self.settle()

    async def settle(self) -> None:
        """Wait until nothing is read any more, but for what a stopped scanner owes, and everything is drawn."""
        if not self.stopped:
            await self.scanned()
        while len(self.app.workers):
            # One that was overtaken by the next says so.
            with suppress(WorkerCancelled):
                await self.app.workers.wait_for_complete()
        await self.drawn()

    async def scanned(self) -> None:
        """Wait until the scanner has nothing to do."""
        while self.session.read is not None:
            await self.pilot.pause(0.01)
        await self.drawn()

    async def drawn(self) -> None:
        """Wait until all that is known is on the screen: what is laid out asks for more, twice at the most."""
        for _ in range(3):
            await self.pilot.pause()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so; fails with what is on the screen when it never is."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, self.text()
            await self.pilot.pause(0.01)

    async def resize(self, width: int, height: int) -> None:
        """Give the screen another size."""
        await self.pilot.resize_terminal(width, height)
        # The screen hears of it by a timer, and app and screen give the new size at once.
        await self.until(lambda: self.app.screen._compositor.size == (width, height))  # noqa: SLF001 -- as for lines()
        await self.settle()

    def top(self) -> Screen[object]:
        """The window that is over everything, or the main screen."""
        return self.app.screen

    def focused(self) -> Widget | None:
        """What has the keys."""
        return self.app.focused

    def lines(self) -> list[str]:
        """The screen as text."""
        return [strip.text.rstrip() for strip in self.app.screen._compositor.render_strips()]  # noqa: SLF001 -- Textual has no public way

    def text(self) -> str:
        """The screen as one text."""
        return "\n".join(self.lines())

    def shown(self) -> list[str]:
        """The paths on the lines of the tree."""
        page = self.session.page
        return [page.atlas.path(page.row(line)) for line in range(len(page))]


def children() -> list[int]:
    """The processes that this one has started and that are still there."""
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def drive(
    of: Stack,
    play: Callable[[Driven], Awaitable[None]],
    *,
    size: tuple[int, int] = (100, 30),
    palette: Palette = DARK,
    glyphs: Glyphs = UNICODE,
    stopped: bool = False,
    inside: str = "",
    animated: bool = False,
    subject: Subject | None = None,
) -> None:
    """Run the explorer without a terminal, and *play* on it; a scratch upper is put beside the layers.

    Args:
        of: The stack.
        play: What is done.
        size: Of the screen.
        palette: Its colours.
        glyphs: Its signs.
        stopped: Stop the scanner before it can do anything.
        inside: Where the name of the stack led to.
        animated: Whether things move.
        subject: The stack as something that is mounted; else it is not.
    """
    subject = subject or replace(reading.of_directories(of), inside=inside)
    with ExitStack() as closing:
        ground = closing.enter_context(Ground(subject, directory=os.path.dirname(of.lowers[0])))
        view = closing.enter_context(reading.opened(subject))
        scanner = closing.enter_context(Scanner.start(view))
        (pid,) = children()
        if stopped:
            os.kill(pid, signal.SIGSTOP)
        session = Session(view, words(of), scanner)
        app = Explorer(session, Look(palette=palette, glyphs=glyphs), scanner, ground)
        app.animation_level = "full" if animated else "none"

        async def run() -> None:
            async with app.run_test(size=size) as pilot:
                driven = Driven(app=app, pilot=pilot, session=session, scanner_pid=pid, stopped=stopped)
                await driven.settle()
                await play(driven)

        asyncio.run(run())
