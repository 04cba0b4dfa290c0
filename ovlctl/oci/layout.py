"""An image in a layout directory: ``oci:DIR[:TAG]`` found, and chosen among others."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import literal, strerror
from ovlctl.oci import documents
from ovlctl.oci.blobs import Directory, is_digest
from ovlctl.oci.documents import Descriptor, MalformedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from ovlctl.oci.blobs import Digest

    _T = TypeVar("_T")

_LAYOUT = "oci-layout"
_INDEX = "index.json"
#: An index may be in an index; a circle of them is impossible, since each has the digest of the next.
_DEEPEST = 8
#: What uname(2) calls a machine, and what image platforms do: containerd's platforms.normalizeArch().
_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "i386": "386",
    "i686": "386",
    "armv6l": "arm",
    "armv7l": "arm",
    "armv8l": "arm",
    "loongarch64": "loong64",
}
_NAMED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLayer:
    """A layer of an image.

    Attributes:
        descriptor: Of the blob.
        diff_id: The digest of its archive.
    """

    descriptor: Descriptor
    diff_id: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image whose documents were read.

    Attributes:
        label: As it was named.
        directory: Its layout.
        digest: Of its manifest.
        layers: Topmost first, as everywhere but in the manifest.
    """

    label: str
    directory: Directory
    digest: Digest
    layers: tuple[ImageLayer, ...]

    @property
    def packed(self) -> int:
        """The bytes of its layers' blobs, of several that are one blob once."""
        return sum({layer.descriptor.digest: layer.descriptor.size for layer in self.layers}.values())

    def names(self) -> tuple[str, ...]:
        """What to call each layer, topmost first; of an image without layers itself."""
        found = tuple(f"oci:{self.directory.path}@{layer.descriptor.digest}" for layer in self.layers)
        return found or (f"oci:{self.directory.path}@{self.digest}",)


def find(word: str) -> Image:
    """The image that *word* names.

    Args:
        word: ``DIR``, ``DIR:TAG`` or ``DIR:DIGEST``; where several readings lead to a directory, the longest DIR.

    Raises:
        ImageMissing: There is no such layout or image, or more than one.
        ImageDamaged, ImageUnreadable, AccessDenied
    """
    path, tag = _split(word)
    try:
        directory = Directory(path)
    except OSError as error:
        if isinstance(error, PermissionError):
            raise errors.AccessDenied(
                f"the image layout {{}} cannot be opened: {strerror(error)}",
                path,
                errno=error.errno,
                hint="ask as root",
            ) from error
        raise errors.ImageMissing(
            f"there is no image layout {{}}: {strerror(error)}", path, errno=error.errno, hint=_MADE_BY
        ) from error
    try:
        text = directory.document(_LAYOUT)
    except errors.ImageDamaged as error:
        if error.errno != errno.ENOENT:
            raise
        raise errors.ImageMissing(
            "{} is no image layout: it has no file `oci-layout`", path, errno=error.errno, hint=_MADE_BY
        ) from error
    _read(directory, _LAYOUT, documents.check_layout, text)
    images = _read(directory, _INDEX, documents.index, directory.document(_INDEX))
    return _opened(f"oci:{word}", directory, _for_platform(directory, _chosen(directory, images, tag), tag))


_MADE_BY = "`skopeo copy docker://NAME oci:DIR:TAG` makes one"


def _split(word: str) -> tuple[str, str | None]:
    end = len(word)
    while end > 0:
        if os.path.isdir(word[:end]):
            break
        end = word.rfind(":", 0, end)
    if end <= 0:
        return os.path.abspath(word), None
    return os.path.abspath(word[:end]), word[end + 1 :] or None


def _chosen(directory: Directory, images: Sequence[Descriptor], tag: str | None) -> list[Descriptor]:
    among = [image for image in images if image.is_index or image.is_manifest]
    if tag is not None:
        among = [image for image in among if tag in {image.tag, image.digest}]
        if not among and is_digest(tag):
            # One of the platforms of an index.
            return [one for image in images if image.is_index for one in _within(directory, image) if one.digest == tag]
    if not among:
        called = [] if tag is None else [tag]
        raise errors.ImageMissing(
            f"the layout {{0}} has no image{' {1}' if called else ''}",
            directory.path,
            *called,
            *_names(images),
            hint=f"it has {_places(1 + len(called), len(_names(images)))}" if images else None,
        )
    if len({image.digest for image in among}) > 1 and tag is None and len({image.tag for image in among}) > 1:
        raise errors.ImageMissing(
            "the layout {} has several images",
            directory.path,
            *_names(among),
            hint=f"add `:TAG` with one of {_places(1, len(_names(among)))}",
        )
    return among


def _names(images: Sequence[Descriptor]) -> list[str]:
    names = list(dict.fromkeys(image.tag or image.digest for image in images))
    return names[:_NAMED]


def _places(start: int, count: int) -> str:
    # Where a message has names that somebody else chose.
    return ", ".join(f"{{{number}}}" for number in range(start, start + count))


def _for_platform(directory: Directory, images: Sequence[Descriptor], tag: str | None) -> Descriptor:
    every = {one.digest: one for image in images for one in _within(directory, image)}
    found = list(every.values())
    if len(found) != 1:
        host = _ARCHITECTURES.get(os.uname().machine, os.uname().machine)
        ours = [one for one in found if one.platform is not None and _fits(one, host)]
        if len(ours) != 1:
            called = [] if tag is None else [tag]
            others = [f"{one.digest} ({one.platform or 'for no platform'})" for one in (ours or found)[:_NAMED]]
            raise errors.ImageMissing(
                f"the layout {{0}} has {'several images' if ours else 'no image'} for linux/{host}"
                f"{' by the name {1}' if called else ''}",
                directory.path,
                *called,
                *others,
                hint=f"name the digest of one instead of a tag: {_places(1 + len(called), len(others))}"
                if others
                else None,
            )
        found = ours
    return found[0]


def _fits(image: Descriptor, host: str) -> bool:
    return image.platform is not None and (image.platform.os, image.platform.architecture) == ("linux", host)


def _within(directory: Directory, image: Descriptor, depth: int = 0) -> list[Descriptor]:
    if not image.is_index:
        return [image] if image.is_manifest else []
    if depth == _DEEPEST:
        raise errors.ImageDamaged(f"the layout {{}} has indexes in indexes, more than {_DEEPEST} deep", directory.path)
    text = directory.described(image.digest, image.size)
    inner = _read(directory, image.digest, documents.index, text)
    return [one for each in inner for one in _within(directory, each, depth + 1)]


def _opened(label: str, directory: Directory, image: Descriptor) -> Image:
    text = directory.described(image.digest, image.size)
    manifest = _read(directory, image.digest, documents.manifest, text)
    strange = next((layer.media_type for layer in manifest.layers if not layer.is_layer), None)
    if strange is not None:
        raise errors.ImageUnreadable("the image {} has something that is no layer of a file system: {}", label, strange)
    config = directory.described(manifest.config.digest, manifest.config.size)
    diff_ids = _read(directory, manifest.config.digest, documents.diff_ids, config)
    if len(diff_ids) != len(manifest.layers):
        raise errors.ImageDamaged(
            f"the image {{}} has {len(manifest.layers)} layers, and its configuration {len(diff_ids)}", label
        )
    layers = (
        ImageLayer(descriptor=layer, diff_id=diff_id) for layer, diff_id in zip(manifest.layers, diff_ids, strict=True)
    )
    return Image(label=label, directory=directory, digest=image.digest, layers=tuple(layers)[::-1])


def _read(directory: Directory, name: str, parse: Callable[[bytes], _T], text: bytes) -> _T:
    try:
        return parse(text)
    except MalformedError as error:
        raise errors.ImageDamaged(
            f"{{}} of the image is malformed: {literal(str(error))}", os.path.join(directory.path, name)
        ) from error
