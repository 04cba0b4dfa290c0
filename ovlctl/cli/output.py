"""The only way out: results to stdout, talk to stderr."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

from ovlctl.errors import OutputFailed, literal, strerror
from ovlctl.show.envelope import dumps, envelope, note_text
from ovlctl.show.names import show_argument, show_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from ovlctl.errors import Note


#: What is to be told with the result, however that is told.
_pending: list[Note] = []


def tell_later(notes: Iterable[Note]) -> None:
    """Keep *notes* until the verb tells something: as warnings in its JSON, else before it on stderr."""
    _pending.extend(notes)


def pending() -> tuple[Note, ...]:
    """What :func:`tell_later` kept and nobody told yet; from now on it counts as told."""
    notes = tuple(_pending)
    _pending.clear()
    return notes


def emit(text: str) -> None:
    """Print a result. Names in *text* have passed ``show_name``; a final newline is added unless it is there."""
    emit_lines(() if not text else (text.removesuffix("\n"),))


def emit_lines(lines: Iterable[str]) -> None:
    """Print a result that is made while it is printed, line by line; nothing of it is kept."""
    warn(())
    _write(f"{line}\n" for line in lines)


def emit_bytes(chunks: Iterable[bytes]) -> None:
    """Write a result that is no text, such as the content of a file, as it is."""
    warn(())
    with _WRITING:
        # What is said about it comes after it where both streams lead to one place.
        sys.stdout.flush()
    for chunk in chunks:
        with _WRITING:
            sys.stdout.buffer.write(chunk)
    with _WRITING:
        sys.stdout.buffer.flush()


def _write(texts: Iterable[str]) -> None:
    for text in texts:
        with _WRITING:
            sys.stdout.write(text)
    with _WRITING:
        sys.stdout.flush()


class _Writing:
    # Around the writing alone: what makes a result while it is printed reads, and its errors are not those of stdout.

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            abandon_stdout()
            raise output_failed(error) from error


_WRITING = _Writing()


def emit_steps(steps: Iterable[Note]) -> None:
    """Print what a dry run found: one sentence or command per step, to be pasted into a shell."""
    emit("\n".join(step.text(show_argument) for step in steps))


def emit_json(verb: str, data: Any, warnings: Iterable[str | Note] = ()) -> None:
    """Print a result as the JSON object of ``--json``; warnings go inside. Indented when a person looks on."""
    emit(dumps(envelope(verb, data, (*pending(), *warnings)), pretty=sys.stdout.isatty()))


def emit_json_items(verb: str, items: Iterable[Any], warnings: Callable[[], Iterable[str | Note]] = tuple) -> None:
    """Print the JSON object of a result whose data are a list that is made while it is printed, an item a line.

    Args:
        verb: As for :func:`emit_json`.
        items: Made of JSON types; asked for one by one.
        warnings: Asked for when all items have been told.
    """
    _write(_json_lines(verb, items, warnings))


def _json_lines(verb: str, items: Iterable[Any], warnings: Callable[[], Iterable[str | Note]]) -> Iterator[str]:
    whole = envelope(verb, None)
    yield dumps({key: whole[key] for key in ("schema", "ovlctl", "kernel")})[:-1] + ', "data": ['
    separator = "\n"
    for item in items:
        yield separator + dumps(item)
        separator = ",\n"
    told = envelope(verb, None, (*pending(), *warnings()))["warnings"]
    yield f'\n], "warnings": {dumps(told)}}}\n'


def confirmed(doomed: Iterable[str]) -> bool:
    """Ask on a terminal whether the directories *doomed* may be removed; where nobody can be asked the answer is no."""
    return agreed(f"Remove {', '.join(map(show_name, doomed))} with all that is in there?")


def agreed(question: str) -> bool:
    """Ask *question*, which is printable, on a terminal; where nobody can be asked the answer is no."""
    if not sys.stdin.isatty():
        return False
    import typer

    return typer.confirm(question, default=False, err=True)


def warn(warnings: Iterable[str | Note]) -> None:
    """Tell warnings on stderr, one line each, for a result that is printed as text."""
    for warning in (*pending(), *warnings):
        sys.stderr.write(f"ovlctl: warning: {note_text(warning)}\n")


def say(note: str | Note) -> None:
    """Tell something on stderr that is neither a result nor a warning, such as what is going on."""
    warn(())
    sys.stderr.write(f"ovlctl: {note_text(note)}\n")


def output_failed(error: OSError) -> OutputFailed:
    """What it means that writing to stdout failed with *error*."""
    return OutputFailed(f"cannot write the result: {literal(strerror(error))}", errno=error.errno)


def abandon_stdout() -> None:
    """Send what is still buffered nowhere, lest it fail once more when the interpreter closes the stream."""
    _abandon(sys.stdout)


def _abandon(stream: TextIO) -> None:
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.dup2(null, stream.fileno())
    finally:
        os.close(null)


def let_go() -> None:
    """Write what is still buffered for stdout and stderr; where nobody takes it, as where a terminal is gone, nowhere.

    The interpreter would try it once more at its end, and exit with 120.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _abandon(stream)
