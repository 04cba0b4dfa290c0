"""An image opened: every layer of it checked, read and made a layer of a stack."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from ovlctl import errors
from ovlctl.errors import literal, strerror
from ovlctl.oci.compression import Compression, plain
from ovlctl.oci.content import Content
from ovlctl.oci.layer_tree import LayerTree
from ovlctl.oci.streams import Flowing, Leaping
from ovlctl.oci.tar import DamagedError, entries
from ovlctl.oci.unpacking import Beneath, TooLargeError, unpack
from ovlctl.overlay.comparison import visible_attributes
from ovlctl.overlay.layers import Following, Layer, Layers, Role
from ovlctl.overlay.memory_tree import MemoryTree
from ovlctl.overlay.resolver import Resolver
from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ovlctl.oci.blobs import Blob, Digest
    from ovlctl.oci.layout import Image, ImageLayer
    from ovlctl.oci.tar import Stream
    from ovlctl.oci.unpacking import Below, Unpacked

#: How the layers of an image are put together: nothing in them redirects.
FOLLOWING = Following()

#: Layers that somebody has open, by what stands for them and all below: of two images that share a base it is read
#: once. What a layer comes to depends on those below it, since its entries may lie behind links of theirs.
_open: WeakValueDictionary[str, LayerTree] = WeakValueDictionary()

# Inode numbers are those of no file system: 64 bits that stand for the layer and those below it, then the number of the
# object. Two objects of one number are one object.
_NUMBER_BITS = 32
_NUMBER_DIGITS = 16


def open_image(image: Image) -> Layers:
    """The layers of *image*, as lowers; what they have open is closed when nobody has them any more.

    Every layer is read to its end, so that what is wrong with it is known before anything is told.

    Raises:
        ImageDamaged: A layer is not what its digest or its diff id says, or no runtime would unpack it.
        ImageUnreadable: It cannot be decompressed here, or is too large.
        AccessDenied: It may not be read.
    """
    names = image.names()
    lowers: list[Layer] = []
    below: tuple[Digest, ...] = ()
    for index, layer in reversed(list(enumerate(image.layers))):
        below = (layer.descriptor.digest, *below)
        identity = _identity(below)
        tree = _open.get(identity)
        if tree is None:
            tree = _open[identity] = _read(
                image, layer, _below(lowers), int(identity[:_NUMBER_DIGITS], 16) << _NUMBER_BITS
            )
        if tree.hides_below:
            lowers.clear()
        lowers.insert(
            0,
            Layer(role=Role.LOWER, index=index, directory=names[index], tree=tree, identity=identity),
        )
    if not lowers:
        lowers.append(Layer(role=Role.LOWER, index=0, directory=names[0], tree=MemoryTree({})))
    return Layers(lowers=tuple(lowers))


def _identity(chain: Sequence[Digest]) -> str:
    # What stands for a layer and all below it.
    return hashlib.sha256("\n".join(chain).encode()).hexdigest()


def _read(image: Image, layer: ImageLayer, below: Below, number: int) -> LayerTree:
    digest = layer.descriptor.digest
    path = image.directory.where(f"blobs/{digest.replace(':', '/')}")
    blob = image.directory.blob(digest, layer.descriptor.size)
    try:
        return _unpacked(image, layer, blob, lambda stream: unpack(entries(stream), below, number))
    except DamagedError as error:
        raise errors.ImageDamaged(
            f"the layer {{}} of the image {{}} is damaged: {literal(str(error))}", path, image.label
        ) from error
    except TooLargeError as error:
        raise errors.ImageUnreadable(
            "the layer {} of the image {} has more objects than can be kept in memory", path, image.label
        ) from error
    except OSError as error:
        raise errors.ImageUnreadable(
            f"the layer {{}} of the image {{}} cannot be read: {strerror(error)}", path, image.label, errno=error.errno
        ) from error


def _unpacked(image: Image, layer: ImageLayer, blob: Blob, unpacked: Callable[[Stream], Unpacked]) -> LayerTree:
    digest = layer.descriptor.digest
    algorithm, _, expected = layer.diff_id.partition(":")
    compression = Compression.of(blob)
    if compression is Compression.NONE:
        if digest != layer.diff_id and (digest.startswith(algorithm) or blob.hexdigest(algorithm) != expected):
            raise _other(image, layer)
        found, size = unpacked(Leaping(blob)), blob.size
    else:
        stream = Flowing(plain(blob, compression), algorithm)
        found = unpacked(stream)
        if stream.finish() != expected:
            raise _other(image, layer)
        size = stream.size
    return LayerTree(found.root, Content(blob, compression, size, layer.diff_id), hides_below=found.hides_below)


def _other(image: Image, layer: ImageLayer) -> errors.ImageDamaged:
    return errors.ImageDamaged(
        f"the layer {layer.descriptor.digest} of the image {{}} is not the one that its configuration names: "
        f"its archive has another digest than {layer.diff_id}",
        image.label,
    )


def _below(lowers: Sequence[Layer]) -> Below:
    if not lowers:
        return lambda _: None
    resolver = Resolver(Layers(lowers=tuple(lowers)), FOLLOWING)

    def below(path: str) -> Beneath | None:
        found = resolver.resolve(path)
        if found.attributes is None or found.kind not in {Kind.DIRECTORY, Kind.SYMLINK}:
            return None
        top = found.stack[0]
        target = top.layer.tree.readlink(top.path) if found.kind is Kind.SYMLINK else ""
        return Beneath(found.attributes, visible_attributes(top, FOLLOWING), target)

    return below
