"""What a line of the tree says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ovlctl.ops.atlas.atlas import KINDS, NOBODY, Flag, Sign
from ovlctl.overlay.tree import Kind
from ovlctl.show.names import show_name
from ovlctl.show.sizes import format_size
from ovlctl.tui.cells import cell_len, cut_middle, padded
from ovlctl.tui.glyphs import KIND_MARKS
from ovlctl.tui.palette import OF_SIGN, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ovlctl.tui.glyphs import Glyphs
    from ovlctl.tui.page import Page

#: Pieces of a line, from the left, and what each is.
Line = tuple[tuple[str, Role], ...]

_SIZE: Final = 8
# A name has at least as many cells, before columns are left out.
_NAME: Final = 24
_INDENT: Final = 2
_UNSEEN: Final = frozenset({Sign.WHITEOUT, Sign.HIDDEN, Sign.ODD})


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeLines:
    """Makes lines.

    Attributes:
        labels: Of the layers, by number.
        role: The colour of a layer, by number.
    """

    labels: Sequence[str]
    role: Callable[[int], Role]
    glyphs: Glyphs

    def line(self, page: Page, row: int, width: int) -> Line:
        """The line of a row: sign, fold marker, name and kind; size and provider flush right."""
        sign = Sign(page.atlas.signs[row])
        role = OF_SIGN[sign]
        right = self._right(page, row, sign, width)
        room = width - sum(cell_len(text) for text, _ in right)
        lead, name = f" {sign.glyph} ", self._name(page, row)
        if not page.flat:
            depth = min(_INDENT * (page.atlas.depths[row] - 1), max(0, room // 2))
            lead += " " * depth + self._marker(page, row) + " "
        strong = page.atlas.is_directory(row) and role is Role.TEXT
        shown = cut_middle(name, room - cell_len(lead), self.glyphs.cut)
        return (
            (lead, role),
            (padded(shown, room - cell_len(lead)), Role.STRONG if strong else role),
            *right,
        )

    def captions(self, width: int) -> str:
        """What stands above the columns at the right."""
        return "".join(
            f"  {padded(text, size, right=text == 'size')}"
            for text, size in (("size", _SIZE), ("layer", self._provider_width))
            if self._has_room(size, width)
        )

    def marker_span(self, page: Page, row: int) -> range:
        """The cells that a click folds or unfolds at."""
        start = 3 + _INDENT * (page.atlas.depths[row] - 1)
        return range(start, start + 2) if page.atlas.is_directory(row) and not page.flat else range(0)

    @property
    def _provider_width(self) -> int:
        return max(5, *map(len, self.labels))

    def _has_room(self, size: int, width: int) -> bool:
        needed = _NAME + 4 + self._provider_width + (0 if size == self._provider_width else _SIZE)
        return width >= needed

    def _marker(self, page: Page, row: int) -> str:
        if not page.atlas.is_directory(row) or page.atlas.signs[row] == Sign.WHITEOUT:
            return " "
        return self.glyphs.unfolded if page.is_unfolded(row) else self.glyphs.folded

    def _name(self, page: Page, row: int) -> str:
        atlas = page.atlas
        kind = KINDS[atlas.kinds[row]]
        mark = "" if atlas.signs[row] == Sign.WHITEOUT else KIND_MARKS[kind]
        return show_name(atlas.path(row) if page.flat else atlas.name(row)) + mark

    def _right(self, page: Page, row: int, sign: Sign, width: int) -> Line:
        provider = page.atlas.providers[row]
        wide = self._provider_width
        parts: list[tuple[str, Role]] = []
        if self._has_room(_SIZE, width):
            parts.append((f"  {self._size(page, row, sign):>{_SIZE}}", Role.DIM))
        if self._has_room(wide, width):
            label = "" if provider == NOBODY else self.labels[provider]
            role = self.role(provider)
            parts.append((f"  {padded(label, wide)}", OF_SIGN[sign] if sign in _UNSEEN else role))
        return tuple(parts)

    def _size(self, page: Page, row: int, sign: Sign) -> str:
        atlas = page.atlas
        kind = KINDS[atlas.kinds[row]]
        if kind not in {Kind.FILE, Kind.DIRECTORY} or (sign is Sign.WHITEOUT and not atlas.sizes[row]):
            return ""
        if kind is Kind.FILE:
            return format_size(atlas.sizes[row])
        if atlas.flags[row] & Flag.UNREAD or sign in _UNSEEN:
            return ""
        below = page.totals.size(row)
        return "..." if below is None else format_size(below)
