"""Layers as metadata lists them, in an order in which every layer comes after the one it lies on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.errors import StoreDamaged

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ovlctl.engines.gathering import Gathering
    from ovlctl.engines.values import Layer


def distinct(layers: Iterable[Layer], gathering: Gathering) -> list[Layer]:
    """*layers* without those that have the id or the directory of an earlier one, which are one trouble each."""
    found: list[Layer] = []
    ids: set[str] = set()
    names: set[str] = set()
    for layer in layers:
        if layer.id in ids or layer.name in names:
            gathering.tell(StoreDamaged("{} is the directory of two layers", layer.directory))
            continue
        ids.add(layer.id)
        names.add(layer.name)
        found.append(layer)
    return found


def lower_first(layers: Iterable[Layer], gathering: Gathering) -> tuple[Layer, ...]:
    """*layers*, lower ones first. Those that lie on one another in a circle are left out, each circle one trouble."""
    by_id = {layer.id: layer for layer in layers}
    done: dict[str, Layer] = {}
    lost: set[str] = set()
    for top in by_id.values():
        above: dict[str, Layer] = {}
        layer: Layer | None = top
        while layer is not None and layer.id not in done and layer.id not in lost:
            if layer.id in above:
                met = list(above)
                lost.update(met[met.index(layer.id) :])
                gathering.tell(StoreDamaged("{} lies on itself, by its parents", layer.directory))
                break
            above[layer.id] = layer
            layer = by_id.get(layer.parent) if layer.parent is not None else None
        done.update((id_, one) for id_, one in reversed(above.items()) if id_ not in lost)
    return tuple(done.values())
