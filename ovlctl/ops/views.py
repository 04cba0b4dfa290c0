"""The mounts of one stack that lie over each other at its target, as they do in the middle of a remount."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.kernel import mounts, namespaces
from ovlctl.overlay.live import LiveStack, layers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.records import Record


def views(record: Record) -> tuple[Mount, ...]:
    """The overlays at the target of *record* that ovlctl mounted for it, from the bottom to the one that is seen."""
    try:
        top = mounts.mount_at(record.target)
    except OSError:
        return ()
    table = {mount.mount_id: mount for mount in mounts.mounts()}
    found: list[Mount] = []
    at: Mount | None = top
    while at is not None and at.mount_point == record.target:
        if (at.fs_type, at.source) == ("overlay", record.source):
            found.append(at)
        at = table.get(at.parent_id) if at.parent_id != at.mount_id else None
    return tuple(reversed(found))


def has_upper(mount: Mount) -> bool:
    """Whether the overlay *mount* has an upper."""
    return layers(mount.options).upper is not None


def same(one: Mount, other: Mount) -> bool:
    """Whether both are one mount, seen at two moments."""
    return (one.mount_id, one.unique_id) == (other.mount_id, other.unique_id)


def elsewhere(mount: Mount) -> Iterator[tuple[int, mounts.NamespacedMount]]:
    """Other mounts of the same superblock, each with the mount namespace it is in; 0 stands for the own one."""
    here = namespaces.mount_namespace_id()
    for each in mounts.mounts_of_all_namespaces("overlay"):
        own = each.namespace == here
        if each.mount.dev == mount.dev and not (own and each.mount.mount_id == mount.mount_id):
            yield (0 if own else each.namespace), each


def users(mount: Mount) -> Iterator[Mount]:
    """Overlays of this namespace that have something inside *mount* as a layer."""
    point = mount.mount_point.rstrip("/")
    for other in mounts.mounts("overlay"):
        if other.mount_point == mount.mount_point:
            continue
        shown = layers(other.options)
        uppers = LiveStack.readings(shown.upper) if shown.upper is not None else ()
        if any(path == point or path.startswith(point + "/") for path in (*shown.lowers, *shown.data_only, *uppers)):
            yield other
