"""Images of containerd: from a name's target to the configuration, by blobs of its content store.

An index has images for several platforms, and often the blobs of one only. The one that a snapshot was made of is
taken, else the first whose blobs are there: whose machine the store is of says nothing of the one that reads it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ovlctl.engines.docker.images import steps
from ovlctl.engines.docker.layers import chain_id
from ovlctl.engines.documents import nanoseconds
from ovlctl.errors import StoreDamaged, literal
from ovlctl.oci import documents
from ovlctl.oci.blobs import Digest, is_digest
from ovlctl.oci.documents import Descriptor, MalformedError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator
    from typing import TypeVar

    from ovlctl.engines.files import Files
    from ovlctl.engines.values import Step

    _T = TypeVar("_T")

#: Where blobs are, below containerd's root.
CONTENT = "io.containerd.content.v1.content"
# Documents are read into memory; containerd itself reads no index or configuration over 8 MiB.
_DOCUMENT_MAX = 8 << 20
_CONFIGURATIONS = frozenset(
    {"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpackable:
    """An image for one platform.

    Attributes:
        diff_ids: Of its layers, lowest first.
        chains: The keys of the snapshots that it is unpacked to, lowest first.
        steps: How it was made.
        size: Bytes of its packed layers that are here.
        created_ns: As its configuration says.
    """

    diff_ids: tuple[str, ...]
    chains: tuple[str, ...]
    steps: tuple[Step, ...]
    size: int
    created_ns: int | None

    @property
    def top(self) -> str | None:
        """The key of its topmost snapshot; None for an image without layers."""
        return self.chains[-1] if self.chains else None


@dataclass(frozen=True, slots=True)
class ContentStore:
    """Blobs below the root of a containerd, read once each."""

    files: Files
    _images: dict[str, Unpackable | None] = field(default_factory=dict, repr=False)

    def image(self, target: str, media_type: str, unpacked: Container[str | None]) -> Unpackable | None:
        """The image that a name stands for; None when it is none, or is for platforms that are not here.

        Args:
            target: The digest of a manifest or an index.
            media_type: What containerd says it is.
            unpacked: Keys of snapshots.

        Raises:
            StoreDamaged: A blob is missing, or is not what its digest says, or is malformed.
            StoreForbidden, StoreMisleads: as :meth:`Files.open`.
        """
        if not is_digest(target):
            raise StoreDamaged("{} has an image whose target is no digest", self.files.path(CONTENT))
        first: Unpackable | None = None
        for manifest in self._manifests(target, media_type):
            image = self._of(manifest)
            if image is not None and image.top in unpacked:
                return image
            first = first or image
        return first

    def _manifests(self, target: str, media_type: str) -> Iterator[str]:
        # Indexes may be in indexes. Each is met once: many names for one would make the work endless.
        waiting: list[tuple[str, str]] = [(target, media_type)]
        met: set[str] = set()
        while waiting:
            digest, kind = waiting.pop()
            if digest in met:
                continue
            met.add(digest)
            described = _described(digest, kind)
            if described.is_manifest:
                yield digest
            elif described.is_index:
                below = self._parsed(digest, documents.index)
                known = (one for one in reversed(below) if one.is_index or one.is_manifest)
                waiting.extend((one.digest, one.media_type) for one in known if self._has(one.digest))

    def _of(self, manifest: str) -> Unpackable | None:
        if manifest not in self._images:
            self._images[manifest] = self._read(manifest)
        return self._images[manifest]

    def _read(self, digest: str) -> Unpackable | None:
        manifest = self._parsed(digest, documents.manifest)
        if manifest.config.media_type not in _CONFIGURATIONS:
            return None
        diff_ids = self._parsed(manifest.config.digest, documents.diff_ids)
        configuration = self._parsed(manifest.config.digest, json.loads)
        return Unpackable(
            diff_ids=diff_ids,
            chains=_chains(diff_ids),
            steps=steps(configuration),
            size=sum(self._size(layer.digest) for layer in manifest.layers),
            created_ns=nanoseconds(configuration.get("created")),
        )

    def _parsed(self, digest: str, parse: Callable[[bytes], _T]) -> _T:
        name = _blob(digest)
        try:
            content = self.files.bytes(name, limit=_DOCUMENT_MAX)
        except FileNotFoundError as error:
            raise StoreDamaged("{} of an image is not there", self.files.path(name)) from error
        algorithm, _, value = digest.partition(":")
        if hashlib.new(algorithm, content).hexdigest() != value:
            raise StoreDamaged("{} is not what its name is the digest of", self.files.path(name))
        try:
            return parse(content)
        except MalformedError as error:
            raise StoreDamaged(f"{{}} is malformed: {literal(str(error))}", self.files.path(name)) from error

    def _has(self, digest: str) -> bool:
        return self.files.status(_blob(digest)) is not None

    def _size(self, digest: str) -> int:
        status = self.files.status(_blob(digest))
        return 0 if status is None else status.st_size


def _described(digest: str, media_type: str) -> Descriptor:
    return Descriptor(media_type=media_type, digest=Digest(digest), size=0)


def _blob(digest: str) -> str:
    return f"{CONTENT}/blobs/{digest.replace(':', '/')}"


def _chains(diff_ids: tuple[str, ...]) -> tuple[str, ...]:
    chains: list[str] = []
    for one in diff_ids:
        chain = chain_id([*chains[-1:], one])
        chains.extend([chain] if chain is not None else [])
    return tuple(chains)
