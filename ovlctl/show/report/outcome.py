"""What became of a page, as text and as JSON types; docs/schema/report.json is its schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ovlctl.show.envelope import note_text
from ovlctl.show.names import json_path, show_name, show_text
from ovlctl.show.sizes import format_size

if TYPE_CHECKING:
    from ovlctl.ops.reporting import Report


def written_text(report: Report | None, path: str, size: int) -> str:
    """One line: where it is and what it is about; a second one where the actions are not the stack's own."""
    lines = [f"{show_name(path)}: {_about(report)}, {format_size(size)}"]
    if report is not None and report.no_recording is not None:
        lines.append(f"  no actions were recorded: {note_text(report.no_recording)}")
    elif report is not None and report.recording is not None and report.recording.example:
        lines.append(f"  actions were recorded on an example instead of the stack: {_because(report)}")
    return "\n".join(lines)


def _about(report: Report | None) -> str:
    if report is None:
        return "a benchmark"
    files, layers = report.merged.files, len(report.layers)
    return f"{files} {'file' if files == 1 else 'files'}, {layers} {'layer' if layers == 1 else 'layers'}"


def written_json(report: Report | None, path: str, size: int, *, bench: bool) -> dict[str, Any]:
    """What was written, and what it is about."""
    return {
        **json_path("html", path),
        "bytes": size,
        "stack": None if report is None else _stack_json(report),
        "bench": bench,
    }


def _stack_json(report: Report) -> dict[str, Any]:
    recording = report.recording
    return {
        **json_path("label", report.subject.label),
        "layers": len(report.layers),
        "files": report.merged.files,
        "rows": len(report.atlas) - 1,
        "explained": len(report.stories),
        "recorded": None if recording is None else "example" if recording.example else "stack",
        "because": _because(report),
        "partial": report.partial,
    }


def _because(report: Report) -> str | None:
    if report.no_recording is not None:
        return note_text(report.no_recording)
    recording = report.recording
    return None if recording is None or recording.because is None else show_text(recording.because)
