"""A result as text, CSV and picture; a comparison as text."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovlctl.bench.comparison import compare
from ovlctl.bench.terms import Settings
from ovlctl.show import svg
from ovlctl.show.bench import result_csv, result_json, result_text
from ovlctl.show.bench_comparison import comparison_text
from ovlctl.show.bench_picture import result_svg

if TYPE_CHECKING:
    from ovlctl.bench.values import Result

_HOSTILE = "/x\x1b[31m\u202e\n/\udcff<b>&amp;\"'"


def hostile(result: Result) -> Result:
    """*result* as measured in a directory with a hostile name."""
    stored = tuple(
        replace(each, path=_HOSTILE, device=_HOSTILE, mount_options=(_HOSTILE,)) for each in result.environment.storage
    )
    return replace(result, environment=replace(result.environment, storage=stored))


def wide(result: Result) -> Result:
    """*result* with figures as wide as they get."""
    cells = []
    for cell in result.cells:
        long = replace(
            cell.first_ns, p50=999_000_000, p50_ci=(998_000_000, 999_000_000), p95=999_000_000, max=999_000_000
        )
        cells.append(
            replace(
                cell,
                size=1023 << 20,
                samples=100,
                noisy=True,
                first_ns=long,
                second_ns=long,
                bare_ns=long,
                ratio=99999.0,
            )
        )
    return replace(result, cells=tuple(cells))


@pytest.mark.parametrize("change", [lambda one: one, hostile, wide], ids=["plain", "hostile", "wide"])
def test_text_fits_80_columns_and_is_printable(result: Result, change: object) -> None:
    """No line is longer than 80 columns, and nothing a name holds reaches the terminal raw."""
    assert callable(change)
    text = result_text(change(result))
    for line in text.splitlines():
        assert line.isprintable()
        assert len(line) <= 80, line


def test_text_tells_everything(result: Result) -> None:
    """Sizes, identity cases, verdicts and the noise floor are all in it."""
    text = result_text(result)
    for word in ("4 KiB", "64 KiB", "95 % CI", "two fs, xino=auto", "hard links break", "noise floor", "fit:"):
        assert word in text
    assert "PARTIAL" not in text
    assert "PARTIAL: ended by SIGINT" in result_text(replace(result, partial=True, interrupted="SIGINT"))


def test_noise_labels_text_and_picture(result: Result) -> None:
    """A noisy run says so in the table and in the picture; a quiet one does not."""
    noisy = replace(result, noise=replace(result.noise, noisy=True, warnings=("the cat walked by",)))
    quiet = replace(result, noise=replace(result.noise, noisy=False, warnings=()))
    for show in (result_text, result_svg):
        assert "noisy" in show(noisy)
        assert "the cat walked by" in show(noisy)
        assert "[noisy]" not in show(quiet)


def test_csv_has_every_sample(result: Result) -> None:
    """One line a sample, overlay and bare, whose times are the ones of the result."""
    rows = list(csv.DictReader(io.StringIO(result_csv(result))))
    for cell in result.cells:
        mine = [row for row in rows if row["size"] == str(cell.size)]
        first = [int(row["first_ns"]) for row in mine if row["kind"] == "overlay"]
        bare = [int(row["bare_ns"]) for row in mine if row["kind"] == "bare"]
        assert first == list(cell.samples_ns)
        assert bare == [sample.bare_ns for sample in cell.bare_raw]
    assert len(rows) == sum(len(cell.samples_raw) + len(cell.bare_raw) for cell in result.cells)


def test_json_marks_paths_that_are_not_utf8(result: Result) -> None:
    """Such a path is escaped, with its bytes beside it."""
    (stored,) = result_json(hostile(result))["environment"]["storage"]
    assert stored["path"].isprintable()
    assert "path_b64" in stored


def test_picture_is_well_formed_and_needs_nothing_else(result: Result) -> None:
    """XML whatever the names hold, with all four lines labelled, and no reference to anything outside."""
    for one in (result, hostile(result), replace(result, cells=result.cells[:1])):
        document = result_svg(one)
        root = ET.fromstring(document)  # noqa: S314 - our own
        texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
        assert {"first change", "later change", "no overlay", "plain copy", "4 KiB"} <= texts
        assert "href" not in document
        assert "url(" not in document


def test_picture_of_a_sweep_has_a_panel_each(result: Result) -> None:
    """Cells that differ in more than their size are drawn apart."""
    other = tuple(replace(cell, sweep=Settings((("metacopy", "on"),))) for cell in result.cells)
    both = replace(result, cells=(*result.cells, *other))
    root = ET.fromstring(result_svg(both))  # noqa: S314 - our own
    assert len(root.findall("{http://www.w3.org/2000/svg}g")) == 2


@given(
    st.lists(
        st.tuples(st.floats(min_value=1, max_value=1e12), st.floats(min_value=0, max_value=1e12)),
        min_size=1,
        max_size=6,
    ),
    st.text(),
)
def test_any_picture_is_well_formed(places: list[tuple[float, float]], text: str) -> None:
    """All points lie on the picture, and every text survives as far as XML can carry it."""
    points = tuple(svg.Point(x=x, y=y, low=y / 2, high=y * 2, tip=text) for x, y in places)
    panel = svg.Panel(
        title=text,
        series=(svg.Series(name=text, color="#000000", points=points),),
        x_ticks=((places[0][0], text),),
        y_name=str,
        x_label=text,
        y_label=text,
    )
    document = svg.render(svg.Picture(title=text, subtitle=text, panels=(panel,), footer=(text,)))
    root = ET.fromstring(document)  # noqa: S314 - our own
    width, height = (float(root.get(name, "nan")) for name in ("width", "height"))
    for circle in root.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 <= float(circle.get("cx", "nan")) <= width
        assert 0 <= float(circle.get("cy", "nan")) <= height


def test_comparison_fits_80_columns(result: Result) -> None:
    """One line a cell with its verdict, none longer than 80 columns."""
    text = comparison_text(compare(result, result))
    assert all(len(line) <= 80 for line in text.splitlines())
    assert text.count("ms ") + text.count("us ") >= len(result.cells)
    assert text.startswith("write, ")
