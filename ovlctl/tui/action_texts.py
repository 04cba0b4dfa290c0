"""What windows of actions say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.ops.trying.values import Action, StepKind
from ovlctl.show.envelope import note_text
from ovlctl.show.explain_lines import columns
from ovlctl.show.names import show_name
from ovlctl.show.trying import difference_note, preview_lines, wish_text
from ovlctl.tui.cells import folded
from ovlctl.tui.lines_view import words
from ovlctl.tui.palette import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.reading import Subject
    from ovlctl.ops.trying.values import Preview
    from ovlctl.tui.ground import Ground
    from ovlctl.tui.tree_lines import Line


def where_text(ground: Ground) -> str:
    """Where actions are done, in short."""
    if ground.is_live:
        return "on the real mount"
    return "on the example" if ground.example else "on a scratch upper"


def preview_text(preview: Preview, ground: Ground, width: int) -> list[Line]:
    """What will be done, and where."""
    role = Role.ODD if preview.errno else Role.TEXT
    lines = [words(f" {line}", role) for line in _foretold(preview, ground, width - 1)]
    if preview.in_own_upper and not ground.is_live and preview.wish.action is not Action.READ:
        lines += [(), *_told(_MIXED, width)]
    lines += [(), words(" Where", Role.STRONG), *_told(_where(ground), width, indent=3)]
    for each in ground.differences:
        lines += _told(f"{note_text(difference_note(each))}.", width, Role.DIM, indent=3)
    return lines


def confirm_lines(preview: Preview, ground: Ground, subject: Subject, width: int) -> list[Line]:
    """What is going to be changed for good."""
    root = subject.root or ""
    of = "" if subject.label == root else f", the mount of {show_name(subject.label)}"
    text = f"{wish_text(preview.wish)} will be done on {show_name(root)}{of}. It stays done: there is no undo."
    lines = [*_told(text, width), (), *(words(f" {line}") for line in _foretold(preview, ground, width - 1)), ()]
    if any(step.kind is StepKind.REMOVED for step in preview.steps):
        lines += [*_told("What the upper has there is lost.", width, Role.ODD), ()]
    return lines


_MIXED = (
    "Your own upper has it. A copy of it is put into the scratch upper before, so that the kernel does here what it "
    "would do there."
)


def _foretold(preview: Preview, ground: Ground, width: int) -> Iterator[str]:
    with columns(max(20, width)):
        for text in preview_lines(preview, ground.layers):
            yield from text.splitlines()


def _where(ground: Ground) -> str:
    top = ground.layers[0]
    directory = show_name(top.directory)
    if ground.is_live:
        where = f"on the real mount, whose topmost layer is {directory} ({ground.file_system})"
        return f"{where}. What is done there stays done."
    if ground.example:
        return f"on the example, in its upper {directory} ({ground.file_system}); R empties it again."
    own = next((layer.directory for layer in ground.layers if layer.label == "upper"), None)
    kept = "" if own is None else f"; your upper {show_name(own)} is only read"
    return f"on a scratch upper over the same layers: {directory} ({ground.file_system}){kept}. R empties it again."


def _told(text: str, width: int, role: Role = Role.TEXT, *, indent: int = 1) -> list[Line]:
    return [words(line, role) for line in folded(" " * indent + text, max(20, width))]
