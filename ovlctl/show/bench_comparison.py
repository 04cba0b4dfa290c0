"""A comparison of two runs as text of at most 80 columns and as JSON types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ovlctl.bench.codec import encode
from ovlctl.show.bench import narrow_table, wrap
from ovlctl.show.names import show_text
from ovlctl.show.sizes import format_ns, format_size

if TYPE_CHECKING:
    from ovlctl.bench.comparison import Comparison
    from ovlctl.bench.values import CellKey


def comparison_text(comparison: Comparison) -> str:
    """One line a cell under the name of its group, the verdict last."""
    rows = [("size", "first", "second", "ratio", "95 % CI", "p", "A12", "second is")]
    rows += [
        (
            format_size(cell.cell.size),
            format_ns(cell.base_ns),
            format_ns(cell.other_ns),
            f"{cell.ratio:.3f}",
            f"{cell.ratio_ci[0]:.2f}..{cell.ratio_ci[1]:.2f}",
            "<.001" if cell.p < 0.001 else f"{cell.p:.3f}",  # noqa: PLR2004
            f"{cell.a12:.2f}",
            str(cell.outcome),
        )
        for cell in comparison.cells
    ]
    widest = max(cell.margin for cell in comparison.cells)
    noisy = "; at least one of the runs was noisy" if comparison.noisy else ""
    header, *body = narrow_table(rows)
    lines, name = [], ""
    for cell, line in zip(comparison.cells, body, strict=True):
        if name != _name(cell.cell):
            name = _name(cell.cell)
            lines += [*wrap(name), header]
        lines.append(line)
    lines += wrap(
        "ratio: median of the second run over that of the first; p: how likely chance alone does this, with all cells "
        "counted; A12: how often a sample of the second run is the longer one"
    )
    least, most = 100 * comparison.threshold, 100 * widest
    lines += wrap(
        f"differences below {least:.0f} %, or below the noise of the cell (at most {most:.0f} %), do not count; "
        f"unclear: neither the same nor different by more than that{noisy}"
    )
    if comparison.missing:
        lines.append(f"{comparison.missing} cells are in one of the runs only")
    return "\n".join(lines)


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """``data`` of the JSON envelope."""
    data: dict[str, Any] = encode(comparison)
    data["slower"] = comparison.slower
    return data


def warnings(comparison: Comparison) -> tuple[str, ...]:
    """What was different between runs that were compared all the same."""
    return tuple(f"the runs differ: {show_text(line)}" for line in comparison.unlike)


def _name(key: CellKey) -> str:
    parts = [str(key.op), key.fs]
    if key.sweep.pairs:
        parts += [f"{name}={value}" for name, value in key.sweep.pairs]
    if key.cache != "warm":
        parts.append(str(key.cache))
    return show_text(", ".join(parts))
