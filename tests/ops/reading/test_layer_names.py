"""Names of layers."""

from __future__ import annotations

import pytest

from ovlctl.errors import LayerMissing
from ovlctl.ops.reading import layer_names
from ovlctl.ops.reading.layer_names import LayerName
from ovlctl.overlay.layers import Layer, Layers, Role
from ovlctl.overlay.memory_tree import MemoryTree


def _layer(role: Role, index: int) -> Layer:
    return Layer(role=role, index=index, directory=f"/{role}{index}", tree=MemoryTree({}))


LAYERS = Layers(
    upper=_layer(Role.UPPER, 0),
    lowers=(_layer(Role.LOWER, 0), _layer(Role.LOWER, 1)),
    data=(_layer(Role.DATA, 0),),
)


@pytest.mark.parametrize("layer", [*LAYERS.merged, *LAYERS.data], ids=lambda layer: f"{layer.role}{layer.index}")
def test_a_name_leads_to_its_layer(layer: Layer) -> None:
    """What a layer is called is read as that name, and leads to it; a number alone is a lower."""
    name = layer_names.name_of(layer)
    assert layer_names.parse(str(name)) == name
    assert layer_names.find(LAYERS, name) is layer
    if layer.role is Role.LOWER:
        assert layer_names.parse(str(layer.index)) == name


@pytest.mark.parametrize(
    "text", ["", "Upper", "-1", "1 ", "lower", "data", "data:", "data:-1", "upper:0", "٣", "9" * 40]
)
def test_what_is_no_name(text: str) -> None:
    """Anything else is an error that says what a name looks like."""
    with pytest.raises(LayerMissing) as caught:
        layer_names.parse(text)
    assert "`upper`" in (caught.value.hint() or "")


@pytest.mark.parametrize("name", [LayerName(Role.LOWER, 2), LayerName(Role.DATA, 1)])
def test_a_layer_that_is_not_there(name: LayerName) -> None:
    """The error says which layers there are."""
    with pytest.raises(LayerMissing) as caught:
        layer_names.find(LAYERS, name)
    assert caught.value.hint() == "it has `upper`, `lower:0` to `lower:1`, `data:0`"


def test_no_upper() -> None:
    """A read-only stack has none, and says so."""
    with pytest.raises(LayerMissing, match="no upper"):
        layer_names.find(Layers(lowers=LAYERS.lowers), LayerName(Role.UPPER, 0))
