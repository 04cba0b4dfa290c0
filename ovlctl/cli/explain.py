"""``ovlctl explain``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from ovlctl.cli.completion import complete_stack
from ovlctl.cli.directories import takes_directories
from ovlctl.cli.output import emit, emit_json, say, tell_later, warn
from ovlctl.cli.parameters import ANY_STACK, Json, StateDir
from ovlctl.cli.reading import Given, path_in, subject_of
from ovlctl.errors import BadUsage, ExitStatus, Note, OvlError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.bench.prediction import Prediction
    from ovlctl.bench.values import Result
    from ovlctl.ops.explain import Explanation
    from ovlctl.ops.reading import Subject, View


@takes_directories
def explain(
    *,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            autocompletion=complete_stack,
            metavar="[STACK] [PATH]...",
            help=f"{ANY_STACK}; then paths from the root of its merged view.",
        ),
    ] = None,
    given: Given,
    bench: Annotated[
        str | None,
        typer.Option("--bench", metavar="FILE", help="Predict times from this result of bench-copyup --json."),
    ] = None,
    json: Json = False,
    state_dir: StateDir = None,
) -> int:
    """Tell which layer a path comes from, why, and what a change to it would cost.

    Example: ovlctl explain app etc/app.conf

    Layer by layer what each has at the path, its marks in words, and why it won or lost; the inode numbers and what
    becomes of them; what opening for writing, chmod, rename and removing would copy; processes that would not see the
    change. On a mounted stack the kernel is asked too. Times are predicted from --bench, or from what bench-copyup
    --save kept. Nothing is changed.

    Exits with 1 when the kernel disagrees, 3 when no layer has anything at a path, 6 when something that matters could
    not be read.
    """
    subject, rest = subject_of(words or (), given, state_dir)
    paths = path_in(subject, rest)
    _check(paths)
    from ovlctl.ops import reading
    from ovlctl.ops.explain import explain as ask
    from ovlctl.show.explain import explanation_text
    from ovlctl.show.explain_json import explanation_json
    from ovlctl.show.explain_notes import notes

    with reading.opened(subject) as view:
        found = [ask(view, path) for path in paths]
        told = _predictions(found, subject, bench, state_dir)
        warnings = notes(found, subject.label)
        if json:
            emit_json("explain", [explanation_json(*each) for each in zip(found, told, strict=True)], warnings)
        else:
            emit("\n\n".join(explanation_text(*each) for each in zip(found, told, strict=True)))
            warn(warnings)
        for each in found:
            _hint(view, each)
    return _status(found)


def _check(paths: Sequence[str]) -> None:
    for path in paths:
        if ".." in path.split("/"):
            raise BadUsage("{} has a component `..`", path, hint="give the path from the root of the merged view")


def _predictions(
    found: Sequence[Explanation], subject: Subject, bench: str | None, state_dir: str | None
) -> list[tuple[Prediction, ...]]:
    """Times of the changes, from the result that was named, or from the one that was kept."""
    result = _kept(found, state_dir) if bench is None else _loaded(bench)
    if result is None:
        return [()] * len(found)
    from ovlctl.bench.prediction import predict

    return [predict(result, each, subject.options) for each in found]


def _kept(found: Sequence[Explanation], state_dir: str | None) -> Result | None:
    from ovlctl.ops.state import locate

    path = locate(state_dir).bench
    if not (any(map(_costs_time, found)) and os.path.exists(path)):
        return None
    try:
        return _loaded(path)
    except OvlError as error:
        # Nobody asked for it by name.
        tell_later([error.note])
        return None


def _costs_time(explanation: Explanation) -> bool:
    return any(cost.copies_object or cost.whiteout for cost in explanation.on_change)


def _loaded(path: str) -> Result:
    from ovlctl.bench import storage

    return storage.load(path)


def _hint(view: View, explanation: Explanation) -> None:
    if not explanation.nowhere:
        return
    inside = _below_mount_point(view.subject, explanation.path)
    if inside is not None:
        say(Note("hint: paths count from the root of the merged view: ask for {}", (inside or "/",)))


def _below_mount_point(subject: Subject, path: str) -> str | None:
    """The path from the root of the view that *path* would be if it was meant from the root of this system."""
    target = "" if subject.overlay is None else (subject.overlay.target or "").strip("/")
    inside = f"{path}/".startswith(f"{target}/") if target else False
    return path[len(target) :].strip("/") if inside else None


def _status(found: Sequence[Explanation]) -> ExitStatus:
    from ovlctl.ops.explain.terms import Verdict

    if any(each.kernel.verdict is Verdict.DISAGREES for each in found):
        return ExitStatus.FINDING
    if any(each.partial for each in found):
        return ExitStatus.PARTIAL
    return ExitStatus.NOT_FOUND if any(each.nowhere for each in found) else ExitStatus.FINE
