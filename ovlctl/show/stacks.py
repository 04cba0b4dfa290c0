"""Overlays as JSON and as text."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

from ovlctl.ops.discover import Standing
from ovlctl.overlay.options import Flag
from ovlctl.show.columns import aligned
from ovlctl.show.names import json_path, json_paths, show_argument, show_name
from ovlctl.show.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ovlctl.ops.describe import Description
    from ovlctl.ops.discover import Overlay
    from ovlctl.ops.mounting import MountPlan
    from ovlctl.ops.unmounting import UmountPlan
    from ovlctl.overlay.options import Options


def overlay_json(overlay: Overlay) -> dict[str, Any]:
    """One overlay in the shape that ``mount``, ``show`` and ``ls`` share."""
    record, stack = overlay.record, overlay.stack
    return {
        "name": overlay.name,
        **json_path("target", overlay.target),
        **json_paths("lowers", stack.lowers),
        **json_paths("data_only", stack.data_only),
        **json_path("upper", stack.upper),
        **json_path("work", stack.work),
        "read_only": overlay.read_only,
        "options": {} if overlay.effective is None else options_json(overlay.effective),
        "requested": {key.name: _option(value) for key, value in stack.options.asked()},
        "api": None if record is None else {"rung": record.api, "reason": record.reason},
        "managed": overlay.managed,
        "rootless": overlay.rootless,
        "standing": overlay.standing,
        "mount_id": None if overlay.mount is None else overlay.mount.mount_id,
        **json_path("source", None if overlay.mount is None else overlay.mount.source),
    }


def listed_json(overlay: Overlay, upper_bytes: int | None) -> dict[str, Any]:
    """One overlay as ``ls`` lists it; *upper_bytes* is None when it was not asked for or there is no upper."""
    return {**overlay_json(overlay), "stale": overlay.standing is Standing.STALE, "upper_bytes": upper_bytes}


def options_json(options: Options) -> dict[str, Any]:
    """Every option by its kernel name; flags are booleans, unknown is null."""
    return {key.name: _option(value) for key, value in options.items()}


def _option(value: object) -> Any:
    return value is Flag.YES if isinstance(value, Flag) else value


def description_json(description: Description) -> dict[str, Any]:
    """One stack in full."""
    return {
        **overlay_json(description.overlay),
        "layers": [
            {
                "role": layer.role,
                **json_path("path", layer.path),
                "fs": layer.fs_type,
                "dev": None if layer.dev is None else f"{layer.dev[0]}:{layer.dev[1]}",
                **json_path("mount_point", layer.mount_point),
                "problem": layer.problem,
            }
            for layer in description.layers
        ],
        "implies": [{"topic": topic, "text": text} for topic, text in description.implications],
    }


def list_text(overlays: Sequence[Overlay], sizes: dict[int, int | None] | None) -> str:
    """A table of overlays, one line each; *sizes* are bytes of the upper by position."""
    if not overlays:
        return ""
    head = ["NAME", "STATE", "TARGET", "LOWERS", "UPPER"] + ([] if sizes is None else ["SIZE"])
    rows = [_row(overlay) + ([] if sizes is None else [_size(sizes.get(at))]) for at, overlay in enumerate(overlays)]
    return aligned([head, *rows])


def _row(overlay: Overlay) -> list[str]:
    stack = overlay.stack
    state = overlay.standing + (", ro" if overlay.standing is Standing.MOUNTED and overlay.read_only else "")
    return [
        overlay.name or "-",
        state,
        "-" if overlay.target is None else show_name(overlay.target),
        str(len(stack.lowers) + len(stack.data_only)),
        "-" if stack.upper is None else show_name(stack.upper),
    ]


def _size(count: int | None) -> str:
    return "-" if count is None else format_size(count)


def plan_json(plan: MountPlan) -> dict[str, Any]:
    """What ``mount --dry-run`` would do."""
    record = plan.record
    return {
        "dry_run": True,
        "name": record.name,
        **json_path("target", record.target),
        **json_paths("lowers", record.stack.lowers),
        **json_paths("data_only", record.stack.data_only),
        **json_path("upper", record.stack.upper),
        **json_path("work", record.stack.work),
        "read_only": record.stack.read_only,
        "requested": {key.name: _option(value) for key, value in record.stack.options.asked()},
        "api": {"rung": record.api, "reason": record.reason},
        "steps": [step.text(show_argument) for step in plan.describe()],
    }


def umount_json(plan: UmountPlan, *, done: bool) -> dict[str, Any]:
    """What ``umount`` did, or with *done* False would do."""
    return {
        "dry_run": not done,
        "name": plan.overlay.name,
        **json_path("target", plan.overlay.target),
        **json_path("kept_upper", plan.kept),
        **json_paths("removed", plan.removed),
        "steps": [step.text(show_argument) for step in plan.describe()],
    }


def umounted_text(plan: UmountPlan) -> str:
    """What ``umount`` says when it is done."""
    overlay = plan.overlay
    what = overlay.name or show_name(overlay.target or "")
    was = {Standing.STALE: "cleared away the stale record of", Standing.KEPT: "discarded"}
    lines = [f"{was.get(overlay.standing, 'unmounted')} {what}"]
    lines += [f"  removed  {show_name(path)}" for path in plan.removed]
    if plan.kept is not None:
        lines.append(f"  upper    {show_name(plan.kept)} is untouched")
    return "\n".join(lines)


def mounted_text(overlay: Overlay) -> str:
    """What ``mount`` says when it is done."""
    record, stack = overlay.record, overlay.stack
    lines = [f"mounted {overlay.name} at {show_name(overlay.target or '')}"]
    lines.append(f"  lowers  {len(stack.lowers)}, topmost {show_name(stack.lowers[0])}")
    if stack.data_only:
        lines.append(f"  data    {len(stack.data_only)} data-only lower{'s' * (len(stack.data_only) != 1)}")
    if stack.upper is None:
        lines.append("  upper   none: read-only")
    else:
        made = record is not None and stack.upper in record.made
        lines.append(f"  upper   {show_name(stack.upper)}{' (made by ovlctl, kept until --discard)' if made else ''}")
    if record is not None:
        lines.append(f"  through {record.api}: {record.reason}")
    return "\n".join(lines)


def description_text(description: Description) -> str:
    """One stack in full, for people."""
    return "\n".join(_description(description))


def _description(description: Description) -> Iterator[str]:
    overlay = description.overlay
    record = overlay.record
    nameless = "- (an engine's)" if overlay.standing is Standing.STORED else "- (not mounted by ovlctl)"
    yield f"name     {overlay.name or nameless}"
    yield f"state    {overlay.standing}, {'read-only' if overlay.read_only else 'read-write'}" + (
        ", rootless" if overlay.rootless else ""
    )
    yield f"target   {'-' if overlay.target is None else show_name(overlay.target)}"
    if record is not None:
        yield f"through  {record.api}: {record.reason}"
    yield ""
    yield "layers, top to bottom"
    rows = [[layer.label, show_name(layer.path), layer.problem or layer.fs_type or "?"] for layer in description.layers]
    yield aligned(rows, indent="  ")
    if overlay.effective is not None:
        yield ""
        yield "options"
        asked = {key.name: str(value) for key, value in overlay.stack.options.asked()}
        table = [["KEY", "EFFECTIVE", "REQUESTED"]]
        for key, value in overlay.effective.items():
            table.append([key.name, "?" if value is None else str(value), asked.get(key.name, "-")])
        yield aligned(table, indent="  ")
    if description.implications:
        yield ""
        yield "this implies"
        for topic, text in description.implications:
            yield fill(text, 80, initial_indent=f"  {topic:17}  ", subsequent_indent=" " * 21)
