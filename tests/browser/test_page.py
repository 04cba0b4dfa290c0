"""The page in headless Chromium: it runs nothing but its own script, asks nobody, and can be used without a mouse."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ovlctl.ops.atlas.atlas import KINDS, Atlas, Sign
from ovlctl.overlay.tree import Kind
from ovlctl.show.names import show_argument, show_name
from ovlctl.show.sizes import format_size
from tests.browser.tools import drive
from tests.capabilities import needs_overlay
from tests.show.report.made import HOSTILE

if TYPE_CHECKING:
    from ovlctl.ops.reporting import Report
    from tests.conftest import Cli


@pytest.fixture(scope="session")
def atlas(report: Report) -> Atlas:
    """The tree that the page shows."""
    return report.atlas


def test_it_opens(written: str, report: Report) -> None:
    """Everything is there, nothing is said on the console, nothing is asked for, and only the page's script is left."""
    seen = drive("open", written)
    assert seen.noise == ()
    page = seen.result
    assert page["heading"] == show_name(report.subject.label)
    assert page["title"].startswith(page["heading"])
    assert page["scripts"] == 1
    assert page["sections"] == ["files", *(["actions"] if report.recording else []), "sizes"]
    assert "Not mounted" in page["summary"]
    assert page["troubles"] is None
    assert [text[: len(label)] for text, label in zip(page["layers"], ("merged", *report.labels), strict=True)] == [
        "merged",
        *report.labels,
    ]
    assert [row["text"] for row in page["rows"]] == [
        show_name(report.atlas.name(row)) + "/" for row in report.atlas.children(0)
    ]


def test_hostile_names(written: str, atlas: Atlas) -> None:
    """Each row, walked by keys, has the name that ovlctl shows anywhere; no name became an element or ran."""
    seen = drive("walk", written)
    assert seen.noise == ()
    assert seen.result["injected"] == 0
    found = {each["row"]: each for each in seen.result["found"]}
    assert sorted(found) == list(range(1, len(atlas)))
    for row, each in found.items():
        name = show_name(atlas.name(row))
        assert each["title"] == name
        assert each["text"] == name + ("/" if atlas.is_directory(row) else "")
        assert each["path"] == show_name("/" + atlas.path(row))
        assert each["sign"] == Sign(atlas.signs[row]).glyph.strip()
        assert each["level"] == atlas.depths[row]
        assert f"{show_argument(atlas.path(row))}Copy" in each["details"]
        if KINDS[atlas.kinds[row]] is Kind.FILE and atlas.signs[row] != Sign.WHITEOUT:
            assert each["size"] == format_size(atlas.sizes[row])
    shown = {each["title"] for each in found.values()}
    assert {show_name(os.fsdecode(name)) for name in HOSTILE} <= shown


def test_stories(written: str, report: Report) -> None:
    """What was changed has its whole story in the page, word by word what `explain` prints."""
    from ovlctl.show.explain import explanation_text

    found = {each["row"]: each["details"] for each in drive("walk", written).result["found"]}
    assert {row for row in found if report.atlas.signs[row] in {Sign.CHANGED, Sign.WHITEOUT, Sign.UNCHANGED}} <= {
        story.row for story in report.stories
    }
    for story in report.stories:
        if story.row:
            assert explanation_text(story.explanation) in found[story.row]


def test_search(written: str, atlas: Atlas) -> None:
    """Typing finds by parts of the path; what is found is said to those who cannot see it."""
    seen = drive("search", written, texts=["APP.conf", "/etc", "not-utf8-\\xff", "<script>", "no such thing"])
    assert seen.noise == ()
    conf, etc, bytes_, script, nothing = seen.result["answers"]
    names = len(atlas) - 1
    assert conf["count"] == conf["said"] == f"1 of {names} names"
    assert [row["text"] for row in conf["rows"]] == ["etc/", "app.conf"]
    assert etc["count"] == f"1 of {names} names"
    assert [row["text"] for row in bytes_["rows"] if not row["text"].endswith("/")] == ["not-utf8-\\xff\\xfe"] * 2
    assert script["count"] == f"2 of {names} names"
    assert (nothing["count"], nothing["rows"]) == ("Nothing is like that", [])
    # As many as fit on the screen, and directories on the way to them.
    added = [row["row"] for row in seen.result["added"] if row["sign"] == "+"]
    assert added == [row for row in range(len(atlas)) if atlas.signs[row] == Sign.ADDED][: len(added)]
    assert len(added) > 10
    assert all(row["sign"] == "+" or row["text"].endswith("/") for row in seen.result["added"])
    sizes = sorted((atlas.sizes[row] for row in range(1, len(atlas)) if not atlas.is_directory(row)), reverse=True)
    largest = seen.result["largest"]
    assert [row["size"] for row in largest if row["size"]][:5] == list(map(format_size, sizes[:5]))
    assert largest[0]["text"] == "/lib/lib.so"


@needs_overlay
def test_actions(written: str, report: Report) -> None:
    """The four actions by keyboard alone: each step is shown and said, and ends with what the real run came to."""
    assert report.recording is not None
    assert report.recording.example is False
    seen = drive("actions", written)
    assert seen.noise == ()
    assert seen.result["reached"] is True
    walked = seen.result["walked"]
    assert [each["name"] for each in walked] == ["Read", "Modify", "Delete", "Create"]
    for each, deed in zip(walked, report.recording.deeds, strict=True):
        states = each["states"]
        assert [state["place"] for state in states] == [
            f"Step {number} of {len(deed.steps) + 2}" for number in range(1, len(deed.steps) + 3)
        ]
        assert each["back"] == f"Step {len(states) - 1} of {len(states)}"
        assert all(state["said"] == f"{state['place']}. {state['step']}" for state in states[1:])
        for moment, state in ((deed.before[0], states[0]), (deed.after[0], states[-1])):
            name = show_name(os.path.basename(moment.path))
            there = any(chip == name for chip, _ in state["lanes"]["merged"])
            assert there is (moment.merged is not None)
            marked = [note for chip, note in state["lanes"]["scratch upper"] if chip == name]
            upper = moment.layers[0] if moment.layers else None
            assert bool(marked) is (upper is not None and upper.sight is not None and upper.layer == 0)
        assert all(
            str(sight.ino) in each["figures"] for sight in (deed.before[0].merged, deed.after[0].merged) if sight
        )
    modified, deleted = walked[1]["states"][-1]["lanes"], walked[2]["states"][-1]["lanes"]
    assert "from scratch upper" in modified["merged"][0][1]
    assert "whiteout" in [note for _, note in deleted["scratch upper"]]


@needs_overlay
def test_it_plays(written: str) -> None:
    """Chosen with the mouse, an action plays to its end, chips travelling, and stops."""
    seen = drive("play", written)
    assert seen.noise == ()
    step, _, count = seen.result["place"].removeprefix("Step ").partition(" of ")
    assert step == count


def test_axe(written: str) -> None:
    """axe-core finds nothing serious in either theme; nothing at all, in fact."""
    seen = drive("axe", written)
    assert seen.noise == ()
    assert seen.result["passed"] > 50
    assert seen.result["found"] == []


def test_themes(written: str) -> None:
    """The page follows the system, unless somebody chooses."""
    seen = drive("themes", written)
    assert seen.noise == ()
    assert seen.result["auto"] == seen.result["dark"] != seen.result["light"]


def test_widths(written: str) -> None:
    """On no screen does the page have to be moved sideways."""
    seen = drive("widths", written, widths=[360, 400, 768, 1024, 1280, 1920])
    assert seen.noise == ()
    assert seen.result == {str(width): width for width in (360, 400, 768, 1024, 1280, 1920)}


@needs_overlay
def test_a_benchmark(directory: str, result: str, written: str, cli: Cli) -> None:
    """A result of bench-copyup alone is a page of its own, with a picture and the same as text."""
    assert cli("report", "--bench", result, "--html", f"{directory}/bench.html").status == 0
    seen = drive("open", f"{directory}/bench.html")
    assert seen.noise == ()
    assert seen.result["sections"] == ["bench"]
    assert min(seen.result["picture"]) > 400
    assert seen.result["rows"] == []


def test_damaged(directory: str, written: str) -> None:
    """A page of which a piece is missing says that it cannot be shown."""
    with open(written, encoding="ascii") as file:
        text = file.read()
    begin = text.index('id="data">') + 1000
    path = f"{directory}/cut.html"
    with open(path, "w", encoding="ascii") as file:
        file.write(text[:begin] + text[begin + 1000 :])
    seen = drive("damaged", path)
    assert seen.result.startswith("This page cannot be shown")
