"""A place that is the same in every run, and waiting for the explorer to be at rest."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from ovlctl.kernel.mount import mount, umount2

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLACE = "/mnt"


@pytest.fixture
def same_place(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A new tmpfs at a fixed place: the same paths and inode numbers every time; times are UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    mount("tmpfs", _PLACE, "tmpfs")
    yield _PLACE
    umount2(_PLACE)
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(autouse=True)
def _at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pilots wait until nothing is ready to run, however busy the machine is.

    Textual's own way is to sleep until the process has used next to no CPU for 20 ms: that takes several times as long
    as the work, and a process that others keep from the CPUs looks idle.
    """

    async def at_rest(*_seconds: float) -> None:
        loop: Any = asyncio.get_running_loop()
        await asyncio.sleep(0)
        while loop._ready:  # noqa: ASYNC110, SLF001 -- asyncio has no event for it and no public way
            await asyncio.sleep(0)

    # A cursor that was moved has come to rest at once.
    monkeypatch.setattr("ovlctl.tui.reader._REST", 0.0)
    monkeypatch.setattr("textual.app.wait_for_idle", at_rest)
    monkeypatch.setattr("textual.pilot.wait_for_idle", at_rest)
