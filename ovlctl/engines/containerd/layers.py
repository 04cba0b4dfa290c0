"""Snapshots of containerd as layers: both databases joined by name, what each snapshot is for, and what keeps it."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from ovlctl.engines.containerd.databases import directory
from ovlctl.engines.containerd.records import Kind
from ovlctl.engines.files import misleads
from ovlctl.engines.ordering import distinct, lower_first
from ovlctl.engines.values import Layer, Role
from ovlctl.errors import StoreDamaged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ovlctl.engines.containerd.databases import Databases
    from ovlctl.engines.containerd.records import Lease, Namespace, Snapshot, Stored
    from ovlctl.engines.files import Files
    from ovlctl.engines.gathering import Gathering

_ROOT = "containerd.io/gc.root"
_EXPIRES = "containerd.io/gc.expire"
# A lease of BuildKit's: for one of a build, or one for every record of its cache, which keeps that and nothing behind.
_OF_BUILDKIT = "buildkit/"
_FLAT = "containerd.io/gc.flat"
_BUILDKIT = "buildkit"


@dataclass(frozen=True, kw_only=True)
class Snapshots:
    """The snapshots of one snapshotter; none of one that is no overlay.

    Attributes:
        digests: Of layers of images, by the keys that their snapshots have.
    """

    databases: Databases
    snapshotter: str
    digests: Mapping[str, str]

    @cached_property
    def ids(self) -> Mapping[str, str]:
        """The ids of layers by the snapshotter's names; of one that several namespaces share, the first's."""
        return {
            one.name: f"{keys[0][0].name}/{keys[0][1].key}" if (keys := self._keys.get(one.name)) else f"?/{one.name}"
            for one in self._stored
        }

    def id(self, namespace: str, key: str) -> str | None:
        """The id of the layer that a namespace calls *key*; None when it has none."""
        return self._by_key.get((namespace, key))

    def layers(self, gathering: Gathering) -> tuple[Layer, ...]:
        """All of them, lower ones first; one trouble for each that is none."""
        if not self._stored or not gathering.is_place(self.places):
            return ()
        found = (gathering.one(self._place(one), partial(self._layer, gathering.files, one)) for one in self._stored)
        return lower_first(distinct((one for one in found if one is not None), gathering), gathering)

    @property
    def places(self) -> str:
        """Where the directories of snapshots are, below containerd's root."""
        return f"{directory(self.snapshotter)}/snapshots"

    @property
    def _stored(self) -> tuple[Stored, ...]:
        return self.databases.stored.get(self.snapshotter, ())

    @cached_property
    def _by_key(self) -> Mapping[tuple[str, str], str]:
        return {
            (namespace.name, snapshot.key): self.ids[snapshot.name]
            for namespace, snapshot in self.databases.snapshots(self.snapshotter)
            if snapshot.name in self.ids
        }

    def _place(self, one: Stored) -> str:
        return f"{self.places}/{one.number}"

    def _layer(self, files: Files, one: Stored, place: str) -> Layer:
        status = files.status(f"{place}/fs")
        if status is not None and stat.S_ISLNK(status.st_mode):
            raise misleads(files.path(f"{place}/fs"))
        if status is not None and not stat.S_ISDIR(status.st_mode):
            raise StoreDamaged("{} is no directory", files.path(f"{place}/fs"))
        keys = self._keys.get(one.name, ())
        return Layer(
            id=self.ids[one.name],
            name=str(one.number),
            parent=None if one.parent is None else self.ids.get(one.parent, f"?/{one.parent}"),
            role=self._role(one),
            directory=files.path(place),
            diff=files.path(f"{place}/fs"),
            work=files.path(f"{place}/work") if one.kind is Kind.ACTIVE else None,
            digest=next((self.digests[snapshot.key] for _, snapshot in keys if snapshot.key in self.digests), None),
            size=one.size if one.kind is Kind.COMMITTED else None,
            created_ns=one.created_ns,
            held=tuple(word for namespace, snapshot in keys for word in self._held(namespace, snapshot)),
        )

    @cached_property
    def _keys(self) -> Mapping[str, list[tuple[Namespace, Snapshot]]]:
        found: dict[str, list[tuple[Namespace, Snapshot]]] = {}
        for namespace, snapshot in self.databases.snapshots(self.snapshotter):
            found.setdefault(snapshot.name, []).append((namespace, snapshot))
        return found

    def _role(self, one: Stored) -> Role:
        keys = self._keys.get(one.name, ())
        if one.kind is Kind.ACTIVE and any((namespace.name, found.key) in self._used for namespace, found in keys):
            return Role.WRITABLE
        if one.kind is Kind.COMMITTED and (one.name in self._below or any(k.key in self.digests for _, k in keys)):
            return Role.IMAGE
        built = any(
            namespace.name == _BUILDKIT or any(map(_is_of_buildkit, self._leases(namespace, found)))
            for namespace, found in keys
        )
        return Role.BUILD_CACHE if built else Role.OTHER

    @cached_property
    def _used(self) -> frozenset[tuple[str, str]]:
        # Namespaces and keys of the snapshots of containers.
        return frozenset(
            (namespace.name, container.key)
            for namespace in self.databases.namespaces
            for container in namespace.containers
            if container.snapshotter == self.snapshotter
        )

    @cached_property
    def _below(self) -> frozenset[str]:
        # Names of the snapshots below those of containers, whose image may have lost its name.
        parents = {one.name: one.parent for one in self._stored}
        found: set[str] = set()
        for namespace, snapshot in self.databases.snapshots(self.snapshotter):
            if (namespace.name, snapshot.key) in self._used:
                parent = parents.get(snapshot.name)
                while parent is not None and parent not in found:
                    found.add(parent)
                    parent = parents.get(parent)
        return frozenset(found)

    def _leases(self, namespace: Namespace, snapshot: Snapshot) -> Iterator[Lease]:
        return (
            lease for lease in namespace.leases if snapshot.key in lease.keys.get(self.snapshotter, frozenset[str]())
        )

    def _held(self, namespace: Namespace, snapshot: Snapshot) -> Iterator[str]:
        yield from (f"label {name}" for name in sorted(snapshot.labels) if name.startswith(_ROOT))
        for lease in self._leases(namespace, snapshot):
            until = lease.labels.get(_EXPIRES)
            yield f"lease {lease.id}" + (f" until {until}" if until else "")


def _is_of_buildkit(lease: Lease) -> bool:
    return any(name.startswith(_OF_BUILDKIT) or name == _FLAT for name in lease.labels)
