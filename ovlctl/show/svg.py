"""A small SVG writer: panels with logarithmic axes, lines, bands and labels that stand beside their lines.

Self-contained: no script, no style sheet from elsewhere, no font but what the reader has. Every text is escaped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_FONT = "system-ui, 'DejaVu Sans', 'Segoe UI', sans-serif"
_PANEL_WIDTH, _PANEL_HEIGHT = 640, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 132, 34, 44
_LEAST = 1e-9
_HEAD, _LINE, _LABEL_GAP = 58, 17, 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Colors:
    """What a picture is drawn with: colours as CSS has them, so that a page may name its own.

    Attributes:
        paper: What it is drawn on.
        ink: Titles.
        muted: Axes and what stands beside them.
        grid: Lines behind the data.
        series: Four lines of data. By default of the palette of Okabe and Ito, which survives colour blindness.
    """

    paper: str = "#ffffff"
    ink: str = "#1f2328"
    muted: str = "#59636e"
    grid: str = "#e4e7eb"
    series: tuple[str, str, str, str] = ("#d55e00", "#009e73", "#0072b2", "#59636e")


PAPER = Colors()


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point of a line, with the ends of its band and the words of its tooltip."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    tip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A named line. *dash* is an SVG dash pattern, so that lines differ without colour too."""

    name: str
    color: str
    points: tuple[Point, ...]
    dash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A pair of logarithmic axes. *x_ticks* are the marked places; y is marked at powers of ten."""

    title: str
    series: tuple[Series, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_name: Callable[[float], str]
    x_label: str
    y_label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Panels under a title, two in a row when there are several, with small print below."""

    title: str
    subtitle: str
    panels: tuple[Panel, ...]
    footer: tuple[str, ...]


def render(picture: Picture, colors: Colors = PAPER, *, narrow: bool = False) -> str:
    """*picture* as an SVG document; a *narrow* one has its panels below each other.

    Law: well-formed XML whatever the texts hold; equal pictures give equal documents.
    """
    across = 1 if narrow or len(picture.panels) < 2 else 2  # noqa: PLR2004
    rows = -(-len(picture.panels) // across)
    decades = _decades(picture.panels)
    width = across * _PANEL_WIDTH
    height = _HEAD + rows * _PANEL_HEIGHT + _LINE * len(picture.footer) + 14
    body = [
        _text(20, 28, picture.title, color=colors.ink, size=18, weight=600),
        _text(20, 48, picture.subtitle, color=colors.muted),
    ]
    for index, panel in enumerate(picture.panels):
        x, y = index % across * _PANEL_WIDTH, _HEAD + index // across * _PANEL_HEIGHT
        body.append(f'<g transform="translate({x} {y})">')
        body.extend(_panel(panel, decades, colors))
        body.append("</g>")
    for index, line in enumerate(picture.footer):
        body.append(_text(20, _HEAD + rows * _PANEL_HEIGHT + 12 + _LINE * index, line, size=11, color=colors.muted))
    attributes = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="{_FONT}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {attributes}>',
            f"<title>{_clean(picture.title)}</title>",
            f'<rect width="{width}" height="{height}" fill="{colors.paper}"/>',
            *body,
            "</svg>\n",
        ]
    )


def _panel(panel: Panel, decades: range, colors: Colors) -> Iterator[str]:
    to_x, to_y = _scales(panel, decades)
    right, bottom = _PANEL_WIDTH - _RIGHT, _PANEL_HEIGHT - _BOTTOM
    yield _text(20, 16, panel.title, color=colors.ink, size=13, weight=600)
    for exponent in decades:
        value = 10.0**exponent
        y = to_y(value)
        yield f'<line x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colors.grid}"/>'
        yield _text(_LEFT - 8, y + 4, panel.y_name(value), size=11, color=colors.muted, anchor="end")
    for value, name in panel.x_ticks:
        x = to_x(value)
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 5}" stroke="{colors.muted}"/>'
        yield _text(x, bottom + 18, name, size=11, color=colors.muted, anchor="middle")
    yield f'<line x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}" stroke="{colors.muted}"/>'
    yield _text((_LEFT + right) / 2, bottom + 36, panel.x_label, size=11, color=colors.muted, anchor="middle")
    yield _text(_LEFT - 42, _TOP - 4, panel.y_label, size=11, color=colors.muted)
    for series in panel.series:
        yield from _band(series, to_x, to_y)
    for series in panel.series:
        yield from _line(series, to_x, to_y)
    yield from _labels(panel.series, to_x, to_y)


def _decades(panels: Sequence[Panel]) -> range:
    """The powers of ten that all values of all panels lie between, so that panels can be compared by eye."""
    values = [
        value
        for panel in panels
        for series in panel.series
        for point in series.points
        for value in (point.y, point.low, point.high)
        if value is not None and value > _LEAST
    ] or [1.0]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return range(low, max(high, low + 1) + 1)


def _scales(panel: Panel, decades: range) -> tuple[Callable[[float], float], Callable[[float], float]]:
    low, high = decades[0], decades[-1]
    xs = [point.x for series in panel.series for point in series.points] or [1.0]
    x_low, x_high = math.log10(min(xs)), math.log10(max(xs))
    inner, tall = _PANEL_WIDTH - _LEFT - _RIGHT, _PANEL_HEIGHT - _TOP - _BOTTOM
    margin = 14

    def to_x(value: float) -> float:
        if x_high == x_low:
            return _LEFT + inner / 2
        return _LEFT + margin + (math.log10(value) - x_low) / (x_high - x_low) * (inner - 2 * margin)

    def to_y(value: float) -> float:
        # A time of zero has no place on this axis; it stands at its foot.
        share = (math.log10(max(value, 10.0**low)) - low) / (high - low)
        return _TOP + 8 + (1 - share) * (tall - 8)

    return to_x, to_y


def _band(series: Series, to_x: Callable[[float], float], to_y: Callable[[float], float]) -> Iterator[str]:
    ends = [(p.x, p.low, p.high) for p in series.points if p.low is not None and p.high is not None]
    if len(ends) == 1:
        x, low, high = ends[0]
        yield (
            f'<line x1="{to_x(x):.1f}" x2="{to_x(x):.1f}" y1="{to_y(low):.1f}" y2="{to_y(high):.1f}" '
            f'stroke="{series.color}" stroke-opacity="0.3" stroke-width="6"/>'
        )
    elif ends:
        upper = [f"{to_x(x):.1f},{to_y(high):.1f}" for x, _, high in ends]
        lower = [f"{to_x(x):.1f},{to_y(low):.1f}" for x, low, _ in reversed(ends)]
        yield f'<polygon points="{" ".join(upper + lower)}" fill="{series.color}" fill-opacity="0.16"/>'


def _line(series: Series, to_x: Callable[[float], float], to_y: Callable[[float], float]) -> Iterator[str]:
    places = " ".join(f"{to_x(point.x):.1f},{to_y(point.y):.1f}" for point in series.points)
    dash = f' stroke-dasharray="{series.dash}"' if series.dash else ""
    yield f'<polyline points="{places}" fill="none" stroke="{series.color}" stroke-width="2"{dash}/>'
    for point in series.points:
        yield (
            f'<circle cx="{to_x(point.x):.1f}" cy="{to_y(point.y):.1f}" r="3.5" fill="{series.color}">'
            f"<title>{_clean(point.tip)}</title></circle>"
        )


def _labels(every: Sequence[Series], to_x: Callable[[float], float], to_y: Callable[[float], float]) -> Iterator[str]:
    """Names beside the last points, moved apart where they would overlap."""
    ends = sorted((to_y(s.points[-1].y), to_x(s.points[-1].x), s) for s in every if s.points) if every else []
    placed = -math.inf
    for y, x, series in ends:
        placed = max(y, placed + _LABEL_GAP)
        yield _text(x + 10, placed + 4, series.name, size=12, color=series.color, weight=600)


def _text(
    x: float, y: float, text: str, *, color: str, size: int = 12, anchor: str = "start", weight: int = 400
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{_clean(text)}</text>'
    )


def _clean(text: str) -> str:
    # XML has no way to write most control characters and lone surrogates, not even as entities.
    return escape("".join(char if char.isprintable() else "?" for char in text))
