"""``ovlctl find``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ovlctl.cli.completion import complete_stack
from ovlctl.cli.directories import takes_directories
from ovlctl.cli.output import emit_json_items, emit_lines, warn
from ovlctl.cli.parameters import ANY_STACK, Json, StateDir
from ovlctl.cli.reading import Given, LayerOption, subject_of
from ovlctl.errors import BadUsage, ExitStatus, literal
from ovlctl.show.names import show_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.errors import Note
    from ovlctl.ops.atlas.atlas import Atlas
    from ovlctl.ops.reading import View


@takes_directories
def find(
    *,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            autocompletion=complete_stack,
            metavar="[STACK] [WORD]...",
            help=f"{ANY_STACK}; then what is looked for.",
        ),
    ] = None,
    given: Given,
    layer: LayerOption = None,
    by_size: Annotated[bool, typer.Option("--by-size", help="List files only, the largest first.")] = False,
    fuzzy: Annotated[
        bool, typer.Option("--fuzzy", help="Take the words as letters in order, and list the closest first.")
    ] = False,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="List N at the most.")] = None,
    json: Json = False,
    state_dir: StateDir = None,
) -> int:
    """Find paths of a stack by name, size, kind, layer and what became of them.

    Example: ovlctl find app conf 'size:>1M' sign:+

    A word is any part of a name, in either case; one with slashes is a part of a path: `tc/app` finds etc/app.conf,
    `etc/` what is in etc, and one that begins with a slash begins at the root. All words have to hold, each
    somewhere in the path and one of them in the name itself. 'size:>1M' and 'size:<10K' (in quotes, lest the shell
    open a file), kind:file, dir, link and so on, layer:upper, layer:0, and sign:, of + added, ~ changed, = copied
    up and unchanged, o whiteout, - hidden, ! odd, narrow it down; several with commas between.

    A line has the sign, the size, the layer and the path. The stack need not be mounted.

    Exits with 3 when nothing is found, 6 when something could not be read.
    """
    subject, wanted = subject_of(words or (), given, state_dir)
    if fuzzy and by_size:
        raise BadUsage("--fuzzy and --by-size exclude each other", hint="each has an order of its own")
    from ovlctl import extras
    from ovlctl.ops import reading

    extras.require("`find`", "numpy")
    from ovlctl.ops.atlas import layers, scan
    from ovlctl.ops.atlas.atlas import Flag
    from ovlctl.ops.reading.troubles import UNSEEN_MARKS
    from ovlctl.show.found import found_json, found_lines

    with reading.opened(subject) as view:
        labels = layers.labels(view)
        if layer is None:
            atlas, whole = scan.merged(view)
            lost = whole.unreadable
        else:
            atlas = _of_layer(view, layer)
            lost = sum(flags & Flag.UNREADABLE != 0 for flags in atlas.flags)
        rows = _rows(atlas, wanted, labels, fuzzy=fuzzy, by_size=by_size)[:limit]
        certain = view.resolver.certain
    notes: list[str | Note] = [] if certain else [UNSEEN_MARKS]
    if lost:
        notes.append(f"{lost} {'object' if lost == 1 else 'objects'} could not be read: something may be missing here")
    if json:
        emit_json_items("find", found_json(atlas, rows, labels), lambda: notes)
    else:
        emit_lines(found_lines(atlas, rows, labels))
        warn(notes)
    if notes:
        return ExitStatus.PARTIAL
    return ExitStatus.FINE if rows else ExitStatus.NOT_FOUND


def _of_layer(view: View, word: str) -> Atlas:
    from ovlctl.ops.atlas import layers
    from ovlctl.ops.reading import layer_names

    chosen = layer_names.find(view.layers, layer_names.parse(word))
    return layers.of_layer(view, layers.every(view).index(chosen))


def _rows(atlas: Atlas, wanted: Sequence[str], labels: Sequence[str], *, fuzzy: bool, by_size: bool) -> Sequence[int]:
    from ovlctl.ops.atlas.finding import Finder
    from ovlctl.show.queries import parse_words

    finder = Finder(atlas)
    if fuzzy:
        return finder.fuzzy(" ".join(wanted), limit=len(atlas))
    for word in wanted:
        if word and parse_words([word], labels).empty:
            raise BadUsage(
                f"`{literal(show_text(word))}` asks for nothing", hint="such as `'size:>1M'`, in quotes, or `kind:file`"
            )
    found = finder.find(parse_words(wanted, labels))
    return [int(row) for row in (finder.by_size(found) if by_size else found.rows)]
