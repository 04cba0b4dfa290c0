"""Without root: OVL-E085 and E120 to E129."""

from __future__ import annotations

from ovlctl.errors.base import PermissionDeniedError


class NoUserNamespace(PermissionDeniedError):
    """This user may not make user namespaces, so nothing can be mounted without root."""

    code = "OVL-E085"
