"""A file taken out of a stack, as JSON and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ovlctl.show.names import json_path, show_argument, show_name
from ovlctl.show.sizes import format_size

if TYPE_CHECKING:
    from ovlctl.ops.extracting import Copied, Extraction


def copied_text(extraction: Extraction, done: Copied) -> str:
    """One line: where it is, how much it is."""
    many = "1 object" if done.objects == 1 else f"{done.objects} objects"
    return f"{show_name(extraction.where.path)}: {many}, {format_size(done.bytes)}"


def copy_json(extraction: Extraction, done: Copied | None) -> dict[str, Any]:
    """What was copied, or with None for *done* would be."""
    thing = extraction.thing
    provider = thing.place.layer
    return {
        "dry_run": done is None,
        **json_path("path", thing.path),
        "kind": thing.attributes.kind,
        "provider": {"role": provider.role, "index": provider.index, **json_path("dir", provider.directory)},
        **json_path("destination", extraction.where.path),
        "objects": None if done is None else done.objects,
        "bytes": None if done is None else done.bytes,
        "steps": None if done is not None else [step.text(show_argument) for step in extraction.describe()],
    }
