"""A listing as lines of text and as JSON, a row at a time."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from ovlctl.ops.reading.layer_names import name_of
from ovlctl.overlay.marks import Mark, Opaque, RedirectForm
from ovlctl.overlay.resolution import Outcome, Rule, Verdict
from ovlctl.overlay.tree import Kind
from ovlctl.show.modes import mode_text
from ovlctl.show.names import json_path, show_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.listing import Row
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.object_marks import Marks
    from ovlctl.overlay.tree import Attributes

#: What the first column says.
SEEN, PART, HIDDEN, WHITEOUT, TROUBLE = " ", "=", "-", "o", "!"

_SIGNS = {
    Verdict.PROVIDES: SEEN,
    Verdict.MERGED: PART,
    Verdict.DATA: PART,
    Verdict.METADATA_ONLY: PART,
    Verdict.WHITEOUT: WHITEOUT,
    Verdict.REFUSED: TROUBLE,
    Verdict.UNREADABLE: TROUBLE,
}
_DEVICES = {Kind.CHARACTER, Kind.BLOCK}


class RowsText:
    """Makes lines of rows, one after the other."""

    def __init__(self) -> None:
        # There are few layers and many rows.
        self._layers: dict[int, str] = {}

    def __call__(self, row: Row) -> str:
        """One line: a sign, mode, owner, size, layer, path, and in brackets what else there is to say."""
        seen, place = row.attributes, row.place
        if seen is None or place is None:
            mode, owner, size, layer = "?---------", "-", "-", "-"
        else:
            mode, owner = mode_text(seen.kind, seen.mode), f"{seen.uid}:{seen.gid}"
            size, layer = _size(seen), self._layer(place.layer)
        line = f"{_sign(row)} {mode} {owner:>7} {size:>10} {layer:<8} {show_name(row.path)}"
        if row.target is not None:
            line += f" -> {show_name(row.target)}"
        remarks = "; ".join(_remarks(row))
        return f"{line}  ({remarks})" if remarks else line

    def _layer(self, layer: Layer) -> str:
        if (name := self._layers.get(id(layer))) is None:
            name = self._layers[id(layer)] = str(name_of(layer))
        return name


def _size(seen: Attributes) -> str:
    if seen.kind is Kind.FILE:
        return str(seen.size)
    if seen.kind in _DEVICES:
        return f"{os.major(seen.rdev)},{os.minor(seen.rdev)}"
    # A directory's own is an affair of its file system.
    return "-" if seen.kind is Kind.DIRECTORY else str(seen.size)


def _sign(row: Row) -> str:
    if row.verdict is not None:
        return _SIGNS.get(row.verdict, HIDDEN) if not row.data_errno else TROUBLE
    if row.outcome is not Outcome.PRESENT:
        return TROUBLE
    return WHITEOUT if row.marks is not None and row.marks.whiteout is not None else SEEN


def _remarks(row: Row) -> Iterator[str]:
    if row.place is None:
        yield _why_nothing(row)
    elif row.rule is Rule.INDEXED and row.verdict is Verdict.PROVIDES:
        yield "through the index"
    elif row.place.path != row.path:
        yield f"from {show_name(row.place.path)}"
    if row.verdict is not None and row.verdict is not Verdict.PROVIDES:
        yield _words(row.verdict)
    if row.data is not None:
        yield f"data in {name_of(row.data.layer)}"
    if row.data_errno:
        yield f"no data: {_symbol(row.data_errno)}"
    if row.marks is not None:
        yield from _marks(row.marks)


def _why_nothing(row: Row) -> str:
    rule = _words(row.rule)
    if row.outcome is Outcome.ABSENT:
        return f"listed, not there: {rule}"
    if row.outcome is Outcome.REFUSED:
        listed = ", not listed" if row.listed is False else ""
        return f"refused: {_symbol(row.errno)}, {rule}{listed}"
    return "not known: something could not be read"


def _marks(marks: Marks) -> Iterator[str]:
    if marks.whiteout is not None:
        yield "whiteout"
    if marks.opaque is Opaque.YES:
        yield "opaque"
    elif marks.opaque is Opaque.WHITEOUTS and Mark.OPAQUE not in marks.unread:
        yield "holds whiteouts"
    if marks.redirect is not None:
        invalid = "invalid " if marks.redirect.form is RedirectForm.INVALID else ""
        yield f"{invalid}redirect to {show_name(marks.redirect.target)}"
    if marks.metacopy is not None:
        yield "metadata only"
    if marks.origin_raw is not None:
        yield "copied up"
    unread = [show_name(name) for name in marks.unread if name != Mark.METACOPY]
    if unread:
        yield f"{', '.join(unread)}: not read by this kernel"


def _words(value: str | None) -> str:
    # Rules and verdicts are words with dashes.
    return "" if value is None else value.replace("-", " ")


def _symbol(number: int) -> str:
    return errno.errorcode.get(number, str(number))


class RowsJson:
    """Makes JSON of rows, one after the other.

    Args:
        hidden: Tell what became of each object.
        marks: Tell the marks on each: a layer is listed by itself.
    """

    def __init__(self, *, hidden: bool = False, marks: bool = False) -> None:
        self._hidden = hidden
        self._marks = marks
        self._layers: dict[int, dict[str, Any]] = {}

    def __call__(self, row: Row) -> dict[str, Any]:
        """One row; docs/schema/tree.json is the schema."""
        told: dict[str, Any] = {**json_path("path", row.path), **_attributes_json(row.attributes)}
        told["provider"] = None if row.place is None else self._layer(row.place.layer)
        if self._marks:
            told["marks"] = None if row.marks is None else _marks_json(row.marks)
        else:
            told["outcome"] = row.outcome
            told["listed"] = row.listed
        if self._hidden:
            told["verdict"] = row.verdict
        if row.target is not None:
            told |= json_path("target", row.target)
        if row.place is not None and row.place.path != row.path:
            told |= json_path("path_in_layer", row.place.path)
        if row.data is not None:
            told["data_provider"] = self._layer(row.data.layer)
        if row.data_errno:
            told["data_errno"] = _symbol(row.data_errno)
        if row.outcome is not Outcome.PRESENT:
            told |= {"rule": row.rule, "errno": _symbol(row.errno) if row.errno else None}
        return told

    def _layer(self, layer: Layer) -> dict[str, Any]:
        # There are few layers and many rows.
        if (told := self._layers.get(id(layer))) is None:
            told = {"role": layer.role, "index": layer.index, **json_path("dir", layer.directory)}
            self._layers[id(layer)] = told
        return told


def _attributes_json(seen: Attributes | None) -> dict[str, Any]:
    if seen is None:
        return dict.fromkeys(("kind", "mode", "uid", "gid", "size", "mtime_ns"))
    told = {
        "kind": seen.kind,
        "mode": seen.mode,
        "uid": seen.uid,
        "gid": seen.gid,
        "size": seen.size,
        "mtime_ns": seen.mtime_ns,
    }
    return {**told, "rdev": f"{os.major(seen.rdev)}:{os.minor(seen.rdev)}"} if seen.kind in _DEVICES else told


def _marks_json(marks: Marks) -> dict[str, Any]:
    return {
        "whiteout": marks.whiteout,
        "opaque": marks.opaque,
        **json_path("redirect", None if marks.redirect is None else marks.redirect.target),
        "metacopy": marks.metacopy is not None,
        "copied_up": marks.origin_raw is not None,
        "unread": [show_name(name) for name in marks.unread],
    }
