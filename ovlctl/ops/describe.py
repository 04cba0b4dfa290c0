"""One stack in full: where its layers lie and what its options imply."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ovlctl.errors import strerror
from ovlctl.kernel import mounts
from ovlctl.overlay.implications import implications

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.discover import Overlay
    from ovlctl.overlay.implications import Topic


class Role(StrEnum):
    """What a directory is in its stack."""

    UPPER = "upper"
    WORK = "work"
    LOWER = "lower"
    DATA_ONLY = "data-only"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerDescription:
    """One directory of a stack.

    Attributes:
        role: What it is there for.
        number: Position among its kind, from 0, topmost first.
        path: The directory.
        fs_type: Its file system's type; None when it cannot be looked at.
        dev: Major and minor number of that file system.
        mount_point: Where that is mounted.
        problem: Why it cannot be looked at, in words.
    """

    role: Role
    number: int
    path: str
    fs_type: str | None
    dev: tuple[int, int] | None
    mount_point: str | None
    problem: str | None

    @property
    def label(self) -> str:
        """Role and number, such as ``lower 1``."""
        return f"{self.role} {self.number}" if self.role in {Role.LOWER, Role.DATA_ONLY} else str(self.role)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A stack with what ``show`` tells of it."""

    overlay: Overlay
    layers: tuple[LayerDescription, ...]
    implications: tuple[tuple[Topic, str], ...]


def describe(overlay: Overlay) -> Description:
    """Look at every layer of *overlay*; one that cannot be looked at says why."""
    layers = tuple(_layers(overlay))
    options = overlay.effective or overlay.stack.options
    devices = {layer.dev for layer in layers}
    one_fs = None if None in devices else len(devices) == 1
    implied = implications(options, read_only=overlay.stack.read_only, one_fs=one_fs, rootless=overlay.rootless)
    return Description(
        overlay=overlay, layers=layers, implications=tuple(implied) if overlay.effective is not None else ()
    )


def _layers(overlay: Overlay) -> Iterator[LayerDescription]:
    stack = overlay.stack
    upper = () if stack.upper is None else (stack.upper,)
    work = () if stack.work is None else (stack.work,)
    kinds = ((Role.UPPER, upper), (Role.WORK, work), (Role.LOWER, stack.lowers), (Role.DATA_ONLY, stack.data_only))
    for role, paths in kinds:
        for number, path in enumerate(paths):
            yield _layer(overlay, role, number, path)


def _layer(overlay: Overlay, role: Role, number: int, path: str) -> LayerDescription:
    if not os.path.isabs(path):
        problem = "given relative to a directory that the mount table does not tell"
        return _unknown(role, number, path, problem)
    try:
        mount = mounts.mount_at(path)
    except OSError as error:
        return _unknown(role, number, path, strerror(error))
    if overlay.mount is not None and mount.mount_id == overlay.mount.mount_id:
        return _unknown(role, number, path, "covered by this mount itself")
    return LayerDescription(
        role=role,
        number=number,
        path=path,
        fs_type=mount.fs_type,
        dev=mount.dev,
        mount_point=mount.mount_point,
        problem=None,
    )


def _unknown(role: Role, number: int, path: str, problem: str) -> LayerDescription:
    return LayerDescription(
        role=role, number=number, path=path, fs_type=None, dev=None, mount_point=None, problem=problem
    )
