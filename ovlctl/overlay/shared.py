"""What two views have in common: layers that are one directory or of one digest, with the same layers below."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.resolution import Place, Resolution
    from ovlctl.overlay.resolver import Resolver

_Root = tuple[int | str, int]


class Shared:
    """Which places of two views lead to the same, whatever is looked up below them.

    Two layers are alike when they are one directory, or of one identity, and everything that lookups in it can come to
    is alike too: the layers below it, the data-only layers and the settings of the mount.

    Args:
        above: One view.
        below: The other.

    Attributes:
        over: Whether the first view has all layers of the other, and some above them.

    Raises:
        OSError: The root of a layer cannot be looked at.
    """

    def __init__(self, above: Resolver, below: Resolver) -> None:
        alike = above.following == below.following
        self._tails = _tails(above) | (_tails(below) if alike else {id(layer): () for layer in below.layers.merged})
        self._lowers = {id(layer) for layer in below.layers.merged}
        self.over = self._lowers <= {id(layer) for layer in above.layers.merged}

    def lower(self, layer: Layer) -> bool:
        """Whether *layer* is one of the other view's, too."""
        return id(layer) in self._lowers

    def alike(self, one: Place, other: Place) -> bool:
        """Whether both places are one, and so is everything that a lookup below them can find."""
        if one.path != other.path:
            return False
        if one.layer is other.layer:
            return True
        tail = self._tails.get(id(one.layer), ())
        return tail != () and tail == self._tails.get(id(other.layer))

    def apart(self, above: Resolution, below: Resolution | None) -> tuple[tuple[Place, ...], tuple[Place, ...]]:
        """The places of two directories without those at the bottom that they have in common."""
        one, other = above.stack, () if below is None else below.stack
        common = 0
        while common < min(len(one), len(other)) and self.alike(one[-1 - common], other[-1 - common]):
            common += 1
        return one[: len(one) - common], other[: len(other) - common]

    def same(self, above: Resolution, below: Resolution) -> bool:
        """Whether both are one object, with the same in it."""
        return len(above.stack) == len(below.stack) and all(map(self.alike, above.stack, below.stack))

    def uncovers(self, above: Resolution, below: Resolution) -> bool:
        """Whether all that a directory of the other view is made of is in *above* too."""
        return not self.apart(above, below)[1]


def _tails(resolver: Resolver) -> dict[int, tuple[_Root, ...]]:
    """For each layer, the layers from it down, by what tells one directory from another."""
    layers = resolver.layers
    roots = [_root(layer) for layer in (*layers.merged, *layers.data)]
    return {id(layer): tuple(roots[at:]) for at, layer in enumerate(layers.merged)}


def _root(layer: Layer) -> _Root:
    if layer.identity is not None:
        return (layer.identity, 0)
    found = layer.tree.lstat("")
    # A layer that is no directory of its own, such as one in memory, is like no other.
    return (id(layer), 0) if found is None or found.ino == 0 else (found.dev, found.ino)
