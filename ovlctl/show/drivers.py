"""How engines store layers, as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ovlctl.show.columns import aligned
from ovlctl.show.envelope import note_text
from ovlctl.show.errors import error_note
from ovlctl.show.names import json_path, json_paths, show_name, show_text
from ovlctl.show.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.ops.engines.drivers import Detail, DetailLayer, Driver, LeftBehind

_SWITCHES = {None: "unknown", True: "yes", False: "no"}
_KINDS = {"graph-driver": "graph driver", "snapshotter": "containerd snapshotter"}
_DIGEST = len("sha256:") + 12
# A command of a history in a line of a table.
_COMMAND = 60


def driver_json(drivers: Sequence[Driver]) -> dict[str, Any]:
    """What ``driver`` found."""
    return {"engines": list(map(_engine_json, drivers))}


def _engine_json(driver: Driver) -> dict[str, Any]:
    return {
        "engine": driver.engine,
        "endpoint": None if driver.endpoint is None else show_text(driver.endpoint.address),
        "endpoint_from": None if driver.endpoint is None else show_text(driver.endpoint.found),
        "reachable": driver.reachable,
        "silence": None if driver.silence is None else note_text(error_note(driver.silence)),
        "version": _text(driver.version),
        "driver": _text(driver.driver),
        "store": driver.kind,
        **json_path("root", driver.root),
        "backing_fs": _text(driver.backing_fs),
        "supports_d_type": driver.supports_d_type,
        "native_diff": driver.native_diff,
        "metacopy": driver.metacopy,
        "userxattr": driver.userxattr,
        "rootless": driver.rootless,
        "mounted": driver.mounted,
        "mount_options": [{"option": show_text(each.option), "mounts": each.mounts} for each in driver.in_force],
        "layers": driver.layers,
        "images": driver.images,
        "containers": driver.containers,
        "left_behind": list(map(_left_json, driver.left_behind)),
        "verdict": {
            "ok": driver.verdict.ok,
            "text": note_text(driver.verdict.text),
            "hints": list(map(note_text, driver.verdict.hints)),
        },
    }


def _left_json(left: LeftBehind) -> dict[str, Any]:
    return {
        "driver": show_text(left.driver),
        "store": left.kind,
        **json_path("directory", left.directory),
        "layers": left.layers,
        "bytes": left.bytes,
    }


def driver_text(drivers: Sequence[Driver]) -> str:
    """A paragraph for each engine: facts, then the verdict and what could be changed."""
    return "\n\n".join("\n".join(_lines(driver)) for driver in drivers)


def _lines(driver: Driver) -> Iterator[str]:
    version = "" if driver.version is None else f" {show_text(driver.version)}"
    yield f"{driver.engine}{version}: {show_text(driver.driver or 'unknown driver')}{_kind(driver)}"
    yield aligned(list(_facts(driver)), indent="  ")
    mark = {True: "ok", False: "not ok", None: "unknown"}[driver.verdict.ok]
    yield f"  verdict: {mark}: {note_text(driver.verdict.text)}"
    for hint in driver.verdict.hints:
        yield f"    - {note_text(hint)}"


def _kind(driver: Driver) -> str:
    return "" if driver.kind is None else f" ({_KINDS[driver.kind]})"


def _holdings(driver: Driver) -> str:
    counts = {"layers": driver.layers, "images": driver.images, "containers": driver.containers}
    known = [f"{count} {what}" for what, count in counts.items() if count is not None]
    return ", ".join(known) or "unknown"


def _facts(driver: Driver) -> Iterator[tuple[str, str]]:
    if driver.endpoint is not None:
        reached = "answers" if driver.reachable else "does not answer"
        yield "daemon", f"{show_text(driver.endpoint.address)} {reached} (found by {show_text(driver.endpoint.found)})"
    else:
        yield "daemon", "not asked"
    yield "root", "unknown" if driver.root is None else show_name(driver.root)
    yield "file system", show_text(driver.backing_fs or "unknown")
    yield "d_type", _SWITCHES[driver.supports_d_type]
    yield "native diff", _SWITCHES[driver.native_diff]
    yield "metacopy", _SWITCHES[driver.metacopy]
    yield "userxattr", _SWITCHES[driver.userxattr]
    yield "rootless", _SWITCHES[driver.rootless]
    yield "holds", _holdings(driver)
    if driver.mounted:
        options = ", ".join(f"{show_text(each.option)} ({each.mounts})" for each in driver.in_force) or "none"
        yield "mounted", f"{driver.mounted}; options in force: {options}"
    for left in driver.left_behind:
        size = "" if left.bytes is None else f", {format_size(left.bytes)}"
        yield "left behind", f"{left.layers} layers of {show_text(left.driver)} in {show_name(left.directory)}{size}"


def detail_json(detail: Detail) -> dict[str, Any]:
    """A container or an image with its layers."""
    return {
        "engine": detail.engine,
        "kind": "container" if detail.container else "image",
        "ref": show_text(detail.ref),
        "id": show_text(detail.id),
        "name": _text(detail.name),
        "driver": show_text(detail.driver),
        "layers": [_layer_json(layer) for layer in detail.layers],
        **json_paths("lowers", detail.lowers),
        **json_path("upper", detail.upper),
        **json_path("work", detail.work),
        **json_path("merged", detail.merged),
        "mounted": detail.mounted,
        **json_path("reached", detail.reached),
        "told_by": "daemon" if detail.by_daemon else "store",
    }


def _layer_json(layer: DetailLayer) -> dict[str, Any]:
    return {
        **json_path("dir", layer.directory),
        "digest": _text(layer.digest),
        "size": layer.bytes,
        "recorded_size": layer.recorded,
        "created_by": _text(layer.created_by),
        "role": layer.role,
    }


def detail_text(detail: Detail) -> str:
    """A container or an image: what it is, and its layers topmost first."""
    kind = "container" if detail.container else "image"
    head = [
        (f"{detail.engine} {kind}", show_text(detail.name or detail.ref)),
        ("id", show_text(detail.id)),
        ("driver", show_text(detail.driver)),
        ("mounted", show_name(detail.merged) if detail.mounted and detail.merged is not None else "no"),
    ]
    if detail.reached not in {None, detail.merged}:
        head.append(("seen at", show_name(detail.reached or "")))
    if detail.upper is not None:
        head.append(("upper" if detail.container else "top", show_name(detail.upper)))
    if detail.work is not None:
        head.append(("work", show_name(detail.work)))
    rows = [("", "on disk", "digest", "created by")]
    for number, layer in enumerate(detail.layers):
        size = "?" if layer.bytes is None else format_size(layer.bytes)
        rows.append((str(number), size, (layer.digest or "-")[:_DIGEST], _made(layer)))
    paths = [f"{number}  {show_name(layer.directory)}" for number, layer in enumerate(detail.layers)]
    layers = aligned(rows, right=frozenset({0, 1})) if detail.layers else "no layers"
    return "\n".join((aligned(head), "", "layers, topmost first", layers, "", *paths)).rstrip()


def _made(layer: DetailLayer) -> str:
    if not layer.created_by:
        return "-" if layer.role is None else f"({layer.role})"
    made = show_text(layer.created_by)
    return made if len(made) <= _COMMAND else made[: _COMMAND - 3] + "..."


def graph_driver(detail: Detail) -> list[dict[str, Any]]:
    """What ``docker inspect`` printed before stores of containerd: a list with one object that has GraphDriver."""
    data = {
        "LowerDir": ":".join(detail.lowers) if detail.lowers else None,
        "MergedDir": detail.merged,
        "UpperDir": detail.upper,
        "WorkDir": detail.work,
    }
    name = detail.name or detail.ref
    return [
        {
            "Id": detail.id,
            **({"Name": f"/{name}"} if detail.container else {"RepoTags": [name]}),
            "Driver": detail.driver,
            "GraphDriver": {
                "Data": {key: value for key, value in data.items() if value is not None},
                "Name": detail.driver,
            },
        }
    ]


def _text(text: str | None) -> str | None:
    return None if text is None else show_text(text)
