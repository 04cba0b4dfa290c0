"""How people name one layer of a stack: ``upper``, ``lower:0`` or just ``0``, ``data:0``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import literal
from ovlctl.overlay.layers import Role

if TYPE_CHECKING:
    from ovlctl.overlay.layers import Layer, Layers

_NUMBERED = re.compile(r"(?:(?P<role>lower|data):)?(?P<index>[0-9]{1,9})", re.ASCII)
_UPPER = "upper"


@dataclass(frozen=True, slots=True)
class LayerName:
    """A layer as it is named on a command line.

    Law: ``parse(str(name)) == name``.

    Attributes:
        index: Counts lowers, and data-only lowers, from 0 = topmost; 0 for the upper.
    """

    role: Role
    index: int

    def __str__(self) -> str:
        """The name in full."""
        return _UPPER if self.role is Role.UPPER else f"{self.role}:{self.index}"


def parse(text: str) -> LayerName:
    """Read a name.

    Args:
        text: ``upper``, a number of a lower counted from 0 = topmost, ``lower:N`` for the same, or ``data:N``.

    Raises:
        LayerMissing: It is none of these.
    """
    if text == _UPPER:
        return LayerName(Role.UPPER, 0)
    match = _NUMBERED.fullmatch(text)
    if match is None:
        raise errors.LayerMissing("{} names no layer", text, hint="a layer is `upper`, `0`, `1`, ... or `data:0`, ...")
    return LayerName(Role.DATA if match["role"] == Role.DATA else Role.LOWER, int(match["index"]))


def find(layers: Layers, name: LayerName) -> Layer:
    """The layer that *name* means.

    Raises:
        LayerMissing: The stack has none such.
    """
    if name.role is Role.UPPER:
        if layers.upper is None:
            raise errors.LayerMissing("the stack has no upper", hint=f"it has {literal(_those_of(layers))}")
        return layers.upper
    among = layers.lowers if name.role is Role.LOWER else layers.data
    if name.index >= len(among):
        raise errors.LayerMissing(f"the stack has no layer `{name}`", hint=f"it has {literal(_those_of(layers))}")
    return among[name.index]


def name_of(layer: Layer) -> LayerName:
    """What *layer* is called."""
    return LayerName(layer.role, layer.index)


def _those_of(layers: Layers) -> str:
    every = [] if layers.upper is None else ["`upper`"]
    every += [_range(layers.lowers), _range(layers.data)]
    return ", ".join(filter(None, every))


def _range(layers: tuple[Layer, ...]) -> str:
    if not layers:
        return ""
    first, last = name_of(layers[0]), name_of(layers[-1])
    return f"`{first}`" if first == last else f"`{first}` to `{last}`"
