"""containerd's databases read together: what its namespaces have, and what its snapshotters do, of about one moment."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ovlctl.engines import bolt
from ovlctl.engines.containerd.records import Records
from ovlctl.engines.documents import is_name
from ovlctl.engines.gathering import Gathering
from ovlctl.errors import StoreDamaged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ovlctl.engines.containerd.records import Namespace, Snapshot, Stored
    from ovlctl.engines.files import Files

_T = TypeVar("_T")

METADATA = "io.containerd.metadata.v1.bolt/meta.db"
_AGAIN = 4
_PAUSE_S = 0.05
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
    moment, lost = _agreed(gathering.files, present)
    if not gathering.troubles and not moment.gathering.troubles:
        _tell_lost(gathering, moment, lost)
    gathering.troubles.extend(moment.gathering.troubles)
    used = {name for namespace in moment.namespaces for name, keys in namespace.snapshots.items() if keys}
    used |= {container.snapshotter for namespace in moment.namespaces for container in namespace.containers}
    others = sorted(name for name in used - {*moment.stored, DEFAULT} if is_name(name))
    return Databases(namespaces=moment.namespaces, stored=moment.stored or {DEFAULT: ()}, others=tuple(others))


class _Moment:
    # Both databases, one after the other.

    def __init__(self, files: Files, present: Iterable[str]) -> None:
        self.gathering = Gathering(files)
        self.namespaces = self._records(METADATA, Records.namespaces)
        self.stored = {name: self._records(_database(name), Records.stored) for name in present}

    @property
    def differs(self) -> bool:
        return any(self.known(name) != {one.name for one in stored} for name, stored in self.stored.items())

    def known(self, snapshotter: str) -> set[str]:
        # What namespaces have.
        return {snapshot.name for _, snapshot in _snapshots(self.namespaces, snapshotter)}

    @property
    def lost(self) -> set[tuple[str, str]]:
        # What namespaces have and the snapshotter has not: its name, and the snapshot's.
        return {
            (name, snapshot)
            for name in OVERLAYS
            for snapshot in self.known(name) - {one.name for one in self.stored.get(name, ())}
        }

    def _records(self, name: str, read_all: Callable[[Records], tuple[_T, ...]]) -> tuple[_T, ...]:
        files = self.gathering.files
        records = self.gathering.one(name, lambda at: Records(bolt.snapshot(files, at), files.path(at)))
        if records is None:
            return ()
        found = read_all(records)
        self.gathering.troubles.extend(records.troubles)
        return found


def _agreed(files: Files, present: Iterable[str]) -> tuple[_Moment, set[tuple[str, str]]]:
    # containerd changes the snapshotter's database first, then its own, each with a flush to the disk. What one has and
    # the other has not may be on its way, and is looked at again; what is lost every time is lost.
    moment = _Moment(files, present)
    lost = moment.lost
    for _ in range(_AGAIN):
        if moment.gathering.troubles or not moment.differs:
            break
        time.sleep(_PAUSE_S)
        moment = _Moment(files, present)
        lost &= moment.lost
    return moment, lost


def _database(snapshotter: str) -> str:
    return f"{directory(snapshotter)}/metadata.db"


def _tell_lost(gathering: Gathering, moment: _Moment, lost: set[tuple[str, str]]) -> None:
    absent = sorted({name for name, _ in lost} - set(moment.stored))
    for name in absent:
        missing = gathering.files.path(_database(name))
        hint = "`root_path` in /etc/containerd/config.toml puts a snapshotter elsewhere"
        gathering.tell(StoreDamaged("{} is not there, and containerd has snapshots of it", missing, hint=hint))
    for name in moment.stored:
        for namespace, snapshot in _snapshots(moment.namespaces, name):
            if (name, snapshot.name) in lost:
                where = (gathering.files.path(_database(name)), snapshot.key, namespace.name)
                gathering.tell(StoreDamaged("{} has no snapshot {}, which the namespace {} has", *where))


def _snapshots(namespaces: Iterable[Namespace], snapshotter: str) -> Iterator[tuple[Namespace, Snapshot]]:
    for namespace in namespaces:
        for snapshot in namespace.snapshots.get(snapshotter, ()):
            yield namespace, snapshot
