"""Where engines keep their stores: by default, by configuration, by the command line of a running daemon."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovlctl.engines.values import Engine


class Origin(StrEnum):
    """How a place was found."""

    DEFAULT = "default"
    CONFIGURATION = "configuration"
    DAEMON = "daemon"
    GIVEN = "given"
    AROUND = "around"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The directories of one engine's store.

    Attributes:
        engine: DOCKER, PODMAN or CONTAINERD.
        root: Its data root: ``/var/lib/docker``, ``/var/lib/containers/storage``, ``/var/lib/containerd``.
        run: Where it keeps what lives until the next boot; None where there is none, as on another machine's disk.
        origin: How it was found.
        alive: Whether it is this machine's: then the kernel and a daemon can be asked, too.
    """

    engine: Engine
    root: str
    run: str | None = None
    origin: Origin = Origin.DEFAULT
    alive: bool = True
