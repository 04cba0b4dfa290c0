"""What the process that has the scratch mount and the one that started it say to each other.

Frames of :mod:`ovlctl.ops.frames`. Down go one :class:`Begin`, then orders, each of which is answered, but for
:class:`End`; the end of the pipe means the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovlctl.errors import OvlError
    from ovlctl.ops.trying.values import Deed, Difference, Wish
    from ovlctl.overlay.options import Options
    from ovlctl.overlay.stack import Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """What to mount.

    Attributes:
        stack: The user's stack.
        options: In force on it.
        scratch: The private directory to work in.
        hidden: The mount point of the stack, which the process lets go of; None when it is not mounted.
    """

    stack: Stack
    options: Options
    scratch: str
    hidden: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Do:
    """An action."""

    wish: Wish


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """A fresh scratch upper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Clean up and end. Said in so many words, because another child of the same process may hold the pipe open."""


Order = Do | Reset


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """It is mounted.

    Attributes:
        stack: The scratch stack.
        options: In force on it.
        trusted: Whether marks in trusted.* count.
        differences: From the user's stack.
    """

    stack: Stack
    options: Options
    trusted: bool
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was done."""

    deed: Deed


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """It could not be."""

    error: OvlError


Answer = Ready | Done | Failed
