"""Before the scan has come: what is wanted is listed at once, and what comes later changes no folding."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests.tui.scenes import article, drive

if TYPE_CHECKING:
    from tests.tui.scenes import Driven


def test_listed_on_demand(scratch: str) -> None:
    """With a scanner that is stopped directories unfold all the same; when it goes on, cursor and folding stay."""

    async def play(it: Driven) -> None:
        assert it.session.read is not None
        assert it.shown() == ["etc", "usr", "var"]
        assert "..." in it.text()
        await it.press("j", "enter")
        assert it.shown() == ["etc", "usr", "usr/bin", "usr/lib", "usr/share", "var"]
        await it.press("j", "j", "l", "l")
        assert it.session.path == "usr/lib/lib.so"
        before = it.shown()
        unread = len(it.session.page.atlas)
        os.kill(it.scanner_pid, signal.SIGCONT)
        await it.scanned()
        assert it.session.path == "usr/lib/lib.so"
        assert it.shown() == before
        assert len(it.session.page.atlas) > unread
        assert "..." not in "".join(it.lines()[:5])

    drive(article(scratch), play, stopped=True)


def test_a_path_inside(scratch: str) -> None:
    """A name of the stack that leads into it begins there, listing what is on the way."""

    async def play(it: Driven) -> None:
        assert it.session.path == "usr/share/data"
        assert "usr/share/data" in it.shown()
        os.kill(it.scanner_pid, signal.SIGCONT)
        await it.scanned()
        assert it.session.path == "usr/share/data"

    drive(article(scratch), play, stopped=True, inside="usr/share/data")


def test_a_scanner_that_died(scratch: str) -> None:
    """When the process that scans is killed the log says so, and everything that was read stays."""

    async def play(it: Driven) -> None:
        os.kill(it.scanner_pid, signal.SIGKILL)
        await it.scanned()
        assert it.session.alone
        assert it.shown() == ["etc", "usr", "var"]
        await it.press("enter")
        assert "etc/app.conf" in it.shown()
        await it.press("r", "L")
        assert "has ended" in it.text()

    drive(article(scratch), play, stopped=True)
