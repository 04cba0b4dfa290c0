"""Whether a layer is in use by a live overlay, and whose.

The kernel refuses a shared upper only with index=on and otherwise just warns in a log; the result is undefined, so
ovlctl refuses always. :mod:`ovlctl.ops.preflight.in_use` decides; the mount tables of all namespaces only say where to
look and what to call it.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.kernel import mounts, namespaces
from ovlctl.ops.preflight.in_use import in_use
from ovlctl.overlay.live import LiveStack, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.preflight.places import Identity, Place
    from ovlctl.overlay.live import Defaults


def conflicts(
    lowers: Sequence[Place],
    upper: Place | None,
    work: Place | None,
    table: Sequence[Mount],
    defaults: Defaults,
) -> Iterator[errors.OvlError]:
    """Every layer that a live overlay writes to, or works in.

    Args:
        lowers: The lowers.
        upper: The upper, if it exists.
        work: The work directory, if it exists.
        table: The mounts of this namespace.
        defaults: Of the overlay module.
    """
    claims = _claims(table, defaults)
    if upper is not None and in_use(upper.path):
        yield _upper_in_use("upper", upper, claims.get(upper.identity))
    if work is not None and work.identity in claims and in_use(work.path):
        yield _upper_in_use("work directory", work, claims[work.identity])
    # Most claims are about other directories; a false one costs a question, and no more.
    answers: dict[Identity, bool] = {}
    for lower in lowers:
        for path, identity in lower.ancestry():
            if identity in claims:
                if identity not in answers:
                    answers[identity] = in_use(path)
                if answers[identity]:
                    yield _lower_in_use(lower, claims[identity])
                    break


def _upper_in_use(kind: str, place: Place, mount_point: str | None) -> errors.UpperInUse:
    if mount_point is None:
        return errors.UpperInUse(
            f"the {kind} {{}} belongs to a live overlay that is not in this mount namespace's table",
            place.path,
            errno=errno.EBUSY,
            hint="it is mounted in another namespace, or was unmounted lazily and lives until its last user ends",
        )
    return errors.UpperInUse(
        f"the {kind} {{}} belongs to the overlay mounted at {{}}; sharing it is undefined behaviour",
        place.path,
        mount_point,
        errno=errno.EBUSY,
        hint="`ovlctl umount {1}` first, or use a directory of its own",
    )


def _lower_in_use(lower: Place, mount_point: str | None) -> errors.LowerInUse:
    if mount_point is None:
        return errors.LowerInUse(
            "the lower {} is written to by a live overlay in another mount namespace; the merged view would be "
            "undefined",
            lower.path,
            errno=errno.EBUSY,
            hint="wait until it has ended, or use a copy",
        )
    return errors.LowerInUse(
        "the lower {} is written to by the overlay mounted at {}; the merged view would be undefined",
        lower.path,
        mount_point,
        errno=errno.EBUSY,
        hint="use the merged view {1} as the lower, or `ovlctl umount {1}` first",
    )


def _claims(table: Sequence[Mount], defaults: Defaults) -> dict[Identity, str | None]:
    """What live overlays say they write to: with their mount points here, without one in other namespaces."""
    found: dict[Identity, str | None] = {}
    for mount in table:
        if mount.fs_type == "overlay":
            for path in _written(mount, defaults):
                if (identity := _identity(path)) is not None:
                    found.setdefault(identity, mount.mount_point)
    here = namespaces.mount_namespace_id()
    for namespaced in mounts.mounts_of_all_namespaces("overlay"):
        if namespaced.namespace != here:
            for path in _written(namespaced.mount, defaults):
                if (identity := _identity(f"/proc/{namespaced.pid}/root{path}")) is not None:
                    found.setdefault(identity, None)
    return found


def _written(mount: Mount, defaults: Defaults) -> Iterator[str]:
    live = parse(mount.options, defaults)
    for shown in (live.upper, live.work):
        if shown is not None:
            yield from (path for path in LiveStack.readings(shown) if path.startswith("/"))


def _identity(path: str) -> Identity | None:
    try:
        status = os.stat(path)
    except OSError:
        # A path of another root or working directory, or of a detached mount.
        return None
    return (status.st_dev, status.st_ino)
