"""How errors look."""

from __future__ import annotations

import errno
import os

from hypothesis import given
from hypothesis import strategies as st

from ovlctl.errors import BadUsage, Note, WorkOnOtherMount, literal
from ovlctl.show.envelope import dumps, envelope
from ovlctl.show.errors import error_json, error_text, internal_json, internal_text
from ovlctl.version import __version__


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
        }
    }


@given(st.text(), st.binary().map(os.fsdecode))
def test_every_line_is_printable(text: str, path: str) -> None:
    """Nothing in a message, a path or the kernel's words reaches the terminal raw; lines stay lines."""
    error = BadUsage(f"{literal(text)} {{}}", path, hint=literal(text), kernel=(text,))
    lines = error_text(error).split("\n")
    assert len(lines) == 3
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
