"""The plain commands that tell what is on the screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.ops.atlas.atlas import KINDS, Sign
from ovlctl.overlay.options import Flag, Switch
from ovlctl.overlay.tree import Kind
from ovlctl.show.names import show_argument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.reading import Subject
    from ovlctl.ops.trying.values import Deed
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was done.

    Attributes:
        words: How the stack is named on a command line, as it was without that; empty for the example.
    """

    deed: Deed
    words: tuple[str, ...]


def commands(session: Session, done: Done | None = None) -> tuple[Command, ...]:
    """The commands, the one for the tree and the chosen path first; before it the one for what was done last.

    Args:
        session: What is on the screen.
        done: What was done last on the ground that is shown.
    """
    told = [*_all(session)]
    if done is not None and not done.deed.live:
        told = [(f"{says}, as long as the explorer is open", words) for says, words in told]
    if done is not None:
        where = "on the real mount" if done.deed.live else "on an empty scratch upper"
        told.insert(0, (f"the last action again, {where}", _trying(done)))
    return tuple(Command(says=says, text=" ".join(("ovlctl", *map(show_argument, words)))) for says, words in told)


def _all(session: Session) -> Iterator[tuple[str, list[str]]]:
    page, row = session.page, session.page.cursor
    path, atlas = session.path, page.atlas
    directory = path if atlas.is_directory(row) else path.rpartition("/")[0]
    sign, kind = Sign(atlas.signs[row]), KINDS[atlas.kinds[row]]
    layer = [] if session.layer is None else ["--layer", session.layer_names[session.layer]]
    if page.flat or page.query is not None:
        order = ["--by-size"] if page.flat else []
        typed = session.filter.split()
        apart = ["--"] if any(word.startswith("-") for word in typed) else []
        yield "what is listed", _line(session, "find", None, *layer, *order, *apart, *typed)
    yield "this tree", _line(session, "tree", directory, *(layer or ["--hidden"]))
    yield "the story of this path", _line(session, "explain", path)
    if kind is Kind.FILE and sign not in {Sign.WHITEOUT, Sign.ODD}:
        of = layer
        if sign is Sign.HIDDEN and not layer:
            of = ["--layer", session.layer_names[atlas.providers[row]]]
        yield "the content of this file", _line(session, "cat", path, *of)
    if session.layer is not None and session.layer + 1 < len(session.view.layers.merged):
        yield "what this layer changes of those below", _line(session, "diff", None, *layer)
    elif session.layer is None and session.has_upper:
        yield "what the upper changes here", _line(session, "diff", None, *(["--path", path] if path else []))
    yield "the layers in figures, and what nobody sees of them", _line(session, "layers", None, "--wasted")


def words_of(subject: Subject) -> tuple[str, ...]:
    """How a stack can be named by its directories."""
    stack, options = subject.stack, subject.options
    words: list[str] = []
    for option, value in (
        *(("--lower", lower) for lower in stack.lowers),
        *(("--data-only", data) for data in stack.data_only),
        ("--upper", stack.upper),
        ("--work", stack.work if options.index is Switch.ON else None),
        ("--metacopy", options.metacopy),
        ("--redirect-dir", options.redirect_dir),
        ("--index", options.index),
    ):
        if value is not None:
            words += (option, str(value))
    return (*words, "--userxattr" if options.userxattr is Flag.YES else "--no-userxattr")


def _trying(done: Done) -> list[str]:
    wish, words = done.deed.wish, done.words
    path = f"/{wish.path}" if wish.path.startswith("-") or not wish.path else wish.path
    named = words if words and not words[0].startswith("-") else ()
    given = () if named else words
    to = () if wish.to is None else ("--to", f"/{wish.to}" if wish.to.startswith("-") else wish.to)
    mode = () if wish.mode is None else ("--mode", f"{wish.mode:03o}")
    return ["try", *named, wish.action, path, *to, *mode, *(("--live",) if done.deed.live else ()), *given]


def _line(session: Session, verb: str, path: str | None, *options: str) -> list[str]:
    # A path that begins with a dash would be an option; a slash before it changes nothing. Without a path a verb tells
    # of the place that the name of the stack itself led to.
    place = [path] if path else []
    if path is not None and (path.startswith("-") or (not path and session.subject.inside)):
        place = [f"/{path}"]
    words = session.words
    named = [*words, *place] if not words[0].startswith("-") else [*place, *words]
    return [verb, *named, *options]
