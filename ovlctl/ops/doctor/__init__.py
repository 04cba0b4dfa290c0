"""What this host, this user and these directories can do for overlays, and what each thing that is missing costs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ovlctl.errors import KernelLacks
from ovlctl.ops.doctor import directory, host, user
from ovlctl.ops.doctor.trial import conduct, conduct_as_ordinary_user
from ovlctl.ops.doctor.values import Diagnosis
from ovlctl.ops.preflight import real

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Diagnosis", "diagnose"]


def diagnose(directories: Sequence[str]) -> Diagnosis:
    """Look at this host, as this user, and at *directories*.

    Everything is found by trying or reading, and nothing stays: trial mounts are made in a mount namespace of a child
    process, files in a directory inside each of *directories* that is removed again. A directory in which this user
    can make nothing is described by what can be read.

    Args:
        directories: Directories where layers lie, or will.

    Raises:
        PathMissing, NotADirectory, AccessDenied: one of *directories* cannot be looked at.
        KernelLacks: there is no /proc, as in a chroot that was made in a hurry.
    """
    if not os.path.exists("/proc/self/ns"):
        raise KernelLacks(
            "{} is not mounted, and without it nothing can be told",
            "/proc",
            hint="`mount -t proc proc /proc`, in a chroot too",
        )
    paths = tuple(dict.fromkeys(map(real, directories)))
    places = tuple(map(directory.look_at, paths))
    mine = conduct([place.path for place in places])
    anybody = conduct_as_ordinary_user(mine)
    return Diagnosis(
        host=host.report(mine),
        user=user.report(mine, anybody),
        directories=tuple(directory.report(place, mine) for place in places),
    )
