"""``ovlctl report``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ovlctl.cli.completion import complete_stack
from ovlctl.cli.directories import takes_directories
from ovlctl.cli.output import emit, emit_bytes, emit_json, say, warn
from ovlctl.cli.parameters import ANY_STACK, Json, StateDir
from ovlctl.cli.reading import Given, subject_of
from ovlctl.errors import BadUsage, ExitStatus, Note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.bench.values import Result
    from ovlctl.ops.reading import Subject
    from ovlctl.ops.reporting import Report

_STDOUT = "-"


@takes_directories
def report(
    *,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            autocompletion=complete_stack,
            metavar="[STACK]",
            help=f"{ANY_STACK}.",
        ),
    ] = None,
    given: Given,
    html: Annotated[str, typer.Option("--html", metavar="FILE", help="Write the page here; - prints it.")],
    bench: Annotated[
        str | None,
        typer.Option("--bench", metavar="FILE", help="Show this result of bench-copyup --json, too; or it alone."),
    ] = None,
    run: Annotated[
        bool,
        typer.Option("--run/--no-run", help="Whether actions are done on a scratch upper, for the page to replay."),
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    json: Json = False,
    state_dir: StateDir = None,
) -> int:
    """Write a page about a stack: its layers and files, what a change does, sizes and waste.

    Example: ovlctl report app --html app.html

    One HTML file for any browser of 2024 or later, which loads nothing and sends nothing. It shows the layers, the
    merged view with the layer of each entry and what the upper changes, each path in detail, what nobody sees, and how
    reading, modifying, deleting and creating a file went: done by the kernel on the stack's own layers with a scratch
    upper, of which nothing stays. With --bench and no STACK it shows that result alone.

    Nothing in the stack is changed. Exits with 6 when something could not be read, which the page says as well.
    """
    if json and html == _STDOUT:
        raise BadUsage("`--html -` and `--json` both print", hint="give the name of a file, or leave `--json` out")
    result = None if bench is None else _loaded(bench)
    subject = None if result is not None and not words and not given.any else _subject(words or (), given, state_dir)
    from ovlctl.show.report.assets import page

    if html == _STDOUT:
        found = _gathered(subject, words or (), given, run=run)
        emit_bytes(piece.encode("ascii") for piece in page(found, result))
        warn(_troubles(found))
        return _status(found)
    from ovlctl.ops import publishing
    from ovlctl.show.report.outcome import written_json, written_text

    # Before a long look at the stack.
    where = publishing.place(html, subject, replace=force)
    found = _gathered(subject, words or (), given, run=run)
    size = publishing.write(where, page(found, result))
    if json:
        emit_json("report", written_json(found, where.path, size, bench=result is not None), _troubles(found))
    else:
        emit(written_text(found, where.path, size))
        warn(_troubles(found))
    return _status(found)


def _subject(words: Sequence[str], given: Given, state_dir: str | None) -> Subject:
    subject, more = subject_of(words, given, state_dir)
    if more:
        raise BadUsage("a page is about one stack", hint="name one STACK")
    if subject.inside:
        say(Note("{} lies in the stack of {}, all of which is shown", (words[0], subject.label)))
    return subject


def _loaded(path: str) -> Result:
    from ovlctl.bench import storage

    return storage.load(path)


def _gathered(subject: Subject | None, words: Sequence[str], given: Given, *, run: bool) -> Report | None:
    if subject is None:
        return None
    from ovlctl.ops import reading, reporting
    from ovlctl.show.counting import Counting

    with reading.opened(subject) as view, Counting("objects looked at") as tick:
        return reporting.report(view, given.words() or tuple(words), run=run, tick=tick)


def _troubles(found: Report | None) -> tuple[Note, ...]:
    return () if found is None else found.troubles


def _status(found: Report | None) -> ExitStatus:
    return ExitStatus.PARTIAL if _troubles(found) else ExitStatus.FINE
