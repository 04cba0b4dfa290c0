"""``ovlctl cp``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ovlctl.cli.completion import complete_stack
from ovlctl.cli.directories import takes_directories
from ovlctl.cli.output import emit, emit_json, emit_lines, warn
from ovlctl.cli.parameters import ANY_STACK, DryRun, Json, StateDir
from ovlctl.cli.reading import Given, LayerOption, subject_of
from ovlctl.errors import BadUsage, ExitStatus
from ovlctl.show.names import show_argument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.ops.reading import Subject


@takes_directories
def cp(
    *,
    words: Annotated[
        list[str],
        typer.Argument(
            autocompletion=complete_stack,
            metavar="[STACK] PATH DEST",
            help=f"{ANY_STACK}; a path from the root of its merged view; and where to copy it.",
        ),
    ],
    given: Given,
    layer: LayerOption = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Copy a directory with everything that is in it.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is at the destination.")] = False,
    dry_run: DryRun = False,
    json: Json = False,
    state_dir: StateDir = None,
) -> int:
    """Copy a file or a directory out of a stack, mounted or not, or out of one layer.

    Example: ovlctl cp app etc/app.conf app.conf.old --layer 0

    As cp -a would copy it from a mount: mode, times, owner, extended attributes, access control lists, holes and hard
    links are kept, and blocks shared where the file system can. Marks of overlayfs are left out, and so are the
    whiteouts of a layer. DEST is a directory, or a name that does not exist; it is there in full or not at all.

    Without root the owner is not kept, nor are set-user-ID bits then. Exits with 6 when something could not be read
    or an attribute not be kept, which is listed.
    """
    subject, rest = subject_of(words, given, state_dir)
    path, dest = _path_and_destination(subject, rest)
    from ovlctl.ops import extracting, reading
    from ovlctl.ops.reading import layer_names
    from ovlctl.ops.reading.troubles import Troubles
    from ovlctl.show.copying import copied_text, copy_json

    wanted = None if layer is None else layer_names.parse(layer)
    with reading.opened(subject) as view:
        one = None if wanted is None else layer_names.find(view.layers, wanted)
        troubles = Troubles(certain=one is not None or view.resolver.certain)
        plan = extracting.plan(view, path, dest, troubles, layer=one, recursive=recursive, replace=force)
        done = None if dry_run else plan.apply()
        if json:
            emit_json("cp", copy_json(plan, done), troubles.notes())
        elif done is None:
            emit_lines(step.text(show_argument) for step in plan.describe())
        else:
            emit(copied_text(plan, done))
        if not json:
            warn(troubles.notes())
    return ExitStatus.PARTIAL if troubles.any else ExitStatus.FINE


def _path_and_destination(subject: Subject, words: Sequence[str]) -> tuple[str, str]:
    if len(words) == 1 and subject.inside:
        return subject.inside, words[0]
    if len(words) != 2:  # noqa: PLR2004 -- a PATH and a DEST
        raise BadUsage("a PATH and a DEST are needed", hint="`ovlctl cp app etc/app.conf .`; `/` is the whole view")
    return words[0], words[1]
