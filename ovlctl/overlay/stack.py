"""A stack of layers: the value that every verb works on."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ovlctl.overlay.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The most lowers, data-only ones included, that one overlay takes (OVL_MAX_STACK in fs/overlayfs/params.h).
MAX_LOWERS = 500


@dataclass(frozen=True, slots=True, init=False)
class Stack:
    """Lowers, upper, work and options of one overlay.

    A value only: the directories need not exist. Paths are kept as given; :func:`resolved` is what a mount uses.

    Attributes:
        lowers: Read-only layers, topmost first, as the kernel lists them.
        data_only: Layers that are reached through metacopy redirects only, below all lowers.
        upper: The writable layer, or None for a read-only stack.
        work: overlayfs's scratch directory on the upper's mount.
        options: The mount options asked for.
    """

    lowers: tuple[str, ...]
    data_only: tuple[str, ...] = ()
    upper: str | None = None
    work: str | None = None
    options: Options = field(default_factory=Options)

    def __init__(
        self,
        lowers: Iterable[str | os.PathLike[str]],
        *,
        data_only: Iterable[str | os.PathLike[str]] = (),
        upper: str | os.PathLike[str] | None = None,
        work: str | os.PathLike[str] | None = None,
        options: Options | None = None,
    ) -> None:
        """Take any path-like objects; *lowers* is one or more directories, topmost first."""
        if isinstance(lowers, (str, os.PathLike)):
            # A lone path is iterable: its characters would become layers.
            lowers = (lowers,)
        put = object.__setattr__
        put(self, "lowers", tuple(map(os.fspath, lowers)))
        put(self, "data_only", tuple(map(os.fspath, data_only)))
        put(self, "upper", None if upper is None else os.fspath(upper))
        put(self, "work", None if work is None else os.fspath(work))
        put(self, "options", options or Options())

    @property
    def read_only(self) -> bool:
        """True when there is no upper."""
        return self.upper is None

    def layers(self) -> tuple[str, ...]:
        """Every layer from top to bottom: upper, lowers, data-only lowers."""
        top = () if self.upper is None else (self.upper,)
        return (*top, *self.lowers, *self.data_only)
