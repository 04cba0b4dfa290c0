"""A place that is the same in every run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

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
