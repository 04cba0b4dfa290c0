"""What containerd's two databases say, checked field by field.

``meta.db`` has, for every namespace, images, containers, snapshots by their keys, leases (``metadata/buckets.go``);
``metadata.db`` of a snapshotter has its own names of snapshots and the numbers of their directories
(``snapshots/storage/bolt.go``). Numbers are varints of Go's encoding/binary, times what ``time.MarshalBinary`` makes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, TypeVar

from ovlctl.errors import StoreDamaged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ovlctl.engines.bolt import Bolt, Bucket
    from ovlctl.errors import OvlError

    _T = TypeVar("_T")

# Seconds from Go's year 1 to 1970.
_EPOCH = 62_135_596_800
_TIME_LENGTHS = {1: 15, 2: 16}  # by version
_VARINT_BYTES = 10


class Kind(IntEnum):
    """Of a snapshot, as ``snapshots.Kind`` of containerd numbers them."""

    VIEW = 1
    ACTIVE = 2
    COMMITTED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A snapshot, as the snapshotter has it.

    Attributes:
        name: Its own name for it: ``NAMESPACE/SERIAL/KEY``.
        number: Of its directory.
        parent: The name of the one below.
        size: Bytes, written down when it was committed.
    """

    name: str
    number: int
    kind: Kind
    parent: str | None
    size: int | None
    created_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A snapshot, as a namespace has it: its key there, and what the snapshotter calls it."""

    key: str
    name: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """A name of an image, and what it stands for."""

    name: str
    digest: str
    media_type: str
    size: int | None
    created_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRecord:
    """A container; what is not said is empty."""

    id: str
    image: str
    snapshotter: str
    key: str
    labels: Mapping[str, str]
    created_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What keeps snapshots: by snapshotter, their keys."""

    id: str
    labels: Mapping[str, str]
    keys: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """A namespace.

    Attributes:
        snapshots: By snapshotter.
    """

    name: str
    images: tuple[ImageRecord, ...]
    containers: tuple[ContainerRecord, ...]
    snapshots: Mapping[str, tuple[Snapshot, ...]]
    leases: tuple[Lease, ...]


@dataclass(frozen=True, slots=True)
class Records:
    """Reads a database, and keeps an error for each thing in it that could not be read.

    Args:
        bolt: The database.
        path: Where it is from, for errors.
    """

    bolt: Bolt
    path: str
    troubles: list[OvlError] = field(default_factory=list)

    def namespaces(self) -> tuple[Namespace, ...]:
        """Of ``meta.db``, its namespaces."""
        return tuple(
            Namespace(
                name=name,
                images=tuple(self._each(bucket, self._image, b"images")),
                containers=tuple(self._each(bucket, _container, b"containers")),
                snapshots={
                    snapshotter: tuple(self._each(below, self._snapshot))
                    for snapshotter, below in self._each(bucket, _itself, b"snapshots")
                },
                leases=tuple(self._each(bucket, _lease, b"leases")),
            )
            for name, bucket in self._each(self.bolt.root, _itself, b"v1")
        )

    def stored(self) -> tuple[Stored, ...]:
        """Of a snapshotter's ``metadata.db``, its snapshots."""
        return tuple(self._each(self.bolt.root, self._stored, b"v1", b"snapshots"))

    def _each(self, bucket: Bucket, read: Callable[[str, Bucket], _T], *path: bytes) -> Iterator[_T]:
        try:
            found = bucket.bucket(*path)
            below = found.buckets if found is not None else {}
        except StoreDamaged as error:
            self.troubles.append(error)
            return
        for key, one in below.items():
            try:
                made = read(os.fsdecode(key), one)
            except StoreDamaged as error:
                self.troubles.append(error)
            else:
                yield made

    def _image(self, name: str, bucket: Bucket) -> ImageRecord:
        target = bucket.bucket(b"target")
        if target is None or not _text(target, b"digest"):
            raise StoreDamaged("{} has an image without a target: {}", self.path, name)
        return ImageRecord(
            name=name,
            digest=_text(target, b"digest"),
            media_type=_text(target, b"mediatype"),
            size=_signed(target.get(b"size")),
            created_ns=nanoseconds(bucket.get(b"createdat")),
        )

    def _snapshot(self, key: str, bucket: Bucket) -> Snapshot:
        name = _text(bucket, b"name")
        if not name:
            raise StoreDamaged("{} has a snapshot without a name: {}", self.path, key)
        return Snapshot(key=key, name=name, labels=_labels(bucket))

    def _stored(self, name: str, bucket: Bucket) -> Stored:
        number = _unsigned(bucket.get(b"id"))
        kind = bucket.get(b"kind") or b"\0"
        if number is None or kind[0] not in set(Kind):
            raise StoreDamaged("{} has a snapshot without a number or kind: {}", self.path, name)
        return Stored(
            name=name,
            number=number,
            kind=Kind(kind[0]),
            parent=_text(bucket, b"parent") or None,
            size=_signed(bucket.get(b"size")),
            created_ns=nanoseconds(bucket.get(b"createdat")),
        )


def _itself(name: str, bucket: Bucket) -> tuple[str, Bucket]:
    return name, bucket


def _container(name: str, bucket: Bucket) -> ContainerRecord:
    return ContainerRecord(
        id=name,
        image=_text(bucket, b"image"),
        snapshotter=_text(bucket, b"snapshotter"),
        key=_text(bucket, b"snapshotKey"),
        labels=_labels(bucket),
        created_ns=nanoseconds(bucket.get(b"createdat")),
    )


def _lease(name: str, bucket: Bucket) -> Lease:
    held = bucket.bucket(b"snapshots")
    below = held.buckets if held is not None else {}
    return Lease(
        id=name,
        labels=_labels(bucket),
        keys={os.fsdecode(key): frozenset(map(os.fsdecode, one.values)) for key, one in below.items()},
    )


def _labels(bucket: Bucket) -> Mapping[str, str]:
    labels = bucket.bucket(b"labels")
    return {} if labels is None else {os.fsdecode(key): os.fsdecode(value) for key, value in labels.values.items()}


def _text(bucket: Bucket, key: bytes) -> str:
    return os.fsdecode(bucket.get(key) or b"")


def _unsigned(value: bytes | None) -> int | None:
    found = 0
    for place, byte in enumerate((value or b"")[:_VARINT_BYTES]):
        found |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:  # noqa: PLR2004  the bit that says that more follow
            return found if found < 1 << 64 else None
    return None


def _signed(value: bytes | None) -> int | None:
    # Signs are folded in: 0, -1, 1, -2, ... What is less than nothing is no size.
    found = _unsigned(value)
    return None if found is None or found & 1 else found >> 1


def nanoseconds(value: bytes | None) -> int | None:
    """Since the epoch, of a time that Go's ``time.MarshalBinary`` made; None for what is none, and for its zero."""
    if not value or len(value) != _TIME_LENGTHS.get(value[0]):
        return None
    seconds = int.from_bytes(value[1:9], "big", signed=True)
    if not seconds:
        return None
    return (seconds - _EPOCH) * 10**9 + int.from_bytes(value[9:13], "big", signed=True)
