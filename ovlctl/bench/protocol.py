"""What the measuring process and the one that started it say to each other.

Pickled frames, because both ends are the same program on one machine and the values are its own dataclasses. Down
go the order, then single bytes: GO answers a report without samples, STOP may come at any time. Up come events. The
end of either pipe says that the other process is gone.
"""

from __future__ import annotations

import os
import pickle
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ovlctl.bench.conditions import Storage
    from ovlctl.bench.plan import Schedule
    from ovlctl.bench.terms import Privilege, Settings
    from ovlctl.bench.values import BareSample, IdentityCase, Sample
    from ovlctl.errors import OvlError

GO, STOP = b"g", b"s"
_LENGTH = struct.Struct("=Q")


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


def send(fd: int, value: Order | Event) -> None:
    """Write one frame.

    Raises:
        BrokenPipeError: The other process is gone.
    """
    data = pickle.dumps(value)
    left = memoryview(_LENGTH.pack(len(data)) + data)
    while left:
        left = left[os.write(fd, left) :]


def receive(fd: int) -> Any:
    """Read one frame; None when the other process is gone, even in the middle of one."""
    header = _read(fd, _LENGTH.size)
    if header is None:
        return None
    data = _read(fd, _LENGTH.unpack(header)[0])
    return None if data is None else pickle.loads(data)  # noqa: S301 - from our own process, over our own pipe


def _read(fd: int, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        block = os.read(fd, min(size - len(data), 1 << 20))
        if not block:
            return None
        data += block
    return bytes(data)
