"""``ovlctl tree``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ovlctl.cli.completion import complete_stack
from ovlctl.cli.directories import takes_directories
from ovlctl.cli.output import emit_json_items, emit_lines, warn
from ovlctl.cli.parameters import ANY_STACK, Json, StateDir
from ovlctl.cli.reading import Given, LayerOption, path_in, subject_of
from ovlctl.errors import BadUsage, ExitStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.listing import Row


@takes_directories
def tree(
    *,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            autocompletion=complete_stack,
            metavar="[STACK] [PATH]",
            help=f"{ANY_STACK}; then a path from the root of its merged view.",
        ),
    ] = None,
    given: Given,
    layer: LayerOption = None,
    depth: Annotated[int | None, typer.Option("--depth", metavar="N", min=1, help="List N levels only.")] = None,
    hidden: Annotated[
        bool, typer.Option("--hidden", help="List what is not seen, too: every object of every layer, and why.")
    ] = False,
    json: Json = False,
    state_dir: StateDir = None,
) -> int:
    """List the merged view with the layer that supplies each entry.

    Example: ovlctl tree app etc --hidden

    The stack need not be mounted. A line has a sign, type and mode, uid:gid, size in bytes (of a device its number),
    layer and path, and in brackets what else there is to say. The sign is blank for what is seen; = for a part of it
    (of a merged directory, or the data of a file); - for what something above hides; o for a whiteout; ! for a name
    that is listed and not there, that the kernel refuses, or that cannot be known.

    With --layer, what that one layer holds, with the marks of overlayfs on it. Entries are sorted, each directory is
    followed by its content, and all are printed as they are found.

    Exits with 3 when nothing is at PATH, 6 when something could not be read.
    """
    subject, paths = subject_of(words or (), given, state_dir)
    if len(paths) > 1:
        raise BadUsage("one PATH can be listed at a time", hint="`ovlctl tree --help` shows how it is used")
    if hidden and layer is not None:
        raise BadUsage("--hidden and --layer exclude each other", hint="nothing in a layer hides another part of it")
    from ovlctl.ops import listing, reading
    from ovlctl.ops.reading import layer_names
    from ovlctl.ops.reading.troubles import Troubles
    from ovlctl.show.tree import RowsJson, RowsText

    wanted = None if layer is None else layer_names.parse(layer)
    (path,) = path_in(subject, paths)
    with reading.opened(subject) as view:
        if wanted is None:
            troubles = Troubles(certain=view.resolver.certain)
            rows = listing.merged(view, path, troubles, hidden=hidden, depth=depth)
        else:
            troubles = Troubles()
            rows = listing.of_layer(view, layer_names.find(view.layers, wanted), path, troubles, depth=depth)
        rows = _begun(rows)
        if json:
            emit_json_items("tree", map(RowsJson(hidden=hidden, marks=wanted is not None), rows), troubles.notes)
        else:
            emit_lines(map(RowsText(), rows))
            warn(troubles.notes())
    return ExitStatus.PARTIAL if troubles.any else ExitStatus.FINE


def _begun(rows: Iterator[Row]) -> Iterator[Row]:
    """The same rows, when the first is known: an error before it is told instead of a result, not in its midst."""
    from itertools import chain

    return chain([first] if (first := next(rows, None)) is not None else (), rows)
