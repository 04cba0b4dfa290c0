"""``ovlctl layers``."""

from __future__ import annotations

from typing import Annotated

import typer

from ovlctl.cli.completion import complete_stack
from ovlctl.cli.directories import takes_directories
from ovlctl.cli.output import emit, emit_json, warn
from ovlctl.cli.parameters import ANY_STACK, Json, StateDir
from ovlctl.cli.reading import Given, subject_of
from ovlctl.errors import BadUsage, ExitStatus


@takes_directories
def layers(
    *,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            autocompletion=complete_stack,
            metavar="[STACK]",
            help=f"{ANY_STACK}.",
        ),
    ] = None,
    given: Given,
    wasted: Annotated[
        bool, typer.Option("--wasted", help="List the largest files of each layer that nobody sees, too.")
    ] = False,
    json: Json = False,
    state_dir: StateDir = None,
) -> int:
    """Tell what each layer of a stack holds, adds and hides, and what of it nobody sees.

    Example: ovlctl layers app --wasted

    The stack need not be mounted. ADDS counts names, no directories, that are seen and of which no layer below has
    anything. HIDES counts names of layers below that are not seen, or seen as another object, because the layer has a
    whiteout or an object there. WASTED is what a higher layer hides, and what was copied up and is equal to what it
    hides. Sizes are those that ls shows, each file once however many names it has; `ovlctl du` tells the disk's.

    Exits with 6 when something could not be read.
    """
    subject, rest = subject_of(words or (), given, state_dir)
    if rest:
        raise BadUsage("one STACK is told at a time", hint="`ovlctl layers --help` shows how it is used")
    from ovlctl.ops import reading
    from ovlctl.ops.atlas.scan import merged
    from ovlctl.ops.atlas.summaries import summaries
    from ovlctl.ops.reading.troubles import UNSEEN_MARKS
    from ovlctl.show.layers import layers_json, layers_text, unread

    with reading.opened(subject) as view:
        atlas, whole = merged(view)
        found = summaries(view, atlas)
        certain = view.resolver.certain
    warnings = [*unread(whole, found), *(() if certain else [UNSEEN_MARKS])]
    if json:
        emit_json("layers", layers_json(whole, found), warnings)
    else:
        emit(layers_text(whole, found, wasted=wasted))
        warn(warnings)
    return ExitStatus.PARTIAL if warnings else ExitStatus.FINE
