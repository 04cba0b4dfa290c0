"""What only the kernel knows: OVL-E090 to E093."""

from __future__ import annotations

from ovlctl.errors.base import UnsupportedError


class KernelRefused(UnsupportedError):
    """The kernel refused for a reason that no check foresaw; its errno and words are passed on."""

    code = "OVL-E090"


class WeakerThanAsked(UnsupportedError):
    """The kernel mounted something weaker than what was asked, and the mount was undone."""

    code = "OVL-E091"


class KernelLacks(UnsupportedError):
    """A system call or a feature of it is missing on this kernel."""

    code = "OVL-E092"


class OutputFailed(UnsupportedError):
    """The result could not be written to standard output, a full disk for one."""

    code = "OVL-E093"
