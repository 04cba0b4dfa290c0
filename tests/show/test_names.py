"""The one escaper."""

from __future__ import annotations

import ast
import os
from base64 import b64decode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ovlctl.show.names import json_path, json_paths, show_name, show_text

NAMES = st.binary(min_size=0, max_size=40).filter(lambda raw: b"\0" not in raw)
# Text with many of the characters that matter, as bytes of a name.
TRICKY = st.lists(
    st.sampled_from(
        [
            "\\",
            "x",
            "0",
            "a",
            "/",
            "\x1b",
            "\n",
            "\x7f",
            "\x85",
            "\u202e",
            "\u200b",
            "\u2028",
            "\u3164",
            "\ufe0f",
            "é",
            "\U000e0101",
        ]
    )
    | st.characters(exclude_characters="\0", exclude_categories=["Cs"])
).map(lambda parts: "".join(parts).encode())


def unescape(shown: str) -> bytes:
    """What ``$'...'`` of a shell makes of *shown*; the proof that nothing is lost."""
    literal = "".join(char if char.isascii() else "".join(f"\\x{byte:02x}" for byte in char.encode()) for char in shown)
    quoted = literal.replace("'", "\\'")
    value = ast.literal_eval(f"b'{quoted}'")
    assert isinstance(value, bytes)
    return value


@given(NAMES | TRICKY)
@example(b"\xff\\xff")
@example(b"\\\\")
def test_a_name_can_be_read_back(raw: bytes) -> None:
    """Distinct names are shown distinctly, because the name can be computed from what is shown."""
    assert unescape(show_name(os.fsdecode(raw))) == raw


@given(NAMES | TRICKY)
def test_what_is_shown_is_printable(raw: bytes) -> None:
    """No control, format, separator or undecodable character gets out."""
    shown = show_name(os.fsdecode(raw))
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"plain name", "plain name"),
        ("é 漢".encode(), "é 漢"),
        (b"a\\b", "a\\\\b"),
        (b"\x1b[31mred", "\\x1b[31mred"),
        (b"two\nlines", "two\\x0alines"),
        (b"\xff", "\\xff"),
        ("\u202etxt.exe".encode(), "\\xe2\\x80\\xaetxt.exe"),
        ("a\u00a0b".encode(), "a\\xc2\\xa0b"),
        ("\u3164".encode(), "\\xe3\\x85\\xa4"),
        (b"[red]/{x}", "[red]/{x}"),
    ],
)
def test_examples(raw: bytes, shown: str) -> None:
    """A few names and what becomes of them."""
    assert show_name(os.fsdecode(raw)) == shown


def test_what_is_no_name_is_shown_all_the_same() -> None:
    """A lone surrogate that no byte stands for does not raise."""
    assert show_name("\ud800") == "\\xed\\xa0\\x80"


@given(NAMES | TRICKY)
def test_showing_text_twice_is_showing_it_once(raw: bytes) -> None:
    """show_text leaves alone what is printable, so that names inside a message are escaped once."""
    once = show_text(show_name(os.fsdecode(raw)))
    assert once == show_name(os.fsdecode(raw)) == show_text(once)


@given(NAMES | TRICKY)
def test_json_keeps_the_bytes(raw: bytes) -> None:
    """From the members of a JSON object the bytes of a path can be had, whatever they are."""
    members = json_path("upper", os.fsdecode(raw))
    encoded, text = members.get("upper_b64"), members["upper"]
    assert text is not None
    assert (b64decode(encoded) if encoded is not None else text.encode()) == raw


def test_json_of_a_list() -> None:
    """The encoded list runs beside the shown one, and is there only when needed."""
    assert json_paths("lowers", ["/a", "/\n"]) == {"lowers": ["/a", "/\n"]}
    assert json_paths("lowers", ["/a", "/\udcff"]) == {"lowers": ["/a", "/\\xff"], "lowers_b64": [None, "L/8="]}
    assert json_paths("lowers", []) == {"lowers": []}
    assert json_path("upper", None) == {"upper": None}
