"""Actions and what became of them as JSON types; docs/schema/try.json is their schema."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from ovlctl.show.explain_json import cost_json
from ovlctl.show.names import json_path, show_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ovlctl.ops.trying.values import (
        Call,
        Deed,
        Difference,
        GroundLayer,
        LayerSight,
        Moment,
        Preview,
        Sight,
        Step,
        Wish,
    )


def tried_json(
    label: str,
    ground: Sequence[GroundLayer],
    file_system: str,
    deeds: Iterable[tuple[Preview | None, Deed | None]],
    *,
    example: bool,
    live: bool,
    differences: Sequence[Difference] = (),
) -> dict[str, Any]:
    """What ``try`` did, or with None for a deed would do."""
    return {
        **json_path("stack", label),
        "example": example,
        "live": live,
        "file_system": file_system,
        "layers": [{"label": layer.label, **json_path("dir", layer.directory)} for layer in ground],
        "differences": [
            {"option": each.option, "asked": each.asked, "value": each.value, "because": each.because}
            for each in differences
        ],
        "actions": [_action(preview, deed) for preview, deed in deeds],
    }


def _action(preview: Preview | None, deed: Deed | None) -> dict[str, Any]:
    wish = deed.wish if deed is not None else preview.wish if preview is not None else None
    return {
        **({} if wish is None else wish_json(wish)),
        "preview": None if preview is None else preview_json(preview),
        "done": None if deed is None else deed_json(deed),
    }


def wish_json(wish: Wish) -> dict[str, Any]:
    """The action."""
    return {
        "action": wish.action,
        **json_path("path", wish.path),
        **json_path("to", wish.to),
        "mode": wish.mode,
    }


def preview_json(preview: Preview) -> dict[str, Any]:
    """What will happen."""
    return {
        "errno": _errno(preview.errno),
        "steps": [step_json(step) for step in preview.steps],
        "cost": None if preview.cost is None else cost_json(preview.cost),
        "in_own_upper": preview.in_own_upper,
    }


def deed_json(deed: Deed) -> dict[str, Any]:
    """What was done, and each path before and after."""
    return {
        "errno": _errno(deed.errno),
        "ns": deed.ns,
        "calls": [_call(call) for call in deed.calls],
        "steps": [step_json(step) for step in deed.steps],
        "before": [moment_json(moment) for moment in deed.before],
        "after": [moment_json(moment) for moment in deed.after],
        "mixed": deed.mixed,
        "in_own_upper": deed.in_own_upper,
    }


def step_json(step: Step) -> dict[str, Any]:
    """One step."""
    return {
        "kind": step.kind,
        **json_path("path", step.path),
        "layer": step.layer,
        "source": step.source,
        "bytes": step.bytes,
        "cloned": step.cloned,
        "marks": list(step.marks),
        "only_here": step.only_here,
    }


def moment_json(moment: Moment) -> dict[str, Any]:
    """A path at one moment."""
    return {
        **json_path("path", moment.path),
        "merged": None if moment.merged is None else sight_json(moment.merged),
        "layers": [_layer_sight(seen) for seen in moment.layers],
    }


def sight_json(sight: Sight) -> dict[str, Any]:
    """What lstat(2) says."""
    return {
        "kind": sight.kind,
        "ino": sight.ino,
        "dev": f"{os.major(sight.dev)}:{os.minor(sight.dev)}",
        "size": sight.size,
        "blocks": sight.blocks,
        "nlink": sight.nlink,
        "mode": sight.mode,
        "uid": sight.uid,
        "gid": sight.gid,
        "mtime_ns": sight.mtime_ns,
    }


def _layer_sight(seen: LayerSight) -> dict[str, Any]:
    return {
        "layer": seen.layer,
        "object": None if seen.sight is None else sight_json(seen.sight),
        "marks": list(seen.marks),
        **json_path("at", seen.path),
    }


def _call(call: Call) -> dict[str, Any]:
    return {"text": show_text(call.text), "ns": call.ns, "errno": _errno(call.errno)}


def _errno(number: int) -> str | None:
    return errno.errorcode.get(number, str(number)) if number else None
