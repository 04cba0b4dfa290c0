"""Changes as lines of text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ovlctl.overlay.change import ChangeKind, Field
from ovlctl.show.columns import aligned
from ovlctl.show.modes import LETTERS
from ovlctl.show.names import json_path, show_name
from ovlctl.show.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ovlctl.ops.diffing.letters import Lettered
    from ovlctl.ops.diffing.tally import Count
    from ovlctl.overlay.change import Change

#: The sign and the word that a line begins with.
_WORDS = {
    ChangeKind.ADDED: "+ added    ",
    ChangeKind.MODIFIED: "~ modified ",
    ChangeKind.METADATA: "~ metadata ",
    ChangeKind.DELETED: "- deleted  ",
    ChangeKind.REPLACED: "! replaced ",
    ChangeKind.RENAMED: "> renamed  ",
    ChangeKind.LINKED: "& linked   ",
    ChangeKind.UNCHANGED: "= unchanged",
}


def change_text(change: Change) -> str:
    """One line: what happened, the type as ls(1) has it, the path, and in brackets what else there is to say."""
    line = f"{_WORDS[change.change]} {LETTERS[change.kind]} {show_name(change.path) or '/'}"
    remarks = "; ".join(_remarks(change))
    return f"{line}  ({remarks})" if remarks else line


def _remarks(change: Change) -> Iterator[str]:
    presumed = change.proved is False
    if change.old_path is not None:
        yield f"{'from' if change.change is ChangeKind.RENAMED else 'as'} {show_name(change.old_path)}"
    words = [f"{field} presumed" if presumed and field is Field.CONTENT else field for field in change.fields]
    if words:
        yield ", ".join(words)
    elif change.change is ChangeKind.REPLACED:
        yield "opaque"
    elif change.change is ChangeKind.UNCHANGED and presumed:
        yield "presumed"
    if change.bytes is not None:
        yield format_size(change.bytes)


def change_json(change: Change) -> dict[str, Any]:
    """One element of ``data`` of ``ovlctl.diff/1``."""
    return {
        **json_path("path", change.path),
        "change": change.change,
        "kind": change.kind,
        "fields": list(change.fields),
        "bytes": change.bytes,
        **json_path("old_path", change.old_path),
        "proved": change.proved,
    }


def lettered_text(change: Lettered) -> str:
    """One line as ``docker diff`` and ``podman diff`` print it, with the path escaped."""
    return f"{change.letter} /{show_name(change.path)}"


def counts_text(counts: Iterable[Count]) -> str:
    """How many changes of each kind, and how large the files among them are."""
    rows = [(count.change, str(count.paths), format_size(count.bytes)) for count in counts]
    return aligned(rows, right=frozenset({1, 2})) if rows else "nothing differs"


def counts_json(counts: Iterable[Count]) -> list[dict[str, Any]]:
    """``data`` of ``ovlctl.diff-stat/1``."""
    return [{"change": count.change, "paths": count.paths, "bytes": count.bytes} for count in counts]
