"""Arguments and paths: OVL-E001 to E010."""

from __future__ import annotations

from ovlctl.errors.base import NotFoundError, PermissionDeniedError, UnsupportedError, UsageError


class BadUsage(UsageError):
    """The command line or a library call is wrong in itself."""

    code = "OVL-E001"


class PathMissing(NotFoundError):
    """A layer, work directory or target does not exist."""

    code = "OVL-E002"


class NotADirectory(UsageError):
    """A layer, work directory or target is something else than a directory."""

    code = "OVL-E003"


class MissingCapability(PermissionDeniedError):
    """The process lacks a capability that the kernel wants; the message says which and for what."""

    code = "OVL-E004"


class AccessDenied(PermissionDeniedError):
    """A path may not be read, written or searched by this user."""

    code = "OVL-E005"


class NotAnOverlay(NotFoundError):
    """The thing named is there but is no overlay mount."""

    code = "OVL-E006"


class StackNotFound(NotFoundError):
    """No mount, record or kept upper has this name."""

    code = "OVL-E007"


class NameTaken(UsageError):
    """Another stack has this name already."""

    code = "OVL-E008"


class TargetOccupied(UsageError):
    """The target is already the mount point of an overlay."""

    code = "OVL-E009"


class OverlayMissing(UnsupportedError):
    """This kernel has no overlay file system, or its module is not loaded."""

    code = "OVL-E010"
