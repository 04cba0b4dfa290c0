"""The plain commands that tell what is on the screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.ops.atlas.atlas import KINDS, Sign
from ovlctl.overlay.tree import Kind
from ovlctl.show.names import show_argument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.tui.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command line.

    Attributes:
        says: What it tells.
        text: For a shell.
    """

    says: str
    text: str


def commands(session: Session) -> tuple[Command, ...]:
    """The commands, the one for the tree and the chosen path first."""
    return tuple(
        Command(says=says, text=" ".join(("ovlctl", *map(show_argument, words)))) for says, words in _all(session)
    )


def _all(session: Session) -> Iterator[tuple[str, list[str]]]:
    page, row = session.page, session.page.cursor
    path, atlas = session.path, page.atlas
    directory = path if atlas.is_directory(row) else path.rpartition("/")[0]
    sign, kind = Sign(atlas.signs[row]), KINDS[atlas.kinds[row]]
    layer = [] if session.layer is None else ["--layer", session.labels[session.layer]]
    yield "this tree", _line(session, "tree", directory, *(layer or ["--hidden"]))
    yield "the story of this path", _line(session, "explain", path)
    if kind is Kind.FILE and sign not in {Sign.WHITEOUT, Sign.ODD}:
        of = layer
        if sign is Sign.HIDDEN and not layer:
            of = ["--layer", session.labels[atlas.providers[row]]]
        yield "the content of this file", _line(session, "cat", path, *of)
    if session.layer is not None and session.layer + 1 < len(session.view.layers.merged):
        yield "what this layer changes of those below", _line(session, "diff", None, *layer)
    elif session.layer is None and session.has_upper:
        yield "what the upper changes here", _line(session, "diff", None, *(["--path", path] if path else []))
    yield "the layers in figures, and what nobody sees of them", _line(session, "layers", None, "--wasted")


def _line(session: Session, verb: str, path: str | None, *options: str) -> list[str]:
    # A path that begins with a dash would be an option; a slash before it changes nothing. Without a path a verb tells
    # of the place that the name of the stack itself led to.
    place = [path] if path else []
    if path is not None and (path.startswith("-") or (not path and session.subject.inside)):
        place = [f"/{path}"]
    words = session.words
    named = [*words, *place] if not words[0].startswith("-") else [*place, *words]
    return [verb, *named, *options]
