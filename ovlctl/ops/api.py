"""The ways to tell the kernel about a stack, by name."""

from __future__ import annotations

from enum import StrEnum


class Api(StrEnum):
    """Which rung of :mod:`ovlctl.ops.ladder` to take; AUTO is the first that can express the stack."""

    AUTO = "auto"
    MOUNT = "mount"
    FSCONFIG = "fsconfig"
    RELATIVE = "relative"
