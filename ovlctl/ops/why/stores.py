"""What this machine adds to a message of an engine: the layers behind a path, the file system under it.

Docker and Podman mount ``STORE/ID/merged`` from ``ID/diff``, ``ID/work`` and the lowers that the file ``ID/lower``
names relative to STORE (daemon/graphdriver/overlay2 in moby, drivers/overlay in containers/storage).
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.kernel import mounts
from ovlctl.ops.why.values import Certainty, Line
from ovlctl.overlay.stack import Stack

if TYPE_CHECKING:
    from ovlctl.errors import OvlError
    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.why.values import Finding

_LOWER_MAX = 1 << 16
#: Known to lack what an upper needs; the rest decides nothing.
_POOR = ("nfs", "nfs4", "cifs", "smb3", "9p", "vfat", "exfat", "msdos", "ramfs", "ecryptfs", "ceph", "lustre", "afs")
#: How far above a path that is gone by now (engines try in directories of their own) its file system is looked for.
_LEVELS_UP = 2


def line_of(merged: str) -> Line | None:
    """The mount that an engine would make at *merged*, when its layers are here."""
    own = os.path.dirname(merged)
    upper, work = os.path.join(own, "diff"), os.path.join(own, "work")
    if os.path.basename(merged) != "merged" or not (os.path.isdir(upper) and os.path.isdir(work)):
        return None
    try:
        with open(os.path.join(own, "lower"), "rb") as file:
            named = os.fsdecode(file.read(_LOWER_MAX)).strip()
    except OSError:
        return None
    store = os.path.dirname(own)
    lowers = [os.path.join(store, name) for name in named.split(":") if name]
    return Line(stack=Stack(lowers, upper=upper, work=work), target=merged, data="", makes_target=True, by_root=True)


def settled(finding: Finding) -> Finding:
    """*finding*, made certain when it is a guess that the file system under its path settles."""
    path = next((path for path in finding.error.paths if os.path.isabs(path)), None)
    possible = {each.cause for each in finding.candidates}
    if path is None or not possible & {errors.UpperOnOverlay, errors.UpperFileSystemPoor}:
        return finding
    mount = _mount_under(path)
    cause = None if mount is None else _cause(mount)
    if mount is None or cause not in possible or cause is None:
        return finding
    error = cause(
        "{} lies on " + errors.literal(mount.fs_type) + " here, mounted at {}, which cannot carry an upper",
        path,
        mount.mount_point,
        hint="take a directory on ext4, xfs, btrfs or tmpfs; for an engine, its data directory or a volume there",
    )
    return replace(finding, error=error, certainty=Certainty.CERTAIN, candidates=())


def _cause(mount: Mount) -> type[OvlError] | None:
    if mount.fs_type == "overlay":
        return errors.UpperOnOverlay
    poor = mount.fs_type in _POOR or mount.fs_type.startswith("fuse")
    return errors.UpperFileSystemPoor if poor else None


def _mount_under(path: str) -> Mount | None:
    for _ in range(_LEVELS_UP + 1):
        try:
            return mounts.mount_at(path)
        except (OSError, ValueError):
            path = os.path.dirname(path)
            if path == "/":
                return None
    return None
