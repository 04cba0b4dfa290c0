"""Whether a layer is in use by an overlay that is mounted now, anywhere.

The kernel refuses a shared upper only with index=on and otherwise just warns in a log; the result is undefined, so
ovlctl refuses always. Mounts of every namespace that /proc shows are looked at. What no table shows (an overlay
detached lazily that somebody still uses) the kernel still knows; its warning is taken for an error after the mount.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.kernel import mounts, namespaces
from ovlctl.overlay.live import LiveStack, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.preflight.places import Place
    from ovlctl.overlay.live import Defaults


def conflicts(
    lowers: Sequence[Place], upper: Place | None, work: Place | None, defaults: Defaults
) -> Iterator[errors.OvlError]:
    """Every layer that a live overlay writes to, or works in."""
    users = _users(defaults)
    if not users:
        return
    for kind, place in (("upper", upper), ("work directory", work)):
        if place is not None and (found := users.get(_identity(place.status))) is not None:
            yield errors.UpperInUse(
                f"the {kind} {{}} belongs to the overlay mounted at {{}}; sharing it is undefined behaviour",
                place.path,
                found,
                errno=errno.EBUSY,
                hint="`ovlctl umount {1}` first, or use a directory of its own",
            )
    for lower in lowers:
        found = next((users[key] for key in _ancestry(lower) if key in users), None)
        if found is not None:
            yield errors.LowerInUse(
                "the lower {} is written to by the overlay mounted at {}; the merged view would be undefined",
                lower.path,
                found,
                errno=errno.EBUSY,
                hint="use the merged view {1} as the lower, or `ovlctl umount {1}` first",
            )


def _users(defaults: Defaults) -> dict[tuple[int, int], str]:
    """The uppers and work directories of all live overlays, each with a mount point that uses it."""
    found: dict[tuple[int, int], str] = {}
    here = namespaces.mount_namespace_id()
    for mount in mounts.mounts("overlay"):
        for path in _written(mount, defaults):
            _note(found, path, mount.mount_point)
    for namespaced in mounts.mounts_of_all_namespaces("overlay").mounts:
        if namespaced.namespace != here:
            root = f"/proc/{namespaced.pid}/root"
            for path in _written(namespaced.mount, defaults):
                _note(found, root + path, namespaced.mount.mount_point)
    return found


def _note(found: dict[tuple[int, int], str], path: str, mount_point: str) -> None:
    try:
        status = os.stat(path)
    except OSError:
        # A path of another root or working directory, or of a detached mount: not ours by that name.
        return
    found.setdefault(_identity(status), mount_point)


def _written(mount: Mount, defaults: Defaults) -> Iterator[str]:
    live = parse(mount.options, defaults)
    for shown in (live.upper, live.work):
        if shown is not None:
            yield from (path for path in LiveStack.readings(shown) if path.startswith("/"))


def _ancestry(place: Place) -> Iterator[tuple[int, int]]:
    """The directory itself and all above it in the same mount."""
    yield _identity(place.status)
    path = place.path
    while path not in {place.mount.mount_point, "/"}:
        path = os.path.dirname(path)
        yield _identity(os.stat(path))


def _identity(status: os.stat_result) -> tuple[int, int]:
    return (status.st_dev, status.st_ino)
