"""Attributes of a mount."""

from __future__ import annotations

from enum import IntFlag


class MOUNT_ATTR(IntFlag):  # noqa: N801 -- kernel spelling
    """Attributes of a mount, for fsmount(2), mount_setattr(2) and as statmount(2) gives them."""

    RDONLY = 0x00000001
    NOSUID = 0x00000002
    NODEV = 0x00000004
    NOEXEC = 0x00000008
    NOATIME = 0x00000010
    STRICTATIME = 0x00000020
    NODIRATIME = 0x00000080
    IDMAP = 0x00100000
    NOSYMFOLLOW = 0x00200000
