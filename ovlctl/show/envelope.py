"""The JSON object that every ``--json`` result comes in."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from ovlctl.show.names import show_name, show_text
from ovlctl.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable
    from json import JSONEncoder

    from ovlctl.errors import Note


def envelope(verb: str, data: Any, warnings: Iterable[str | Note] = ()) -> dict[str, Any]:
    """What a reading command answers under ``--json``.

    Args:
        verb: The command, which names the schema: ``mount`` gives ``ovlctl.mount/1``.
        data: The result, made of JSON types; sizes in bytes, times in nanoseconds or RFC 3339, unknown is None.
        warnings: One line each; names in a plain string have passed ``show_name`` already.
    """
    return {
        "schema": f"ovlctl.{verb}/1",
        "ovlctl": __version__,
        "kernel": os.uname().release,
        "data": data,
        "warnings": [note_text(warning) for warning in warnings],
    }


def dumps(value: Any, *, pretty: bool = False) -> str:
    """*value* as JSON in pure ASCII, without a final newline.

    ASCII, because it survives every locale and shows no control or bidi character raw. Indented only when *pretty*
    (for a person at a terminal): it costs ten times as much.
    """
    return _encoder(2 if pretty else None).encode(value)


@cache
def _encoder(indent: int | None) -> JSONEncoder:
    from json import JSONEncoder

    return JSONEncoder(ensure_ascii=True, allow_nan=False, indent=indent)


def note_text(note: str | Note) -> str:
    """A warning or remark as one printable line."""
    return show_text(note if isinstance(note, str) else note.text(show_name))
