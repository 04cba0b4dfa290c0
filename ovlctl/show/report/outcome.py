"""What became of a page, as text and as JSON types; docs/schema/report.json is its schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ovlctl.show.envelope import note_text
from ovlctl.show.names import json_path, show_name, show_text
from ovlctl.show.sizes import format_size

if TYPE_CHECKING:
    from ovlctl.ops.reporting import Report, StackReport


def written_text(report: Report, path: str, size: int) -> str:
    """One line: where it is and what it is about; a second one where the actions are not the stack's own."""
    lines = [f"{show_name(path)}: {_about(report)}, {format_size(size)}"]
    stack = report.stack
    if stack is not None and stack.no_recording is not None:
        lines.append(f"  no actions were recorded: {note_text(stack.no_recording)}")
    elif stack is not None and stack.recording is not None and stack.recording.example:
        because = show_text(stack.recording.because or "")
        lines.append(f"  actions were recorded on an example instead of the stack: {because}")
    return "\n".join(lines)


def _about(report: Report) -> str:
    if report.stack is None:
        return "a benchmark"
    layers = len(report.stack.layers)
    return f"{report.stack.merged.files} files, {layers} {'layer' if layers == 1 else 'layers'}"


def written_json(report: Report, path: str, size: int) -> dict[str, Any]:
    """What was written, and what it is about."""
    return {
        **json_path("html", path),
        "bytes": size,
        "stack": None if report.stack is None else _stack_json(report.stack),
        "bench": report.bench is not None,
    }


def _stack_json(stack: StackReport) -> dict[str, Any]:
    recording = stack.recording
    return {
        **json_path("label", stack.subject.label),
        "layers": len(stack.layers),
        "files": stack.merged.files,
        "rows": len(stack.atlas) - 1,
        "explained": len(stack.stories),
        "recorded": None if recording is None else "example" if recording.example else "stack",
        "because": _because(stack),
        "partial": stack.partial,
    }


def _because(stack: StackReport) -> str | None:
    if stack.no_recording is not None:
        return note_text(stack.no_recording)
    recording = stack.recording
    return None if recording is None or recording.because is None else show_text(recording.because)
