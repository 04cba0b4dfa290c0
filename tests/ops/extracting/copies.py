"""Copies made as the verb makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.ops import extracting
from ovlctl.ops.reading import layer_names
from ovlctl.ops.reading.troubles import Troubles
from ovlctl.show.names import show_name
from tests.ops.reading.opening import viewing

if TYPE_CHECKING:
    from ovlctl.overlay.stack import Stack


def copy(
    stack: Stack,
    path: str,
    to: str,
    *,
    layer: str | None = None,
    recursive: bool = True,
    replace: bool = False,
) -> list[str]:
    """Copy, and what could not be read or kept."""
    with viewing(stack) as view:
        one = None if layer is None else layer_names.find(view.layers, layer_names.parse(layer))
        troubles = Troubles(certain=view.resolver.certain)
        plan = extracting.plan(view, path, to, troubles, layer=one, recursive=recursive, replace=replace)
        plan.apply()
    return [note.text(show_name) for note in troubles.notes()]
