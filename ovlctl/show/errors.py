"""Errors for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ovlctl.errors import OvlError
from ovlctl.show.names import json_path, json_paths, show_argument, show_name, show_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

INTERNAL_HINT = "this is a bug in ovlctl; OVLCTL_DEBUG=1 in the environment shows where it happened"


def error_text(error: OvlError) -> str:
    """*error* as lines for stderr, without a final newline.

    ``ovlctl: error[CODE NAME]: MESSAGE``, then one ``kernel:`` line for each thing the kernel said, one ``note:`` line
    for each note added to it (PEP 678), such as an undo that failed, then ``hint:`` when there is one. Every line is
    printable, whatever the paths hold.
    """
    return "\n".join(_lines(error))


def error_json(error: OvlError) -> dict[str, Any]:
    """*error* as the JSON object of ``--json``: code, name, message, path, errno (symbolic), hint, kernel, notes."""
    hint = error.hint(show_argument)
    body: dict[str, Any] = {
        "code": error.code,
        "name": error.name(),
        "message": show_text(error.message(show_name)),
        **json_path("path", error.paths[0] if error.paths else None),
        **json_paths("paths", error.paths),
        "errno": error.errno_name,
        "hint": None if hint is None else show_text(hint),
        "kernel": [show_name(line) for line in error.kernel],
        "notes": _notes(error),
    }
    return {"error": body}


def internal_text(error: BaseException) -> str:
    """An exception that nobody expected, in the form of :func:`error_text`."""
    first = f"ovlctl: error[{OvlError.code} internal-error]: {_describe(error)}"
    return "\n".join((first, *(f"note: {note}" for note in _notes(error)), f"hint: {INTERNAL_HINT}"))


def internal_json(error: BaseException) -> dict[str, Any]:
    """An exception that nobody expected, in the form of :func:`error_json`."""
    body = error_json(OvlError("internal error"))["error"]
    own = {"name": "internal-error", "message": _describe(error), "hint": INTERNAL_HINT, "notes": _notes(error)}
    return {"error": {**body, **own}}


def _lines(error: OvlError) -> Iterator[str]:
    yield f"ovlctl: error[{error.code} {error.name()}]: {show_text(error.message(show_name))}"
    for line in error.kernel:
        yield f"kernel: {show_name(line)}"
    for note in _notes(error):
        yield f"note: {note}"
    hint = error.hint(show_argument)
    if hint is not None:
        yield f"hint: {show_text(hint)}"


def _notes(error: BaseException) -> list[str]:
    return [show_text(note) for note in getattr(error, "__notes__", ())]


def _describe(error: BaseException) -> str:
    text = show_text(str(error))
    kind = type(error).__name__
    return f"internal error: {kind}: {text}" if text else f"internal error: {kind}"


def error_note(error: OvlError) -> str:
    """What an error says and what to do, as a warning beside a result that is given all the same."""
    hint = error.hint(show_argument)
    return error.message(show_name) + ("" if hint is None else f"; {hint}")


def error_notes(errors: Iterable[OvlError]) -> list[str]:
    """:func:`error_note` of each; what several stores say, once."""
    return list(dict.fromkeys(map(error_note, errors)))
