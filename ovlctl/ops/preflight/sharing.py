"""Whether a layer is in use by a live overlay, and whose.

The kernel refuses a shared upper only with index=on and otherwise just warns in a log; the result is undefined, so
ovlctl refuses always. :mod:`ovlctl.ops.preflight.in_use` decides; the mount table only says what to call it, and which
of many lowers are worth asking about.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.ops import busy
from ovlctl.ops.preflight.in_use import Question, in_use
from ovlctl.ops.relative import layers_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.preflight.places import Identity, Place


def upper_conflict(
    upper: Place, question: Question | None, claims: Mapping[Identity, str]
) -> Iterator[errors.OvlError]:
    """Whether a live overlay has this upper.

    Args:
        upper: The upper.
        question: About it, asked before; None asks only when an overlay here claims it.
        claims: What the overlays of this namespace say they write to.
    """
    claimed = claims.get(upper.identity)
    if question.answer() if question is not None else claimed is not None and in_use(upper.path):
        yield upper_in_use("upper", upper, claimed)


def work_conflict(work: Place, claims: Mapping[Identity, str], *, hears: bool) -> Iterator[errors.OvlError]:
    """Whether an overlay works in this directory.

    Args:
        work: The work directory.
        claims: What the overlays of this namespace say they write to.
        hears: Whether the kernel's log can be read: of other namespaces it then tells when it mounts.
    """
    claimed = claims.get(work.identity)
    if (claimed is not None or not hears) and in_use(work.path):
        yield upper_in_use("work directory", work, claimed)


def lower_conflicts(lowers: Sequence[Place], claims: Mapping[Identity, str]) -> Iterator[errors.OvlError]:
    """Every lower that an overlay here writes to; what other namespaces do, the kernel says when it mounts."""
    answers: dict[Identity, bool] = {}
    for lower in lowers:
        for path, identity in lower.ancestry():
            # A false claim costs a question, and no more.
            if identity in claims and answers.setdefault(identity, in_use(path)):
                yield _lower_in_use(lower, claims[identity])
                break


def written_lower(lowers: Sequence[Place]) -> errors.LowerInUse | None:
    """The error for the first of *lowers* that any live overlay writes to; asks about every directory above them."""
    answers: dict[Identity, bool] = {}
    for lower in lowers:
        for path, identity in lower.ancestry():
            if identity not in answers:
                answers[identity] = in_use(path)
            if answers[identity]:
                return _lower_in_use(lower, None, written=path)
    return None


def upper_in_use(kind: str, place: Place, mount_point: str | None) -> errors.UpperInUse:
    """The error for an upper or a work directory that a live overlay has; *mount_point* as far as it is known."""
    if mount_point is None:
        line = busy.Line()
        which = line.place(place.path)
        whose, hint = busy.user_of_layer(place.path, line)
        return errors.UpperInUse(
            f"the {kind} {which} belongs to a live overlay that is not in this mount namespace's table{whose}",
            *line.paths,
            errno=errno.EBUSY,
            hint=hint
            or "it is mounted in another namespace, or was unmounted lazily and lives until its last user ends",
        )
    return errors.UpperInUse(
        f"the {kind} {{}} belongs to the overlay mounted at {{}}; sharing it is undefined behaviour",
        place.path,
        mount_point,
        errno=errno.EBUSY,
        hint="`ovlctl umount {1}` first, or use a directory of its own",
    )


def _lower_in_use(lower: Place, mount_point: str | None, *, written: str | None = None) -> errors.LowerInUse:
    if mount_point is None:
        line = busy.Line()
        which = line.place(lower.path)
        whose, hint = busy.user_of_layer(written or lower.path, line)
        return errors.LowerInUse(
            f"the lower {which} is written to by a live overlay that is not in this mount namespace's table{whose}",
            *line.paths,
            errno=errno.EBUSY,
            hint=f"{hint}, or use a copy" if hint else "wait until that one has ended, or use a copy",
        )
    return errors.LowerInUse(
        "the lower {} is written to by the overlay mounted at {}; the merged view would be undefined",
        lower.path,
        mount_point,
        errno=errno.EBUSY,
        hint="use the merged view {1} as the lower, or `ovlctl umount {1}` first",
    )


def written(table: Sequence[Mount]) -> dict[Identity, str]:
    """What the overlays of this namespace say they write to, with their mount points."""
    found: dict[Identity, str] = {}
    for mount in table:
        if mount.fs_type == "overlay":
            _, writes = layers_of(mount)
            for path in writes:
                identity = _identity(path)
                if identity is not None:
                    found.setdefault(identity, mount.mount_point)
    return found


def _identity(path: str) -> Identity | None:
    try:
        status = os.stat(path)
    except OSError:
        # A path of another root or working directory, or of a detached mount.
        return None
    return (status.st_dev, status.st_ino)
