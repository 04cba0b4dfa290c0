"""The data of a page: what was put in comes out, in Python in the browser's language too, and none of it is markup."""

from __future__ import annotations

import json
import os
import re
import zlib
from array import array
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovlctl.ops import reading
from ovlctl.ops.atlas.atlas import DIRECTORY, KINDS, Atlas, Flag, Growing, Sign
from ovlctl.ops.atlas.scan import merged
from ovlctl.show.report.columns import block, columns
from tests.browser.tools import call, node
from tests.needs import unless
from tests.show.report import made

if TYPE_CHECKING:
    from collections.abc import Iterator

_CODES = {"Uint8": "B", "Uint16": "H", "Int16": "h", "Uint32": "I", "Float64": "d"}
_DERIVED = (
    "unpacked(ARGUMENT).then(({ facts, atlas }) => ({ facts, columns: Object.fromEntries("
    "Object.entries(atlas).map(([name, column]) => [name, typeof column === 'number' ? column : [...column]])) }))"
)
_FOUND = (
    "unpacked(ARGUMENT.block).then(({ atlas }) => ARGUMENT.wanted.map((each) => {"
    " const { marks, count } = found(atlas, { ...each, signs: new Set(each.signs) });"
    " return { count, rows: [...marks.keys()].filter((row) => marks[row] & FOUND),"
    " way: [...marks.keys()].filter((row) => marks[row] & ON_THE_WAY),"
    " largest: [...largest(atlas, marks, 5)] }; }))"
)


@pytest.fixture
def atlas(scratch: str) -> Atlas:
    """The merged view of a stack with hostile names."""
    with reading.opened(reading.of_directories(made.stack(scratch))) as view:
        return merged(view, status=True)[0]


def _decoded(text: str) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    raw = zlib.decompress(b64decode(text), 31)
    length = int.from_bytes(raw[:4], "little")
    facts = json.loads(raw[4 : 4 + length])
    base = -(-(4 + length) // 8) * 8
    found = {}
    for name, (kind, at, count) in facts["columns"].items():
        column: array[Any] = array(_CODES[kind])
        column.frombytes(raw[base + at : base + at + count * column.itemsize])
        found[name] = column.tolist()
    return facts, found


def test_round_trip(atlas: Atlas) -> None:
    """Every column comes out as it went in, and the facts with them."""
    facts, found = _decoded("".join(block({"a": ["</script>", "\u202e"]}, columns(atlas))))
    assert facts["a"] == ["</script>", "\u202e"]
    assert bytes(found["names"]) == bytes(atlas.names)
    for name in ("depths", "kinds", "signs", "flags", "providers", "sizes"):
        assert found[name] == list(getattr(atlas, name)), name
    covered, status = atlas.covered, atlas.status
    assert status is not None
    assert found["coveredRows"] == list(covered.rows)
    assert found["coveredLayers"] == list(covered.layers)
    assert found["coveredKinds"] == list(covered.kinds)
    assert found["coveredSizes"] == list(covered.sizes)
    assert (found["modes"], found["uids"], found["gids"]) == (list(status.modes), list(status.uids), list(status.gids))
    assert found["mtimes"] == [time // 10**9 for time in status.mtimes]


def test_no_markup(atlas: Atlas) -> None:
    """Whatever names hold, the block is base64, in pieces that fit together."""
    assert b"<script>" in bytes(atlas.names)
    text = "".join(block({"name": "</script><script>alert(1)</script>"}, columns(atlas)))
    assert re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", text)


@unless(node(), f"needs Node.js: {node().reason}")
def test_what_the_browser_works_out(atlas: Atlas) -> None:
    """Where names begin, who is in which directory and where that ends follows from names and depths."""
    found = call(_DERIVED, "".join(block({"x": 1}, columns(atlas))), "names.js", "data.js")
    assert found["facts"]["x"] == 1
    for name in ("offsets", "parents", "ends"):
        assert found["columns"][name] == list(getattr(atlas, name)), name


_NAMES = ("a", "b", "etc", "Etc", "app.conf", "lib", "x y", "\\", "\udcff")


def _grown(draw: st.DrawFn, growing: Growing, parent: int, depth: int) -> None:
    for name in sorted(draw(st.sets(st.sampled_from(_NAMES), max_size=4))):
        directory = depth < 4 and draw(st.booleans())
        sign, layer, size = draw(st.sampled_from(Sign)), draw(st.integers(0, 2)), draw(st.integers(0, 5000))
        row = growing.add(name, parent, depth, DIRECTORY if directory else 0, sign, layer, size)
        if directory:
            _grown(draw, growing, row, depth + 1)
            growing.close(row)


@st.composite
def _atlases(draw: st.DrawFn) -> Atlas:
    growing = Growing()
    growing.add("", 0, 0, DIRECTORY, Sign.SAME, 0, 0)
    _grown(draw, growing, 0, 1)
    growing.close(0)
    return growing.done()


_WANTED: list[dict[str, Any]] = [
    {"text": text, "kind": kind, "signs": signs, "layer": layer, "atLeast": least}
    for text, kind, signs, layer, least in (
        ("", None, [], None, 0),
        ("etc", None, [], None, 0),
        ("/etc", None, [], None, 0),
        ("etc/", None, [], None, 0),
        ("tc/a", None, [], None, 0),
        ("b/etc/a", None, [], None, 0),
        ("a etc", None, [], None, 0),
        ("APP.", None, [], None, 0),
        ("\\xff", None, [], None, 0),
        ("\\\\", None, [], None, 0),
        ("zzz", None, [], None, 0),
        ("", DIRECTORY, [], None, 0),
        ("", None, [int(Sign.ADDED), int(Sign.CHANGED)], None, 0),
        ("", None, [], 1, 0),
        ("a", 0, [], None, 1000),
    )
]


def _holds(path: bytes, word: bytes) -> bool:
    # Up to somewhere in the name, from the root where it begins with a slash.
    word = word.lower()
    path = b"/" + path.lower()
    name = path.rindex(b"/")
    if b"/" not in word:
        return word in path[name + 1 :]
    starts = [0] if word.startswith(b"/") else range(len(path))
    return any(path.startswith(word, at) and at + len(word) > name for at in starts)


def _rows(atlas: Atlas, wanted: dict[str, Any]) -> Iterator[int]:
    words = [
        word.replace("\\\\", "\0").replace("\\xff", "\udcff").replace("\0", "\\") for word in wanted["text"].split()
    ]
    parts = [os.fsencode(word) for word in words]
    for row in range(1, len(atlas)):
        path = os.fsencode(atlas.path(row))
        ways = [path[:at] for at in range(len(path)) if path[at : at + 1] == b"/"]
        here = [_holds(path, part) for part in parts]
        above = [any(_holds(way, part) for way in ways) for part in parts]
        if (
            (not parts or any(here))
            and all(mine or other for mine, other in zip(here, above, strict=True))
            and wanted["kind"] in {None, atlas.kinds[row]}
            and (not wanted["signs"] or atlas.signs[row] in wanted["signs"])
            and wanted["layer"] in {None, atlas.providers[row]}
            and (not wanted["atLeast"] or (atlas.sizes[row] >= wanted["atLeast"] and not atlas.is_directory(row)))
        ):
            yield row


@unless(node(), f"needs Node.js: {node().reason}")
@settings(max_examples=25)
@given(_atlases())
def test_finding(atlas: Atlas) -> None:
    """What is found is what is looked for, row by row; the directories on the way are told apart."""
    argument = {"block": "".join(block({}, columns(atlas))), "wanted": _WANTED}
    answers = call(_FOUND, argument, "names.js", "data.js", "find.js")
    for wanted, answer in zip(_WANTED, answers, strict=True):
        rows = list(_rows(atlas, wanted))
        assert (wanted, answer["rows"], answer["count"]) == (wanted, rows, len(rows))
        way = {atlas.parents[row] for row in rows}
        while more := {atlas.parents[row] for row in way} - way:
            way |= more
        assert answer["way"] == sorted(way)
        files = [row for row in rows if not atlas.is_directory(row)]
        assert answer["largest"] == sorted(files, key=lambda row: (-atlas.sizes[row], row))[:5]


@unless(node(), f"needs Node.js: {node().reason}")
def test_numbers() -> None:
    """The scripts count kinds, signs and flags as the columns do."""
    scripts = ("names.js", "data.js", "parts.js", "tree.js")
    kinds, signs, glyphs, flags = call("[KINDS, SIGNS, SIGN_GLYPHS, FLAGS]", None, *scripts)
    assert kinds == [str(kind) for kind in KINDS]
    assert signs == {sign.name.lower(): int(sign) for sign in Sign}
    assert glyphs == [sign.glyph for sign in Sign]
    assert flags == {flag.name.lower(): int(flag) for flag in Flag if flag.name is not None}
