"""What ovlctl remembers: OVL-E070 to E074."""

from __future__ import annotations

from ovlctl.errors.base import PermissionDeniedError, UnsupportedError, UsageError


class StateUnsafe(PermissionDeniedError):
    """A state directory belongs to somebody else or is open to others."""

    code = "OVL-E070"


class StateUnusable(UnsupportedError):
    """A state directory cannot be made, read or written."""

    code = "OVL-E071"


class RecordDamaged(UnsupportedError):
    """A record in the state directory cannot be read."""

    code = "OVL-E072"


class KeptUpperDiffers(UsageError):
    """The kept upper of this name was made over other lowers."""

    code = "OVL-E073"


class StateLocked(UnsupportedError):
    """Another ovlctl has held the lock for too long."""

    code = "OVL-E074"
