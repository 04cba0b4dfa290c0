"""Who would not see a change: processes that have a file mapped, or a layer's own file open.

An old descriptor of the merged file sees what is written after the copy-up; a mapping made before it does not, nor does
one that is made later through the old descriptor. Whoever has the layer's own file never sees the upper.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.namespaces import in_initial_user_namespace
from ovlctl.kernel.object_users import Sought, UseKind, uses
from ovlctl.kernel.pagemap import shows
from ovlctl.ops.explain.terms import Staleness, Through
from ovlctl.ops.explain.values import User, Users
from ovlctl.overlay.layers import Role
from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.kernel.object_users import Use
    from ovlctl.ops.explain.file_systems import FileSystems
    from ovlctl.ops.explain.values import LayerLook
    from ovlctl.ops.reading import View
    from ovlctl.overlay.resolution import Place, Resolution
    from ovlctl.overlay.tree import Attributes


def users(
    view: View, found: Resolution, looks: Sequence[LayerLook], seen: Attributes | None, file_systems: FileSystems
) -> Users | None:
    """Who has the file mapped, or the lower's own file open or mapped; None for what is no file that can be changed.

    Args:
        view: The stack.
        found: Resolved.
        looks: What each layer has there.
        seen: What lstat(2) through the mount says, when it is mounted and that is the same object.
        file_systems: The stack's.
    """
    if found.kind is not Kind.FILE or view.layers.upper is None:
        return None
    sought: list[tuple[Through, Sought]] = []
    originals = _originals(found, looks)
    mount = view.subject.mount
    if seen is not None and mount is not None:
        path = f"{(view.subject.root or '').rstrip('/')}/{found.path}"
        merged = Sought(
            dev=seen.dev,
            ino=seen.ino,
            superblocks=frozenset({mount.dev}),
            numbers=None,
            paths=frozenset({path}),
            descriptors=False,
        )
        sought.append((Through.MERGED, merged))
        # Older kernels (5.10) show what is mapped through the mount with the number of the layer's file.
        layers = [(look.candidate.place, look.candidate.attributes) for look in looks]
        for place, attributes in dict.fromkeys((*layers, *originals)):
            if attributes is not None and attributes.kind is Kind.FILE:
                shown = _sought(place, attributes, file_systems)
                below = replace(merged, superblocks=shown.superblocks, numbers=shown.numbers)
                sought.append((Through.MERGED, below))
    for place, attributes in originals:
        sought.append((Through.LAYER, _sought(place, attributes, file_systems)))
    everything = uses([each for _, each in sought], but_not={os.getpid()})
    judged = ((use, sought[use.sought][0]) for use in everything.found)
    told = [(use, through, _staleness(use, through, found, looks)) for use, through in judged]
    return Users(
        found=tuple(
            User(use=use, through=through, staleness=staleness)
            for use, through, staleness in told
            if staleness is not None
        ),
        unreadable=everything.unreadable,
        root_sees_more=os.geteuid() != 0 or not in_initial_user_namespace(),
    )


def _originals(found: Resolution, looks: Sequence[LayerLook]) -> list[tuple[Place, Attributes]]:
    """The lowers' files whose data are, or were before the copy-up, those of the merged file."""
    if found.data is not None and found.data.layer.role is not Role.UPPER:
        attributes = found.data.layer.tree.lstat(found.data.path)
        return [] if attributes is None else [(found.data, attributes)]
    for look in looks:
        if look.origin is not None:
            attributes = look.origin.layer.tree.lstat(look.origin.path)
            return [] if attributes is None else [(look.origin, attributes)]
    for look in looks:
        seen = look.candidate
        if seen.attributes is not None and seen.place.layer.role is not Role.UPPER:
            return [(seen.place, seen.attributes)] if seen.attributes.kind is Kind.FILE else []
    return []


def _sought(place: Place, attributes: Attributes, file_systems: FileSystems) -> Sought:
    devices = {(os.major(attributes.dev), os.minor(attributes.dev))}
    # btrfs has a device number per subvolume, and maps shows that of the superblock.
    if (superblock := file_systems.of(place.layer)) is not None:
        devices.add(superblock.dev)
    return Sought(
        dev=attributes.dev,
        ino=attributes.ino,
        superblocks=frozenset(devices),
        numbers=frozenset({attributes.ino}),
    )


def _staleness(use: Use, through: Through, found: Resolution, looks: Sequence[LayerLook]) -> Staleness | None:
    """What a process sees of changes; None when it is known to see them all."""
    if through is Through.LAYER:
        return Staleness.NEVER
    if found.data is None or found.data.layer.role is not Role.UPPER:
        return Staleness.BLOCKS if use.kind is UseKind.EXE else Staleness.WILL_MISS
    seen = _shows_original(use, found, looks)
    return {Answer.YES: Staleness.MISSES, Answer.NO: None, Answer.UNKNOWN: Staleness.MAY_MISS}[seen]


def _shows_original(use: Use, found: Resolution, looks: Sequence[LayerLook]) -> Answer:
    # Whether a mapping of the merged file still shows the lower's pages. NO only where it shows the upper's.
    if use.mapped is None or found.data is None:
        return Answer.UNKNOWN
    with suppress(OSError):
        for place, _ in _originals(found, looks):
            if _shows(use.pid, use.mapped, place) is Answer.YES:
                return Answer.YES
        if _shows(use.pid, use.mapped, found.data) is Answer.YES:
            return Answer.NO
    return Answer.UNKNOWN


def _shows(pid: int, mapped: tuple[int, int, int], place: Place) -> Answer:
    with place.layer.tree.open(place.path) as opened:
        return shows(pid, mapped, opened.fileno())
