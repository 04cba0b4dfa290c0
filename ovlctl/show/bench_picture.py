"""A result of the benchmark as a picture."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from ovlctl.show.bench import environment_line, group_title, groups
from ovlctl.show.sizes import format_ns, format_size
from ovlctl.show.svg import PAPER, Colors, Panel, Picture, Point, Series, render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.bench.values import Cell, Result, Summary

# With dashes, so that they survive grey, too.
_LINES = (
    ("first change", "first_ns", ""),
    ("plain copy", "copy_ns", "6 3"),
    ("later change", "second_ns", ""),
    ("no overlay", "bare_ns", "2 3"),
)
#: As the report page names its colours, which has other ones on a dark ground.
ON_PAGE = Colors(
    paper="none",
    ink="var(--ink)",
    muted="var(--muted)",
    grid="var(--line)",
    series=("var(--first)", "var(--copy)", "var(--later)", "var(--muted)"),
)
_FEWEST = 2
_COLUMNS = 96
"""Characters of the small print that fit below one panel."""


def result_svg(result: Result, colors: Colors = PAPER, *, narrow: bool = False) -> str:
    """Time over size on logarithmic axes: medians as lines, the 5th to 95th percentile as bands.

    Args:
        result: Of bench-copyup.
        colors: To draw with.
        narrow: Whether it is to be no wider than one panel.
    """
    panels = tuple(_panel(cells, colors) for cells in groups(result.cells))
    counts = [cell.samples for cell in result.cells]
    few = f"{min(counts)} to {max(counts)}" if min(counts) != max(counts) else f"{counts[0]}"
    subtitle = f"median of {few} fresh files a size; bands from the 5th to the 95th percentile"
    footer = [environment_line(result)]
    if result.noise.aa_floor is not None:
        footer.append(f"noise floor {100 * result.noise.aa_floor:.1f} % between two halves of the same samples")
    if result.noise.noisy:
        footer.append("NOISY: " + "; ".join(result.noise.warnings))
    if result.partial:
        footer.append("PARTIAL: the run was ended before everything was measured")
    wide = _COLUMNS * (1 if narrow or len(panels) < _FEWEST else 2)
    footer = [line for text in footer for line in textwrap.wrap(text, wide, subsequent_indent="    ")]
    title = "What the first change to a lower file costs" + (" (noisy machine)" if result.noise.noisy else "")
    return render(Picture(title=title, subtitle=subtitle, panels=panels, footer=tuple(footer)), colors, narrow=narrow)


def _panel(cells: Sequence[Cell], colors: Colors) -> Panel:
    ticks = tuple((float(cell.size), format_size(cell.size)) for cell in cells)
    return Panel(
        title=group_title(cells[0]),
        series=tuple(
            series
            for (name, field, dash), color in zip(_LINES, colors.series, strict=True)
            if (series := _series(cells, name, field, color, dash)).points
        ),
        x_ticks=ticks,
        y_name=format_ns,
        x_label="size of the file",
        y_label="time",
    )


def _series(cells: Sequence[Cell], name: str, field: str, color: str, dash: str) -> Series:
    points = []
    for cell in cells:
        summary: Summary | None = getattr(cell, field)
        if summary is None:
            continue
        wide = cell.samples >= _FEWEST
        points.append(
            Point(
                x=float(cell.size),
                y=float(summary.p50),
                low=float(summary.p5) if wide else None,
                high=float(summary.p95) if wide else None,
                tip=f"{name}, {format_size(cell.size)}: {format_ns(summary.p50)} "
                f"({format_ns(summary.p5)} to {format_ns(summary.p95)}, n={cell.samples})",
            )
        )
    return Series(name=name, color=color, points=tuple(points), dash=dash)
