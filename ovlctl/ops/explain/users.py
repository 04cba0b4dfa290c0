"""Who would not see a change: processes that have a file mapped, or a layer's own file open.

An old descriptor of the merged file sees what is written after the copy-up; a mapping made before it does not, nor does
one that is made later through the old descriptor. Whoever has the layer's own file never sees the upper.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ovlctl.kernel.object_users import Sought, UseKind, uses
from ovlctl.ops.explain.values import Staleness, Through, User, Users
from ovlctl.overlay.layers import Role
from ovlctl.overlay.resolution import Rule
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
    """Who has the file mapped, or the lower's own file open or mapped; None for what is no regular file.

    Args:
        view: The stack.
        found: Resolved.
        looks: What each layer has there.
        seen: What lstat(2) through the mount says, when it is mounted and that is the same object.
        file_systems: The stack's.
    """
    if found.kind is not Kind.FILE:
        return None
    sought: list[tuple[Through, Sought]] = []
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
    for place, attributes in _originals(found, looks):
        sought.append((Through.LAYER, _sought(place, attributes, file_systems)))
    everything = uses([each for _, each in sought], but_not={os.getpid()})
    changed = _data_in_upper(found)
    return Users(
        found=tuple(
            User(
                use=use,
                through=sought[use.sought][0],
                staleness=_staleness(use, sought[use.sought][0], changed=changed),
            )
            for use in everything.found
        ),
        unreadable=everything.unreadable,
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


def _data_in_upper(found: Resolution) -> bool:
    return found.rule is Rule.INDEXED or (found.data is not None and found.data.layer.role is Role.UPPER)


def _staleness(use: Use, through: Through, *, changed: bool) -> Staleness:
    if through is Through.LAYER:
        return Staleness.NEVER
    if changed:
        return Staleness.MAY_MISS
    return Staleness.BLOCKS if use.kind is UseKind.EXE else Staleness.WILL_MISS
