"""How errors look."""

from __future__ import annotations

import errno
import json
import os

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from ovlctl.errors import BadUsage, Note, WorkOnOtherMount, literal
from ovlctl.show.envelope import dumps, envelope
from ovlctl.show.errors import error_json, error_text, internal_json, internal_text
from ovlctl.version import __version__

_SCHEMA = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "schema", "error.json")


def test_text() -> None:
    """One line says what, where and why; then the kernel's words; then what helps."""
    error = WorkOnOtherMount(
        "work `{}` is not on the mount of upper `{}`",
        "/w\n",
        "/u",
        hint="mkdir {1}.work",
        errno=errno.EINVAL,
        kernel=("overlayfs: bad\x1b",),
    )
    assert error_text(error).splitlines() == [
        "ovlctl: error[OVL-E020 work-on-other-mount]: work `/w\\x0a` is not on the mount of upper `/u`",
        "kernel: overlayfs: bad\\x1b",
        "hint: mkdir /u.work",
    ]


def test_json() -> None:
    """A program gets the same, in parts; a path that is not UTF-8 also as bytes."""
    error = WorkOnOtherMount("`{}`, `{}`", "/\udcff", "/u", errno=errno.EINVAL)
    assert error_json(error) == {
        "error": {
            "code": "OVL-E020",
            "name": "work-on-other-mount",
            "message": "`/\\xff`, `/u`",
            "path": "/\\xff",
            "path_b64": "L/8=",
            "paths": ["/\\xff", "/u"],
            "paths_b64": ["L/8=", None],
            "errno": "EINVAL",
            "hint": None,
            "kernel": [],
            "notes": [],
        }
    }


def test_notes() -> None:
    """What was noted on the way stands between the kernel's words and the hint, and in JSON; as the schema says."""
    error = BadUsage("no", hint="yes", kernel=("said",))
    error.add_note("this could not be undone: rmdir '/a\n\udcff': busy")
    error.add_note("second\x1b")
    shown = ["this could not be undone: rmdir '/a\\x0a\\xff': busy", "second\\x1b"]
    lines = error_text(error).split("\n")
    assert lines[1:] == ["kernel: said", *(f"note: {note}" for note in shown), "hint: yes"]
    assert error_json(error)["error"]["notes"] == shown
    strange = ValueError("odd")
    strange.add_note("first\nline")
    assert internal_text(strange).split("\n")[1] == "note: first\\x0aline"
    assert internal_json(strange)["error"]["notes"] == ["first\\x0aline"]
    with open(_SCHEMA, encoding="utf-8") as file:
        schema = json.load(file)
    for body in (error_json(error), internal_json(strange), error_json(BadUsage("plain"))):
        jsonschema.validate(body, schema)


@given(st.text(), st.binary().map(os.fsdecode))
def test_every_line_is_printable(text: str, path: str) -> None:
    """Nothing in a message, a path or the kernel's words reaches the terminal raw; lines stay lines."""
    error = BadUsage(f"{literal(text)} {{}}", path, hint=literal(text), kernel=(text,))
    error.add_note(text + path)
    lines = error_text(error).split("\n")
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)
    assert dumps(error_json(error)).isascii()


def test_what_nobody_expected() -> None:
    """An unexpected exception is one line, names its kind, and says how to see more."""
    error = FileNotFoundError(errno.ENOENT, "No such file or directory", "/a\nb")
    assert len(internal_text(error).splitlines()) == 2
    assert "FileNotFoundError" in internal_text(error)
    assert "OVLCTL_DEBUG=1" in internal_text(error)
    assert internal_json(error)["error"]["name"] == "internal-error"


def test_envelope() -> None:
    """The object around every result says what it is, who made it and on which kernel; warnings are one line each."""
    result = envelope("ls", [1], ["plain\n", Note("see `{}`", ("/\x1b",))])
    assert result == {
        "schema": "ovlctl.ls/1",
        "ovlctl": __version__,
        "kernel": os.uname().release,
        "data": [1],
        "warnings": ["plain\\x0a", "see `/\\x1b`"],
    }
