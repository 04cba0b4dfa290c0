"""Owners as they are, for deeds that were done in a user namespace.

There every id but the own one is shown as nobody's. Whoever asked is outside and sees what they are.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from ovlctl.kernel import idmap
from ovlctl.kernel.openat2 import open_far_beneath

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.ops.trying.values import Deed, GroundLayer, LayerSight, Moment, Sight


def with_owners(deed: Deed, ground: Sequence[GroundLayer]) -> Deed:
    """*deed* with the owners that this process sees, where those in it are nobody.

    Lowers do not change, and what is in the scratch upper belongs to whoever asked, so that looking now is as good as
    having looked then; an object that is another one by now is left as it was told.
    """
    return replace(
        deed,
        before=tuple(_moment(moment, ground) for moment in deed.before),
        after=tuple(_moment(moment, ground) for moment in deed.after),
    )


def _moment(moment: Moment, ground: Sequence[GroundLayer]) -> Moment:
    layers = tuple(_layer(seen, moment.path, ground) for seen in moment.layers)
    merged, top = moment.merged, next((seen.sight for seen in layers if seen.has_object), None)
    if merged is not None and top is not None and _is_nobody(merged):
        merged = replace(merged, uid=top.uid, gid=top.gid)
    return replace(moment, merged=merged, layers=layers)


def _layer(seen: LayerSight, path: str, ground: Sequence[GroundLayer]) -> LayerSight:
    sight = seen.sight
    if sight is None or not _is_nobody(sight):
        return seen
    try:
        status = _looked_at(ground[seen.layer].directory, seen.path or path or ".")
    except OSError:
        return seen
    if (status.st_dev, status.st_ino) != (sight.dev, sight.ino):
        return seen
    return replace(seen, sight=replace(sight, uid=status.st_uid, gid=status.st_gid))


def _looked_at(directory: str, path: str) -> os.stat_result:
    top = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = open_far_beneath(top, path, os.O_PATH | os.O_NOFOLLOW)
        try:
            return os.fstat(found)
        finally:
            os.close(found)
    finally:
        os.close(top)


def _is_nobody(sight: Sight) -> bool:
    return sight.uid == idmap.overflow(idmap.Kind.UID) or sight.gid == idmap.overflow(idmap.Kind.GID)
