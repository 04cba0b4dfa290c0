"""``ovlctl orphans``."""

from __future__ import annotations

from typing import Annotated

import typer

from ovlctl.cli.engines import Root, engines_of
from ovlctl.cli.output import emit, emit_json, warn
from ovlctl.cli.parameters import Json
from ovlctl.errors import ExitStatus, Note
from ovlctl.ops.engines.naming import everything
from ovlctl.ops.engines.orphans import orphans as find
from ovlctl.show.errors import error_notes
from ovlctl.show.owners import orphans_json, orphans_text


def orphans(
    *,
    engines: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ENGINE]...", help="docker, podman or containerd; all when none is named."),
    ] = None,
    root: Root = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 when there are some.")] = False,
    json: Json = False,
) -> int:
    """List what belongs to nobody in engines' stores, and what would remove it.

    Example: ovlctl orphans docker

    The stores on disk, their metadata, the mount tables of all namespaces and the processes are held against each
    other: directories that no metadata know, metadata without a directory, layers that no image and no container uses,
    containers recorded as running that do not, mounts that are left, short links to nothing. Each comes with its age,
    its size, what says so, and the command that removes it, the engine's own where it has one. Nothing is removed.

    Everything is looked for twice, so that what comes and goes meanwhile is not told; of a directory that is young it
    is said that a pull or build may be making it. Where metadata cannot be read, nothing is called unknown or unused,
    and it exits with 6.
    """
    chosen = engines_of(engines or ())
    found = find(lambda: everything(root), chosen, root=root)
    warnings: list[str | Note] = [
        *error_notes(found.troubles),
        *(
            Note(
                "of {} not everything could be told, such as what nothing uses: some of its metadata cannot be read, "
                "or the Docker that keeps images there is not found",
                (root,),
            )
            for root in found.withheld
        ),
    ]
    if not found.whole:
        warnings.append(Note("not every mount table could be read, so that nothing is told of mounts; ask as root"))
    if json:
        emit_json("orphans", orphans_json(found), warnings)
    else:
        emit(orphans_text(found))
        warn(warnings)
    if exit_code and found.found:
        return ExitStatus.FINDING
    return ExitStatus.PARTIAL if found.partial else ExitStatus.FINE
