"""What the measuring process and the one that started it say to each other.

Frames of :mod:`ovlctl.ops.frames`. Down go the order, then single bytes: GO answers a report without samples, STOP
may come at any time. Up come events. The end of either pipe says that the other process is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ovlctl.bench.conditions import Storage
    from ovlctl.bench.plan import Schedule
    from ovlctl.bench.terms import Privilege, Settings
    from ovlctl.bench.values import BareSample, IdentityCase, Sample
    from ovlctl.errors import OvlError

GO, STOP = b"g", b"s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to do: *schedule* in *scratch*, on file systems of at least these sizes."""

    schedule: Schedule
    scratch: str
    sizes: Mapping[str, int]
    privilege: Privilege
    cpu: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known once everything is built and mounted for the first time, before the first counted sample.

    Attributes:
        storage: The file systems, keyed as in the plan.
        options: The effective options of each variant.
        xattr_prefix: What the marks start with.
        accounting: Where per-sample accounting comes from.
        warnings: What the kernel made weaker than asked.
    """

    storage: Mapping[str, Storage]
    options: tuple[Settings, ...]
    xattr_prefix: str
    accounting: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How far the run is. The sender waits for GO, unless it is the end of a round, with its checked samples."""

    samples: tuple[tuple[int, Sample | BareSample], ...]
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One identity case."""

    case: IdentityCase


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """It went wrong; nothing follows."""

    error: OvlError


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """All is over and cleaned up; *stopped* says whether it was cut short."""

    stopped: bool


Event = Facts | Report | Identity | Failed | Done
