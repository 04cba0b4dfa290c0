"""Ending a mount: OVL-E060 to E063."""

from __future__ import annotations

from ovlctl.errors.base import UnsupportedError, UsageError


class MountBusy(UnsupportedError):
    """Somebody still uses the mount; the message names them."""

    code = "OVL-E060"


class NotOurs(UsageError):
    """--discard was asked for something that ovlctl did not make."""

    code = "OVL-E061"


class DiscardRefused(UnsupportedError):
    """What was to be removed holds a mount point or is used by a live overlay."""

    code = "OVL-E062"


class NotConfirmed(UsageError):
    """Something would be destroyed, and nobody said yes."""

    code = "OVL-E063"
