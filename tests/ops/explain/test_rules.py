"""Every rule and every verdict, on real mounts: the answer, its words, and the kernel's own word for it."""

from __future__ import annotations

import json
import os
from functools import cache
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ovlctl.kernel.bootcache import Answer
from ovlctl.ops.explain import explain
from ovlctl.ops.explain.terms import (
    Because,
    DeviceOf,
    Donor,
    Ground,
    Known,
    LinkFate,
    Remark,
    Staleness,
    Stays,
    Verdict,
)
from ovlctl.ops.kernel_habits import habits
from ovlctl.ops.reading.rules import RULES
from ovlctl.overlay.habits import Habit
from ovlctl.overlay.marks import Mark
from ovlctl.overlay.options import Options, Switch
from ovlctl.overlay.resolution import Rule
from ovlctl.overlay.resolution import Verdict as Fate
from ovlctl.overlay.stack import Stack
from ovlctl.overlay.tree import Kind
from ovlctl.show.explain import explanation_text
from ovlctl.show.explain_json import explanation_json
from ovlctl.show.explain_words import BECAUSE, GROUNDS, KINDS, REMARKS, STALENESS, VERDICTS
from tests import capabilities, trees
from tests.ops.explain.mounts import fresh, viewing
from tests.overlay.made import mounted, new_directory
from tests.overlay.test_corners import CORNERS, Row
from tests.overlay.test_index import ROWS as INDEX_ROWS
from tests.overlay.test_index import Row as IndexRow
from tests.overlay.test_index import here, prepared

if TYPE_CHECKING:
    from enum import StrEnum

    from ovlctl.ops.explain.values import Explanation

SCHEMA = os.path.join(os.path.dirname(__file__), "..", "..", "..", "docs", "schema", "explain.json")
#: Rules that no lookup by name ends with, or that have tests of their own below and in tests/cli/test_explain.py.
ELSEWHERE = {
    Rule.ROOT,
    Rule.ONLY_ONE,
    Rule.MERGED,
    Rule.INDEXED,
    Rule.INDEX_WRONG,
    Rule.ORIGIN_DIFFERS,
    Rule.ORIGIN_OTHER_KIND,
    Rule.OVERLAPPING,
    Rule.UNREADABLE,
}
met: set[Rule] = set()
fates: set[Fate] = set()


@cache
def _schema() -> Any:
    with open(SCHEMA, encoding="ascii") as file:
        return json.load(file)


@cache
def _validator() -> jsonschema.Draft202012Validator:
    schema = {"$ref": "#/$defs/explanation", "$defs": _schema()["$defs"]}
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def _valid(explanation: Explanation) -> dict[str, Any]:
    data = explanation_json(explanation)
    _validator().validate(data)
    return data


def _sound(explanation: Explanation) -> None:
    """Whatever is explained has words, fits the schema, and is not denied by the kernel."""
    data = _valid(explanation)
    json.dumps(data, ensure_ascii=True, allow_nan=False)
    text = explanation_text(explanation)
    assert all(line.isprintable() for line in text.splitlines()), text
    if explanation.resolution.rule not in {Rule.PARENT_ABSENT, Rule.PARENT_NOT_DIRECTORY}:
        said = " ".join(RULES[explanation.resolution.rule].split())
        linked = explanation.obstacle is not None and explanation.obstacle.target is not None
        assert linked or said in " ".join(text.split()), text
    word = explanation.kernel
    assert word.verdict is Verdict.AGREES or word.ground in {Ground.THROUGH_LINK, Ground.NO_ANSWER}, word
    assert data["kernel"]["agrees"] in {True, None}


@pytest.mark.parametrize("row", CORNERS)
def test_corners(room: str, row: Row) -> None:
    """Layers that the kernel would never write: explained by the same rule, and the kernel agrees."""
    from tests.overlay.made import Case

    case = Case(lowers=row.lowers, upper=row.upper, data=row.data, options=row.options)
    with new_directory(room) as base:
        stack = case.write(base)
        with mounted(stack, f"{base}/merged") as point, viewing(point) as view:
            explanation = explain(view, row.path)
            assert (explanation.resolution.rule, explanation.resolution.errno) == row.here[:2]
            every = [explanation]
            every += [explain(view, path) for path in {"", row.path.rpartition("/")[0], *row.lowers[-1]}]
            for each in every:
                _sound(each)
                met.add(each.resolution.rule)
                fates.update(look.candidate.verdict for look in each.layers)


def test_every_rule_was_met() -> None:
    """The corners above leave out no rule but those that are tested elsewhere, and no fate of a layer's object."""
    if len(met) < 2:
        pytest.skip("needs the corners")
    old = {Rule.METACOPY_INVALID} if habits(Habit.METACOPY_VALUES) is Answer.NO else set[Rule]()
    assert set(Rule) - met <= ELSEWHERE | old
    elsewhere = {Fate.UNREADABLE, Fate.REDIRECTED_AWAY, Fate.NOT_ORIGIN, Fate.BEHIND_OPAQUE, Fate.MERGED}
    assert set(Fate) - fates <= elsewhere


WORDS: list[tuple[type[StrEnum], dict[Any, str]]] = [
    (Rule, RULES),
    (Fate, VERDICTS),
    (Because, BECAUSE),
    (Remark, REMARKS),
    (Ground, GROUNDS),
    (Staleness, STALENESS),
    (Kind, KINDS),
]


@pytest.mark.parametrize(("members", "words"), WORDS, ids=lambda each: getattr(each, "__name__", ""))
def test_every_member_has_words(members: type[StrEnum], words: dict[Any, str]) -> None:
    """No rule, verdict or reason is without words, and no two of them have the same."""
    assert set(members) == set(words)
    assert len(set(words.values())) == len(words)


def test_the_schema_knows_every_member() -> None:
    """Each closed set in the schema is the enum that it stands for."""
    definitions = _schema()["$defs"]
    inode = definitions["explanation"]["properties"]["inode"]["oneOf"][1]["properties"]
    kernel = definitions["explanation"]["properties"]["kernel"]["properties"]
    sets: list[tuple[type[StrEnum], Any]] = [
        (Rule, definitions["explanation"]["properties"]["rule"]),
        (Fate, definitions["candidate"]["properties"]["verdict"]),
        (Because, inode["remount_because"]),
        (Stays, inode["after_remount"]),
        (Donor, inode["donor"]),
        (Known, inode["known"]),
        (LinkFate, inode["links"]),
        (Ground, kernel["ground"]),
        (Remark, definitions["cost"]["properties"]["remarks"]["items"]),
    ]
    for members, schema in sets:
        assert schema["enum"] == [member.value for member in members]
    assert inode["device_of"]["enum"] == [*DeviceOf, None]


def test_the_rest_of_the_fates(memory: str) -> None:
    """Merged directories, what an opaque one hides, and what a redirect leaves out."""
    with new_directory(memory) as base:
        below = trees.make(f"{base}/below", {"merged/a": "1", "opaque/a": "1", "new/left": "1", "old/kept": "1"})
        above = trees.make(f"{base}/above", {"merged/b": "2", "opaque/b": "2", "new/": None})
        os.setxattr(f"{above}/opaque", "trusted.overlay.opaque", b"y")
        os.setxattr(f"{above}/new", "trusted.overlay.redirect", b"old")
        stack = fresh(base, "a", [above, below], Options())
        with mounted(stack, f"{base}/merged") as point, viewing(point) as view:
            found = {path: explain(view, path) for path in ("merged", "opaque", "new", "")}
        for explanation in found.values():
            _sound(explanation)
        seen = {path: [look.candidate.verdict for look in each.layers] for path, each in found.items()}
        assert seen["merged"] == [Fate.ABSENT, Fate.PROVIDES, Fate.MERGED]
        assert seen["opaque"] == [Fate.ABSENT, Fate.PROVIDES, Fate.BEHIND_OPAQUE]
        assert seen["new"] == [Fate.ABSENT, Fate.PROVIDES, Fate.MERGED, Fate.REDIRECTED_AWAY]
        assert found[""].resolution.rule is Rule.ROOT
        assert "in the layers below it is called old" in explanation_text(found["new"])


def test_through_the_index(disk: str) -> None:
    """A lower name whose other name was copied up is the index's file; a damaged index is refused, and said to be."""
    with new_directory(disk) as base:
        lower = trees.make(f"{base}/lower", {"a": "old", "c": "old"})
        os.link(f"{lower}/a", f"{lower}/b")
        os.link(f"{lower}/c", f"{lower}/d")
        stack = fresh(base, "a", [lower], Options(index=Switch.ON))
        with mounted(stack, f"{base}/merged") as point:
            for name in ("a", "c"):
                with open(f"{point}/{name}", "a", encoding="ascii") as file:
                    file.write(" and new")
        with mounted(stack, f"{base}/merged") as point, viewing(point) as view:
            explanation = explain(view, "b")
            _sound(explanation)
            assert explanation.resolution.rule is Rule.INDEXED
            assert explanation.layers[0].origin is not None
            assert explanation.layers[0].origin.path == "b"
            assert os.lstat(f"{point}/b").st_ino == explanation.inode.ino if explanation.inode else False
        origin = os.getxattr(f"{stack.upper}/c", "trusted.overlay.origin")
        entry = f"{stack.work}/index/{origin.hex()}"
        with mounted(stack, f"{base}/merged") as point:
            # At its start a mount sees to it that the index is sound.
            os.unlink(entry)
            os.mkfifo(entry)
            with viewing(point) as view:
                explanation = explain(view, "d")
                assert explanation.resolution.rule is Rule.INDEX_WRONG
                _sound(explanation)


@pytest.mark.parametrize("row", INDEX_ROWS, ids=lambda row: f"{row[0].__name__.strip('_')}, {row[1].nfs_export}")
def test_records_that_do_not_fit(memory: str, row: IndexRow) -> None:
    """With index=on and nfs_export=on, too, what is refused or left out is explained as the kernel has it."""
    spoil, options, path, rule, number = here(row)
    with new_directory(memory) as base:
        stack = prepared(base, options)
        spoil(base)
        with mounted(stack, f"{base}/merged") as point, viewing(point) as view:
            explanation = explain(view, path)
            assert (explanation.resolution.rule, explanation.resolution.errno) == (rule, number)
            for each in (explanation, *(explain(view, one) for one in ("", "d", "f", "hard", "link"))):
                _sound(each)


def test_an_upper_inside_a_lower(memory: str) -> None:
    """Where a lower holds the upper, the kernel gives ELOOP, and the reason is told."""
    with new_directory(memory) as base:
        trees.make(base, {"low/in/upper/": None, "low/in/work/": None, "low/f": "x"})
        stack = Stack([f"{base}/low"], upper=f"{base}/low/in/upper", work=f"{base}/low/in/work")
        with mounted(stack, f"{base}/merged") as point, viewing(point) as view:
            for path in ("in/upper", "in/work", "in", "f"):
                explanation = explain(view, path)
                _sound(explanation)
                assert (explanation.resolution.rule is Rule.OVERLAPPING) is path.startswith("in/")


def test_marks_in_words(memory: str) -> None:
    """Every mark that an object can carry is told, those that the kernel ignores as ignored."""
    records = {
        "opaque": b"y",
        "redirect": b"/else/where",
        "metacopy": bytes((0, 36, 0, 1)) + bytes(32),
        "origin": b"",
        "impure": b"y",
        "nlink": b"U+1",
        "uuid": bytes(range(16)),
        "protattr": b"ia",
        "upper": b"not a handle",
        "whiteout": b"y",
        "overlay.opaque": b"y",
        "strange\x1b": b"?",
    }
    assert {str(mark) for mark in Mark} <= set(records)
    with new_directory(memory) as base:
        lower = trees.make(f"{base}/lower", {"directory/": None, "file": "content"})
        for name in ("directory", "file"):
            for mark, value in records.items():
                os.setxattr(f"{lower}/{name}", f"trusted.overlay.{mark}", value)
        stack = fresh(base, "a", [lower], Options(metacopy=Switch.ON))
        with mounted(stack, f"{base}/merged") as point, viewing(point) as view:
            told = {name: explanation_text(explain(view, name)) for name in ("directory", "file")}
            data = {name: _valid(explain(view, name)) for name in ("directory", "file")}
    words = " ".join(told["directory"].split())
    kept = habits(Habit.ESCAPES) is not Answer.NO
    lost = "" if kept else ", which this kernel neither shows nor copies up, as a trial mount showed"
    for said in (
        "opaque: it shows nothing of the layers below",
        "redirect, absolute: in the layers below it is at /else/where",
        "metacopy, ignored: only regular files can be",
        "origin: copied up from a file system without file handles",
        "impure: ",
        "nlink=U+1: ",
        "uuid=000102030405060708090a0b0c0d0e0f: ",
        "protattr=ia: immutable and append-only flags",
        "mark whiteout, ignored: ",
        f"marks of an overlay on top of this one, ignored here{lost}: overlay.opaque",
        r"unknown marks: strange\x1b",
    ):
        assert said in words, said
    words = " ".join(told["file"].split())
    assert "opaque=y, ignored: only directories can be" in words
    if habits(Habit.METACOPY_VALUES) is not Answer.NO:
        assert "metacopy: it has metadata only, with fs-verity digest 0000" in words
    assert data["file"]["candidates"][1]["mark"] == "metacopy"
    assert data["directory"]["candidates"][1]["mark"] == "opaque"


pytestmark = capabilities.needs_root
