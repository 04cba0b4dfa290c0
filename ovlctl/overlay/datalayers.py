"""Where the content of a metadata-only file is: the data-only layers, looked up by path.

Source: ovl_lookup_data_layer() in fs/overlayfs/namei.c. This is an ordinary path lookup, not an overlay's: marks do not
count, ``.`` and ``..`` mean what they always do, and nothing leads out of the layer or through a symbolic link.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ovlctl.overlay.resolution import Place
from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.tree import Attributes

_PATH_MAX = 4096
_NAME_MAX = 255


def find_data(layers: tuple[Layer, ...], redirect: str) -> tuple[Place | None, int]:
    """The first layer's regular file at *redirect*, and 0; else None and the errno that open(2) gives.

    Raises:
        OSError: A layer cannot be read.
    """
    if len(os.fsencode(redirect)) >= _PATH_MAX:
        return None, errno.ENAMETOOLONG
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
        if attributes is None:
            return errno.ENOENT
        if attributes.kind is not Kind.DIRECTORY:
            # A symbolic link at the very end is found, and is no file.
            return errno.ELOOP if attributes.kind is Kind.SYMLINK else errno.ENOTDIR
        if len(os.fsencode(name)) > _NAME_MAX:
            return errno.ENAMETOOLONG
        if name != "..":
            here.append(name)
        elif here:
            here.pop()
        else:
            return errno.EXDEV
        attributes = layer.tree.lstat("/".join(here))
    if attributes is None or attributes.kind is not Kind.FILE:
        return errno.ENOENT
    return Place(layer, "/".join(here))
