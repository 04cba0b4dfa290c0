"""A changed path with the one letter that engines print of it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Letter(StrEnum):
    """What ``docker diff`` and ``podman diff`` call a change."""

    ADDED = "A"
    CHANGED = "C"
    DELETED = "D"


class Lettered(NamedTuple):
    """A path from the root, without a leading slash, and what the engine says of it."""

    letter: Letter
    path: str
