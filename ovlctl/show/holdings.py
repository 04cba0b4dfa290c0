"""Who holds what of engines' stores, as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ovlctl.show.columns import aligned
from ovlctl.show.du import By
from ovlctl.show.names import json_path, show_name, show_text
from ovlctl.show.owners import pod_json, pod_text
from ovlctl.show.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.ops.engines.holdings import HeldLayer, Holder, Holdings

_ID = len("sha256:") + 12
_WORDS = {
    "unused": "layers that nothing uses",
    "build-cache": "build cache",
    "unknown": "directories that no metadata know: `ovlctl orphans`",
    "packed": "packed layers",
    "volumes": "volumes",
    "rest": "all else: metadata, logs",
}


def holdings_json(every: Sequence[Holdings], by: By) -> dict[str, Any]:
    """What ``du --by container``, ``image``, ``layer`` or ``pod`` found in engines' stores."""
    return {"by": by, "stores": [_store_json(each, by) for each in every]}


def _store_json(held: Holdings, by: By) -> dict[str, Any]:
    rows = (
        [_layer_json(each) for each in held.layers]
        if by is By.LAYER
        else [_holder_json(each) for each in _of(held, by)]
    )
    return {
        "engine": held.engine,
        "driver": show_text(held.driver),
        **json_path("root", held.root),
        "rows": rows,
        "exclusive": _exclusive(held),
        "shared": held.shared,
        **{kind.replace("-", "_"): size for kind, size in held.beside},
        "total": held.total,
    }


def _of(held: Holdings, by: By) -> Sequence[Holder]:
    return {By.CONTAINER: held.containers, By.IMAGE: held.images, By.POD: held.pods}.get(by, ())


def _exclusive(held: Holdings) -> int:
    return sum(each.exclusive for each in (*held.containers, *held.images))


def _holder_json(holder: Holder) -> dict[str, Any]:
    return {
        "id": show_text(holder.id),
        "name": None if holder.name is None else show_text(holder.name),
        "pod": pod_json(holder.pod),
        "own": holder.own,
        "exclusive": holder.exclusive,
        "shared": holder.shared,
        "layers": holder.layers,
    }


def _layer_json(layer: HeldLayer) -> dict[str, Any]:
    return {
        "id": show_text(layer.id),
        **json_path("dir", layer.directory),
        "role": layer.role,
        "bytes": layer.bytes,
        "images": layer.images,
        "containers": layer.containers,
    }


def holdings_text(every: Sequence[Holdings], by: By) -> str:
    """A table for each store, and the sum it adds up to."""
    return "\n\n".join("\n".join(_lines(held, by)) for held in every)


def _lines(held: Holdings, by: By) -> Iterator[str]:
    yield f"{held.engine} {show_text(held.driver)} {show_name(held.root)}"
    rows = list(_layer_rows(held.layers) if by is By.LAYER else _holder_rows(_of(held, by), by))
    if len(rows) > 1:
        yield aligned(rows, indent="  ", right=frozenset(range(1, len(rows[0]) - 1)))
    else:
        yield f"  no {by}s"
    sums = [
        (format_size(_exclusive(held)), "held by one container or image"),
        (format_size(held.shared), "held by several"),
        *((format_size(size), _WORDS[kind]) for kind, size in held.beside if size),
        (format_size(held.total), "in all"),
    ]
    yield aligned(sums, indent="  ", right=frozenset({0}))


def _holder_rows(holders: Sequence[Holder], by: By) -> Iterator[tuple[str, ...]]:
    own = ("own",) if by is not By.IMAGE else ()
    yield (str(by), "exclusive", *own, "shared", "layers", "id")
    for holder in holders:
        name = show_text(holder.name or "-")
        if by is By.POD and holder.pod is not None:
            name = pod_text(holder.pod)
        written = (format_size(holder.own),) if own else ()
        sizes = (format_size(holder.exclusive), *written, format_size(holder.shared))
        yield (name, *sizes, str(holder.layers), show_text(holder.id)[:_ID])


def _layer_rows(layers: Sequence[HeldLayer]) -> Iterator[tuple[str, ...]]:
    yield ("layer", "on disk", "images", "containers", "role")
    for layer in layers:
        yield show_text(layer.id), format_size(layer.bytes), str(layer.images), str(layer.containers), layer.role
