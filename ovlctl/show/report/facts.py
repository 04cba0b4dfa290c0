"""A report as JSON types, for the script of the page: everything but the columns.

Names and texts in it are printable already; the page shows them as text and escapes nothing but the names in the
columns.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ovlctl.ops.trying.values import StepKind
from ovlctl.show.envelope import note_text
from ovlctl.show.explain import explanation_text
from ovlctl.show.explain_lines import named
from ovlctl.show.modes import mode_text
from ovlctl.show.names import show_argument, show_name, show_text
from ovlctl.show.sizes import format_ns, format_size
from ovlctl.show.times import format_time
from ovlctl.show.trying import call_text, mixing_lines, owner_lines, step_text
from ovlctl.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.bench.values import Result
    from ovlctl.ops.atlas.summary import LayerSummary
    from ovlctl.ops.reporting import Report
    from ovlctl.ops.trying.values import Deed, LayerSight, Moment, Recording, Sight


def facts(report: Report | None, bench: Result | None, made_ns: int) -> dict[str, Any]:
    """What a page says as a whole.

    Args:
        report: Of a stack; None on a page about a benchmark alone.
        bench: A result of bench-copyup.
        made_ns: When the page is made, nanoseconds since the epoch.
    """
    return {
        "ovlctl": __version__,
        "kernel": show_text(os.uname().release),
        "made": format_time(made_ns),
        "stack": None if report is None else _stack(report),
        "bench": None if bench is None else _bench(bench),
    }


def _stack(stack: Report) -> dict[str, Any]:
    subject, merged = stack.subject, stack.merged
    return {
        "label": show_name(subject.label),
        "command": " ".join(map(show_argument, stack.words)),
        "root": None if subject.root is None else show_name(subject.root),
        "image": subject.image is not None,
        "layers": [_layer(each, label) for each, label in zip(stack.layers, stack.labels, strict=True)],
        "merged": {
            "files": merged.files,
            "directories": merged.directories,
            "size": merged.size,
            "added": merged.added,
            "changed": merged.changed,
            "deleted": merged.deleted,
        },
        "stories": [[story.row, explanation_text(story.explanation)] for story in stack.stories],
        "recording": None if stack.recording is None else _recording(stack.recording, stack.words),
        "noRecording": None if stack.no_recording is None else note_text(stack.no_recording),
        "troubles": [note_text(note) for note in stack.troubles],
    }


def _layer(layer: LayerSummary, label: str) -> dict[str, Any]:
    return {
        "label": label,
        "role": layer.role,
        "directory": show_name(layer.directory),
        "files": layer.files,
        "directories": layer.directories,
        "size": layer.size,
        "adds": layer.adds,
        "hides": layer.hides,
        "whiteouts": layer.whiteouts,
        "wastedFiles": layer.wasted_files,
        "wasted": layer.wasted,
        "largest": [[show_name(each.path), each.size] for each in layer.largest],
        "unreadable": layer.unreadable,
    }


def _recording(recording: Recording, words: Sequence[str]) -> dict[str, Any]:
    return {
        "label": show_name(recording.label),
        "example": recording.example,
        "because": None if recording.because is None else show_text(recording.because),
        "kernel": show_text(recording.kernel),
        "fileSystem": show_text(recording.file_system),
        "layers": [{"label": each.label, "directory": show_name(each.directory)} for each in recording.layers],
        "deeds": [_deed(each, recording, () if recording.example else words) for each in recording.deeds],
    }


def _deed(deed: Deed, recording: Recording, words: Sequence[str]) -> dict[str, Any]:
    return {
        "action": deed.wish.action,
        "path": show_name("/" + deed.wish.path),
        "time": format_ns(deed.ns),
        "outcome": _outcome(deed),
        "remarks": [*mixing_lines(deed), *owner_lines(deed)],
        "command": " ".join(map(show_argument, ("ovlctl", "try", *words, deed.wish.action, deed.wish.path))),
        "calls": [{"text": call_text(each), "time": format_ns(each.ns)} for each in deed.calls],
        "steps": [
            {
                "kind": each.kind,
                "path": show_name("/" + each.path),
                "layer": each.layer,
                "source": each.source,
                "bytes": each.bytes,
                "marks": list(each.marks),
                "text": _sentence(step_text(each, recording.layers)),
            }
            for each in deed.steps
        ],
        "before": list(map(_moment, deed.before)),
        "after": list(map(_moment, deed.after)),
    }


def _sentence(text: str) -> str:
    # Names of layers and paths begin as they are.
    return text[0].upper() + text[1:] if text.startswith(("the ", "a ", "it ")) else text


def _outcome(deed: Deed) -> str:
    # In a few words; the steps have more.
    kinds = {step.kind for step in deed.steps}
    copied = sum(step.bytes for step in deed.steps if step.kind is StepKind.COPIED)
    if deed.errno:
        return f"refused: {named(deed.errno)}"
    if copied:
        return f"{format_size(copied)} copied up"
    if StepKind.WHITEOUT in kinds:
        return "a whiteout"
    return "new in the upper" if StepKind.CREATED in kinds else "nothing copied"


def _moment(moment: Moment) -> dict[str, Any]:
    return {
        "path": show_name("/" + moment.path),
        "merged": None if moment.merged is None else _sight(moment.merged),
        "layers": list(map(_layer_sight, moment.layers)),
    }


def _layer_sight(each: LayerSight) -> dict[str, Any]:
    return {
        "layer": each.layer,
        "path": None if each.path is None else show_name("/" + each.path),
        "sight": None if each.sight is None else _sight(each.sight),
        "marks": list(each.marks),
    }


def _sight(sight: Sight) -> dict[str, Any]:
    return {
        "kind": sight.kind,
        # Larger than what numbers of JavaScript hold exactly.
        "ino": str(sight.ino),
        "device": f"{os.major(sight.dev)}:{os.minor(sight.dev)}",
        "size": sight.size,
        "links": sight.nlink,
        "mode": mode_text(sight.kind, sight.mode),
        "owner": f"{sight.uid}:{sight.gid}",
        "time": format_time(sight.mtime_ns),
    }


def _bench(result: Result) -> dict[str, Any]:
    from ovlctl.show.bench import result_text
    from ovlctl.show.bench_picture import ON_PAGE, result_svg

    return {
        "wide": result_svg(result, ON_PAGE),
        "narrow": result_svg(result, ON_PAGE, narrow=True),
        "text": result_text(result),
    }
