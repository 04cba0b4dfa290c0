"""Layers that a mount table shows relative to a directory which nothing records."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ovlctl.overlay.live import LiveStack, layers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ovlctl.kernel.mounts import Mount


def layers_of(mount: Mount) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Where the lowers of the overlay *mount*, and its upper and work, are likely to be; what is not found is left out.

    Of a name that can be read in two ways both are given.
    """
    live = layers(mount.options)
    below = (*live.lowers, *live.data_only)
    written = tuple(path for text in (live.upper, live.work) if text for path in LiveStack.readings(text))
    anchors = [path for path in (*written, *below) if path.startswith("/")]
    full = absolute((*below, *written), [*anchors, mount.mount_point])
    return tuple(full[path] for path in below if path in full), tuple(full[path] for path in written if path in full)


def absolute(shown: Iterable[str], anchors: Iterable[str]) -> dict[str, str]:
    """Absolute paths of layers that were given relative to a directory which nothing records.

    Engines change into a directory above all layers to keep the options short. It is taken to be the nearest
    directory above one of the *anchors* (an absolute layer, the mount point) in which all of them exist.

    Returns:
        The absolute path of each layer that is absolute or could be found.
    """
    layers = list(shown)
    relative = [path for path in layers if not path.startswith("/")]
    found = {path: path for path in layers if path.startswith("/")}
    if relative:
        for anchor in anchors:
            base = anchor
            while base not in {"/", ""}:
                base = os.path.dirname(base)
                if all(os.path.isdir(os.path.join(base, path)) for path in relative):
                    return found | {path: os.path.join(base, path) for path in relative}
    return found
