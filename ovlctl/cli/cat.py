"""``ovlctl cat``."""

from __future__ import annotations

from typing import Annotated

import typer

from ovlctl.cli.completion import complete_stack
from ovlctl.cli.directories import takes_directories
from ovlctl.cli.output import emit_bytes, warn
from ovlctl.cli.parameters import ANY_STACK, StateDir
from ovlctl.cli.reading import Given, LayerOption, path_in, subject_of
from ovlctl.errors import BadUsage, ExitStatus


@takes_directories
def cat(
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
    state_dir: StateDir = None,
) -> int:
    """Print a file of a stack, mounted or not, or what one layer has of it.

    Example: ovlctl cat app etc/app.conf --layer 0

    The content is what a mount gives, wherever the data are: a file of which a layer has the metadata only is read
    from the layer that has the data, and renamed directories are followed. With --layer that one layer's file as it
    is, also when it is hidden in the merged view.

    Exits with 3 when nothing is at PATH, 4 when it may not be read, 5 when the file has no content that can be had, 6
    when marks that matter cannot be seen by this user.
    """
    subject, paths = subject_of(words or (), given, state_dir)
    if len(paths) > 1:
        raise BadUsage("one PATH can be printed at a time", hint="`ovlctl cat --help` shows how it is used")
    from ovlctl.ops import reading
    from ovlctl.ops.extracting import content
    from ovlctl.ops.reading import layer_names
    from ovlctl.ops.reading.troubles import Troubles

    wanted = None if layer is None else layer_names.parse(layer)
    (path,) = path_in(subject, paths)
    with reading.opened(subject) as view:
        one = None if wanted is None else layer_names.find(view.layers, wanted)
        troubles = Troubles(certain=one is not None or view.resolver.certain)
        emit_bytes(content.read(view, path, one, troubles))
        warn(troubles.notes())
    return ExitStatus.PARTIAL if troubles.any else ExitStatus.FINE
