"""containerd's databases read together: what its namespaces have, and what its snapshotters do, of about one moment."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ovlctl.engines import bolt
from ovlctl.engines.containerd_records import Records
from ovlctl.engines.documents import is_name
from ovlctl.engines.gathering import Gathering
from ovlctl.errors import StoreDamaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ovlctl.engines.containerd_records import Namespace, Snapshot, Stored
    from ovlctl.engines.files import Files
    from ovlctl.errors import OvlError

METADATA = "io.containerd.metadata.v1.bolt/meta.db"
_SNAPSHOTTERS = "io.containerd.snapshotter.v1"
#: What containerd takes when nothing else is said.
DEFAULT = "overlayfs"
#: Snapshotters that stack snapshots with an overlay, and keep them as overlayfs does; where, in their directories.
OVERLAYS = {DEFAULT: "", "fuse-overlayfs": "", "stargz": "snapshotter/"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Databases:
    """What containerd knows.

    Attributes:
        stored: By the snapshotter's name, of those that are overlays.
        others: Names of snapshotters that are used and are no overlays.
    """

    namespaces: tuple[Namespace, ...]
    stored: Mapping[str, tuple[Stored, ...]]
    others: tuple[str, ...]

    def snapshots(self, snapshotter: str) -> Iterator[tuple[Namespace, Snapshot]]:
        """Every snapshot of every namespace."""
        return _snapshots(self.namespaces, snapshotter)


def directory(snapshotter: str) -> str:
    """Where a snapshotter keeps what it has, below containerd's root."""
    return f"{_SNAPSHOTTERS}.{snapshotter}/{OVERLAYS.get(snapshotter, '')}".rstrip("/")


def read(gathering: Gathering) -> Databases | None:
    """The databases below a root; None when there are none."""
    present = [name for name in OVERLAYS if gathering.one(_database(name), gathering.files.status) is not None]
    exists = gathering.one(METADATA, gathering.files.status) is not None
    if not exists and not present and not gathering.troubles:
        return None
    if not exists and not gathering.troubles:
        gathering.tell(StoreDamaged("{} is not there", gathering.files.path(METADATA)))
    namespaces, troubles = _namespaces(gathering.files)
    stored = {name: gathering.one(_database(name), partial(_stored, gathering)) or () for name in present}
    if any(_names(namespaces, name) != {one.name for one in stored[name]} for name in present):
        # A namespace gets to know a snapshot after the snapshotter does, and forgets it before. So what one database
        # has and another has not may be on its way; what both readings lack is lost.
        before, (namespaces, troubles) = namespaces, _namespaces(gathering.files)
        for name in present:
            lost = (_names(before, name) & _names(namespaces, name)) - {one.name for one in stored[name]}
            _tell_lost(gathering, namespaces, name, lost)
    gathering.troubles.extend(troubles)
    used = {name for namespace in namespaces for name in namespace.snapshots}
    used |= {container.snapshotter for namespace in namespaces for container in namespace.containers}
    others = sorted(name for name in used - {*stored, DEFAULT} if is_name(name))
    return Databases(namespaces=namespaces, stored=stored or {DEFAULT: ()}, others=tuple(others))


def _database(snapshotter: str) -> str:
    return f"{directory(snapshotter)}/metadata.db"


def _stored(gathering: Gathering, name: str) -> tuple[Stored, ...]:
    records = Records(bolt.snapshot(gathering.files, name), gathering.files.path(name))
    found = records.stored()
    gathering.troubles.extend(records.troubles)
    return found


def _namespaces(files: Files) -> tuple[tuple[Namespace, ...], list[OvlError]]:
    gathering = Gathering(files)
    read_it = gathering.one(METADATA, lambda name: Records(bolt.snapshot(files, name), files.path(name)))
    if read_it is None:
        return (), gathering.troubles
    return read_it.namespaces(), read_it.troubles


def _names(namespaces: Iterable[Namespace], snapshotter: str) -> set[str]:
    return {snapshot.name for _, snapshot in _snapshots(namespaces, snapshotter)}


def _tell_lost(gathering: Gathering, namespaces: Iterable[Namespace], snapshotter: str, lost: set[str]) -> None:
    # Nothing is lost of what is damaged, and told so.
    if gathering.troubles:
        return
    path = gathering.files.path(_database(snapshotter))
    for namespace, snapshot in _snapshots(namespaces, snapshotter):
        if snapshot.name in lost:
            missing = (path, snapshot.key, namespace.name)
            gathering.tell(StoreDamaged("{} has no snapshot {}, which the namespace {} has", *missing))


def _snapshots(namespaces: Iterable[Namespace], snapshotter: str) -> Iterator[tuple[Namespace, Snapshot]]:
    for namespace in namespaces:
        for snapshot in namespace.snapshots.get(snapshotter, ()):
            yield namespace, snapshot
