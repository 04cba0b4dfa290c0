"""The JSON documents of an image layout, checked word by word: they are as hostile as any layer.

Source: the OCI image format specification (descriptor.md, manifest.md, image-index.md, config.md, image-layout.md).
Docker's own media types, which say the same, are taken too.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, cast

from ovlctl.oci.blobs import Digest, is_digest

_INDEXES = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
}
_MANIFESTS = {
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
}
_LAYER = re.compile(
    r"application/vnd\.(oci\.image\.layer(\.nondistributable)?\.v1\.tar|docker\.image\.rootfs\.(foreign\.)?diff\.tar)"
    r"([.+](gzip|zstd))?",
    re.ASCII,
)
_REF_NAME = "org.opencontainers.image.ref.name"
_LAYOUT_VERSION = re.compile(r"1\.[0-9.]+", re.ASCII)


class MalformedError(Exception):
    """A document is not what it has to be; the text says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What an image runs on."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        """As container tools write it: ``linux/arm/v7``."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """What a document says of a blob.

    Attributes:
        tag: The name of an image in its layout; None for none.
        platform: None where it is not said.
    """

    media_type: str
    digest: Digest
    size: int
    tag: str | None = None
    platform: Platform | None = None

    @property
    def is_index(self) -> bool:
        """Whether the blob is an index of images."""
        return self.media_type in _INDEXES

    @property
    def is_manifest(self) -> bool:
        """Whether it is the manifest of one image; attestations, which are for no platform, are none."""
        unknown = self.platform is not None and self.platform.os == "unknown"
        return self.media_type in _MANIFESTS and not unknown

    @property
    def is_layer(self) -> bool:
        """Whether it is a layer of a file system."""
        return _LAYER.fullmatch(self.media_type) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One image.

    Attributes:
        layers: Lowest first, as the document has them.
    """

    config: Descriptor
    layers: tuple[Descriptor, ...]


def check_layout(text: bytes) -> None:
    """Check the file oci-layout.

    Raises:
        MalformedError: It is malformed, or of another major version.
    """
    version = _text(_object(_parsed(text)), "imageLayoutVersion")
    if not _LAYOUT_VERSION.fullmatch(version):
        raise MalformedError(f"its layout has the version {version!r}")


def index(text: bytes) -> tuple[Descriptor, ...]:
    """The images of an index. Raises MalformedError."""
    return tuple(map(_descriptor, _list(_object(_parsed(text)), "manifests")))


def manifest(text: bytes) -> Manifest:
    """A manifest. Raises MalformedError."""
    document = _object(_parsed(text))
    return Manifest(
        config=_descriptor(document.get("config")), layers=tuple(map(_descriptor, _list(document, "layers")))
    )


def diff_ids(text: bytes) -> tuple[Digest, ...]:
    """The digests of a configuration's layers when decompressed, lowest first. Raises MalformedError."""
    found = _list(_object(_object(_parsed(text)).get("rootfs")), "diff_ids")
    if not all(map(is_digest, found)):
        raise MalformedError("a diff id is no digest")
    return tuple(cast("list[Digest]", found))


def _descriptor(value: object) -> Descriptor:
    found = _object(value)
    digest, size = found.get("digest"), found.get("size")
    if not is_digest(digest):
        raise MalformedError("a digest is none, or of an unknown kind: sha256 and sha512 are known")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise MalformedError("a size is none")
    tag = _object(found.get("annotations") or {}).get(_REF_NAME)
    platform = found.get("platform")
    return Descriptor(
        media_type=_text(found, "mediaType"),
        digest=cast("Digest", digest),
        size=size,
        tag=tag if isinstance(tag, str) else None,
        platform=None if platform is None else _platform(_object(platform)),
    )


def _platform(found: dict[str, Any]) -> Platform:
    variant = found.get("variant")
    return Platform(
        os=_text(found, "os"),
        architecture=_text(found, "architecture"),
        variant=variant if isinstance(variant, str) else "",
    )


def _parsed(text: bytes) -> object:
    try:
        return cast("object", json.loads(text))
    except (ValueError, RecursionError) as error:
        raise MalformedError("it is no JSON") from error


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedError("it lacks an object")
    return value


def _list(found: dict[str, Any], key: str) -> list[Any]:
    value = found.get(key)
    if not isinstance(value, list):
        raise MalformedError(f"it lacks the list `{key}`")
    return value


def _text(found: dict[str, Any], key: str) -> str:
    value = found.get(key)
    if not isinstance(value, str):
        raise MalformedError(f"it lacks the text `{key}`")
    return value
