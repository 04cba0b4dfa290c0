"""Rows of an atlas that were found, as lines and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ovlctl.ops.atlas.atlas import KINDS, NOBODY, Sign
from ovlctl.show.names import json_path, show_name
from ovlctl.show.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.ops.atlas.atlas import Atlas

_SIZE = 9


def found_lines(atlas: Atlas, rows: Sequence[int], labels: Sequence[str]) -> Iterator[str]:
    """A line for each: sign, size, layer, path; directories end with a slash."""
    width = max(map(len, labels), default=0)
    for row in rows:
        directory = atlas.is_directory(row)
        size = "" if directory else format_size(atlas.sizes[row])
        layer = _layer(atlas, row, labels) or ""
        path = show_name(atlas.path(row)) + ("/" if directory else "")
        yield f"{Sign(atlas.signs[row]).glyph} {size:>{_SIZE}}  {layer:<{width}}  {path}"


def found_json(atlas: Atlas, rows: Sequence[int], labels: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The items of ``ovlctl find --json``."""
    for row in rows:
        yield {
            **json_path("path", atlas.path(row)),
            "kind": str(KINDS[atlas.kinds[row]]),
            "sign": Sign(atlas.signs[row]).name.lower(),
            "layer": _layer(atlas, row, labels),
            "size": atlas.sizes[row],
        }


def _layer(atlas: Atlas, row: int, labels: Sequence[str]) -> str | None:
    number = atlas.providers[row]
    return None if number == NOBODY else labels[number]
