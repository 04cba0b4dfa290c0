"""Where the content of a metadata-only file is: the data-only layers, looked up by path.

Source: ovl_lookup_data_layer() in fs/overlayfs/namei.c. This is an ordinary path lookup, not an overlay's: marks do not
count, ``.`` and ``..`` mean what they always do, and nothing leads out of the layer or through a symbolic link.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ovlctl.overlay.resolution import Place
from ovlctl.overlay.tree import Kind, join

if TYPE_CHECKING:
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.tree import Attributes


def find_data(layers: tuple[Layer, ...], redirect: str) -> tuple[Place | None, int]:
    """The first layer's regular file at *redirect*, and 0; else None and the errno that open(2) gives.

    Raises:
        OSError: A layer cannot be read.
    """
    number = errno.ENOENT
    for layer in layers:
        found = _walk(layer, redirect)
        if isinstance(found, Place):
            return found, 0
        number = found
    return None, number


def _walk(layer: Layer, redirect: str) -> Place | int:
    here: list[str] = []
    attributes: Attributes | None = layer.tree.lstat("")
    for name in redirect.split("/"):
        if name in {"", "."}:
            continue
        if attributes is not None and attributes.kind is not Kind.DIRECTORY:
            return errno.ENOTDIR
        if name == "..":
            if not here:
                return errno.EXDEV
            here.pop()
            attributes = layer.tree.lstat("/".join(here))
            continue
        here.append(name)
        attributes = layer.tree.lstat(join("/".join(here[:-1]), name))
        if attributes is None:
            return errno.ENOENT
        if attributes.kind is Kind.SYMLINK:
            return errno.ELOOP
    if attributes is None or attributes.kind is not Kind.FILE:
        return errno.ENOENT
    return Place(layer, "/".join(here))
