"""What a line of the stack of layers says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ovlctl.show.names import show_name
from ovlctl.show.sizes import format_size
from ovlctl.tui.cells import cell_len, cut_middle, padded, tail
from ovlctl.tui.palette import Role

if TYPE_CHECKING:
    from ovlctl.ops.atlas.summary import LayerSummary, MergedSummary
    from ovlctl.tui.glyphs import Glyphs
    from ovlctl.tui.session import Session
    from ovlctl.tui.tree_lines import Line

#: The columns at the right, with their widths; the first ones to go when there is no room are the last.
_COLUMNS: Final = (("size", 8), ("files", 9), ("adds", 9), ("hides", 9), ("wasted", 8))
_TAIL: Final = 14
_MERGED: Final = "Merged"
_UNKNOWN: Final = "..."


class LayerLines:
    """Makes lines: the first is the merged view, the others are the layers."""

    def __init__(self, session: Session, glyphs: Glyphs) -> None:
        self._session = session
        self._glyphs = glyphs
        self._label = max(len(_MERGED), *map(len, session.labels))

    def __len__(self) -> int:
        """How many lines there are."""
        return 1 + len(self._session.labels)

    def captions(self, width: int) -> str:
        """What stands above the columns at the right."""
        return "".join(f"  {name:>{size}}" for name, size in self._columns(width))

    def line(self, at: int, width: int) -> Line:
        """One line: the sign of what is shown, label, where it is, and figures; what is not known yet is ``...``."""
        session = self._session
        number = None if at == 0 else at - 1
        columns = self._columns(width)
        figures = self._merged() if number is None else self._layer(number)
        right = "".join(f"  {figures[name]:>{size}}" for name, size in columns)
        shown = number == session.layer if session.awaited is None else number == session.awaited
        label = _MERGED if number is None else session.labels[number]
        role = Role.STRONG if number is None else session.role(number)
        lead = f" {self._glyphs.chosen if shown else ' '} {padded(label, self._label)}  "
        room = width - cell_len(lead) - cell_len(right)
        known = session.settled or number is None
        return (lead, role), (self._place(number, room), Role.DIM), (right, Role.TEXT if known else Role.DIM)

    def _columns(self, width: int) -> tuple[tuple[str, int], ...]:
        columns: tuple[tuple[str, int], ...] = _COLUMNS
        while columns and self._label + 5 + _TAIL + sum(size + 2 for _, size in columns) > width:
            columns = columns[:-1]
        return columns

    def _place(self, number: int | None, room: int) -> str:
        session = self._session
        if number is not None:
            directory = session.layer_at(number).directory
            return padded(tail(show_name(directory), room, self._glyphs.cut), room)
        root = session.subject.root
        place = "not mounted" if root is None else show_name(root)
        if session.private:
            place = "a private mount"
        changes = "" if session.summary is None or not session.has_upper else _changes(session.summary)
        if cell_len(changes) + 2 + min(_TAIL, cell_len(place)) > room:
            changes = ""
        place = cut_middle(place, room - cell_len(changes) - bool(changes), self._glyphs.cut)
        return padded(padded(place, room - cell_len(changes)) + changes, room)

    def _merged(self) -> dict[str, str]:
        found = self._session.summary
        if found is None:
            return {**dict.fromkeys((name for name, _ in _COLUMNS), ""), "size": _UNKNOWN, "files": _UNKNOWN}
        return {
            "size": format_size(found.size),
            "files": f"{found.files:,}",
            "adds": "",
            "hides": "",
            "wasted": "",
        }

    def _layer(self, number: int) -> dict[str, str]:
        found = self._session.summaries
        return dict.fromkeys((name for name, _ in _COLUMNS), _UNKNOWN) if found is None else _figures(found[number])


def _figures(found: LayerSummary) -> dict[str, str]:
    return {
        "size": format_size(found.size),
        "files": f"{found.files:,}",
        "adds": _signed("+", found.adds),
        "hides": _signed("-", found.hides),
        "wasted": format_size(found.wasted),
    }


def _signed(sign: str, number: int) -> str:
    return f"{sign}{number:,}" if number else "0"


def _changes(found: MergedSummary) -> str:
    return f"upper: +{found.added:,} ~{found.changed:,} o{found.deleted:,}"
