"""Pictures of a deed as lines: one lane for each layer, with chips for what is in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ovlctl.show.names import show_name
from ovlctl.show.sizes import format_ns
from ovlctl.show.trying import call_text, mixing_lines, owner_lines
from ovlctl.tui.cells import cell_len, cut, cut_middle, folded, padded
from ovlctl.tui.lines_view import words
from ovlctl.tui.moves import MERGED, NOTHING, Chip, Move, Picture
from ovlctl.tui.palette import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ovlctl.ops.trying.values import Deed
    from ovlctl.tui.glyphs import Glyphs
    from ovlctl.tui.tree_lines import Line

_LABEL: Final = 16
_CHIP: Final = 32
# Calls that are shown, and cells of their times.
_CALLS, _TIME = 4, 9
_SPREAD: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One line of the lanes.

    Attributes:
        lane: Whose it is; None for the line between two.
        chips: Whether its chips stand there.
        fact: Which line of its facts does.
    """

    lane: int | None
    chips: bool = False
    fact: int = 0


class Lanes:
    """Draws the pictures of one deed, all of them with everything in the same place.

    Args:
        deed: What was done.
        move: Its pictures.
        glyphs: Signs.
        role: The colour of a layer, by its number.
        width: Cells of a line.
    """

    def __init__(self, deed: Deed, move: Move, glyphs: Glyphs, role: Callable[[int], Role], width: int) -> None:
        self._deed, self._move, self._glyphs, self._role = deed, move, glyphs, role
        self._width = max(40, width)
        self._label = min(_LABEL, max(map(len, move.labels.values()))) + 4
        self._rows = tuple(self._laid_out())
        self._says = max(len(self._sentence(picture)) for picture in move.pictures)
        self._notes = [
            line for text in (*mixing_lines(deed), *owner_lines(deed)) for line in folded(f" {text}", self._width)
        ]

    def way(self, picture: Picture) -> int:
        """How many lines what moves has to go; 0 when nothing does."""
        flight = picture.flight
        return 0 if flight is None else self._at(flight.source) - self._at(flight.target)

    def lines(self, picture: Picture, gone: int | None = None) -> list[Line]:
        """A picture.

        Args:
            picture: One of the move.
            gone: How many lines of the way what moves has gone; None when it has arrived.
        """
        before = self._before(picture)
        moving = picture.flight if gone is not None else None
        flying = None if moving is None else self._at(moving.source) - (gone or 0)
        shown = picture if moving is None else before
        lines = [self._row(row, shown, picture) for row in self._rows]
        if flying is not None and moving is not None:
            lines[flying] = self._flying(self._rows[flying], picture, moving.chip)
        if self._move.others:
            more = self._move.others
            lines.append(words(f" {more} more layer{' has' if more == 1 else 's have'} nothing there", Role.DIM))
        lines.append(())
        sentence = self._sentence(picture)
        lines += [words(line, Role.STRONG) for line in sentence]
        lines += [() for _ in range(self._says - len(sentence))]
        lines += [(), *self._calls(), *(words(note, Role.DIM) for note in self._notes)]
        return lines

    def _laid_out(self) -> Iterator[_Row]:
        for lane in self._move.lanes:
            if lane != self._move.lanes[0]:
                yield _Row(lane=None)
            yield _Row(lane=lane, chips=True)
            if self._is_empty(lane):
                continue
            for line in range(max(len(self._facts(lane, picture)) for picture in self._move.pictures)):
                yield _Row(lane=lane, fact=line)

    def _is_empty(self, lane: int) -> bool:
        """Whether nothing is, and nothing comes, there."""
        pictures = self._move.pictures
        return not any(picture.chips[lane] or set(picture.facts[lane]) != {NOTHING} for picture in pictures)

    def _at(self, lane: int) -> int:
        return next(at for at, row in enumerate(self._rows) if row.chips and row.lane == lane)

    def _before(self, picture: Picture) -> Picture:
        at = next(at for at, each in enumerate(self._move.pictures) if each is picture)
        return self._move.pictures[max(0, at - 1)]

    def _facts(self, lane: int, picture: Picture) -> list[str]:
        lines: list[str] = []
        for moment, fact in zip(self._deed.before, picture.facts[lane], strict=True):
            lead = ""
            if len(self._deed.before) > 1:
                name = show_name(moment.path.rpartition("/")[2])
                lead = f"{cut_middle(name, _CHIP // 2, self._glyphs.cut)}: "
            lines += folded(lead + fact, self._width - self._label - 1)
        return lines

    def _row(self, row: _Row, picture: Picture, focus: Picture) -> Line:
        if row.lane is None:
            return words(self._glyphs.line * self._width, Role.DIM)
        here = row.lane in focus.here
        if not row.chips:
            told = self._facts(row.lane, picture)
            return (self._margin(), (told[row.fact] if row.fact < len(told) else "", Role.TEXT if here else Role.DIM))
        return (*self._lead(row.lane, here=here), *self._chips(row.lane, picture))

    def _lead(self, lane: int, *, here: bool) -> Line:
        mark = self._glyphs.chosen if here else " "
        label = padded(cut(self._move.labels[lane], _LABEL, self._glyphs.cut), self._label - 4)
        role = Role.STRONG if lane == MERGED or here else self._role(lane)
        return ((f" {mark} ", Role.STRONG), (f"{label} ", role))

    def _margin(self) -> tuple[str, Role]:
        return " " * self._label, Role.TEXT

    def _chips(self, lane: int, picture: Picture) -> Line:
        room = self._width - self._label - 1
        parts: list[tuple[str, Role]] = [(NOTHING, Role.DIM)] if self._is_empty(lane) else []
        for chip in picture.chips[lane]:
            text, role = self._chip(chip, lane)
            room -= cell_len(text) + 1
            if room < 0:
                parts.append((self._glyphs.cut, Role.DIM))
                break
            parts += [(text, role), (" ", Role.TEXT)]
        return tuple(parts)

    def _chip(self, chip: Chip, lane: int) -> tuple[str, Role]:
        sign = f"{chip.sign} " if chip.sign else ""
        text = f"[ {sign}{cut_middle(chip.name, _CHIP, self._glyphs.cut)} ]"
        if chip.fresh:
            return text, Role.CAPTION_HERE
        if chip.gone:
            return text, Role.WHITEOUT
        return text, Role.STRONG if lane == MERGED else self._role(lane)

    def _flying(self, row: _Row, picture: Picture, chip: Chip) -> Line:
        text = (self._chip(chip, 0)[0], Role.CAPTION_HERE)
        up = (f" {self._glyphs.up}", Role.STRONG)
        if row.lane is None or not row.chips:
            return (self._margin(), text, up)
        return (*self._lead(row.lane, here=row.lane in picture.here), text, up)

    def _sentence(self, picture: Picture) -> list[str]:
        return folded(f" {picture.says}", self._width)

    def _calls(self) -> Iterator[Line]:
        calls = self._deed.calls
        texts = [call_text(call) for call in calls[:_CALLS]]
        width = min(self._width - _TIME - _SPREAD, max(map(len, texts), default=0))
        for call, text in zip(calls, texts, strict=False):
            role = Role.ODD if call.errno else Role.TEXT
            shown = padded(cut_middle(text, width, self._glyphs.cut), width)
            yield ((f"   {shown}", role), (f"{format_ns(call.ns):>{_TIME}}", Role.CHANGED))
        if len(calls) > _CALLS:
            yield words(f"   {len(calls) - _CALLS} more", Role.DIM)
