"""Layers in figures, as text and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ovlctl.errors import Note
from ovlctl.ops.reading.layer_names import LayerName
from ovlctl.show.columns import aligned
from ovlctl.show.names import json_path, show_name
from ovlctl.show.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.ops.atlas.summary import LayerSummary, MergedSummary

_HEADINGS = ("LAYER", "SIZE", "FILES", "ADDS", "HIDES", "WASTED", "DIRECTORY")
_FIGURES = frozenset(range(1, 6))


def layer_label(summary: LayerSummary) -> str:
    """What a layer is called: ``upper``, ``lower:0``, ``data:0``."""
    return str(LayerName(summary.role, summary.index))


def layers_text(whole: MergedSummary, layers: Sequence[LayerSummary], *, wasted: bool) -> str:
    """A table, topmost layer first; with the largest files that nobody sees when *wasted*."""
    rows = [
        _HEADINGS,
        ("merged", format_size(whole.size), str(whole.files), "", "", "", ""),
        *(_row(layer) for layer in layers),
    ]
    parts = [aligned(rows, right=_FIGURES)]
    if wasted:
        parts += [_wasted(layer) for layer in layers if layer.largest]
    return "\n\n".join(parts)


def _row(layer: LayerSummary) -> tuple[str, ...]:
    return (
        layer_label(layer),
        format_size(layer.size),
        str(layer.files),
        str(layer.adds),
        str(layer.hides),
        format_size(layer.wasted) if layer.wasted_files else "-",
        show_name(layer.directory),
    )


def _wasted(layer: LayerSummary) -> str:
    rows = [("", format_size(each.size), show_name(each.path)) for each in layer.largest]
    title = f"{layer_label(layer)}: {layer.wasted_files} files that nobody sees, the largest of them"
    return f"{title}\n{aligned(rows, right=frozenset({1}))}"


def unread(whole: MergedSummary, layers: Sequence[LayerSummary]) -> Iterator[Note]:
    """What the figures leave out, because it could not be read."""
    for layer in layers:
        if layer.unreadable:
            objects = _objects(layer.unreadable)
            yield Note(f"{objects} in {layer_label(layer)} could not be read: its figures are too small")
    if whole.unreadable and not any(layer.unreadable for layer in layers):
        yield Note(f"{_objects(whole.unreadable)} could not be read: the figures are too small")


def _objects(count: int) -> str:
    return f"{count} {'object' if count == 1 else 'objects'}"


def layers_json(whole: MergedSummary, layers: Sequence[LayerSummary]) -> dict[str, Any]:
    """The ``data`` of ``ovlctl layers --json``."""
    return {
        "merged": {
            "files": whole.files,
            "directories": whole.directories,
            "size": whole.size,
            "added": whole.added,
            "changed": whole.changed,
            "deleted": whole.deleted,
        },
        "layers": [_layer(layer) for layer in layers],
    }


def _layer(layer: LayerSummary) -> dict[str, Any]:
    return {
        "layer": layer_label(layer),
        **json_path("dir", layer.directory),
        "files": layer.files,
        "directories": layer.directories,
        "size": layer.size,
        "adds": layer.adds,
        "hides": layer.hides,
        "whiteouts": layer.whiteouts,
        "wasted_files": layer.wasted_files,
        "wasted": layer.wasted,
        "largest_wasted": [{**json_path("path", each.path), "size": each.size} for each in layer.largest],
    }
