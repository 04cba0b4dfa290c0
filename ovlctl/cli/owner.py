"""``ovlctl owner``."""

from __future__ import annotations

from typing import Annotated

import typer

from ovlctl.cli.engines import Root
from ovlctl.cli.output import emit, emit_json, warn
from ovlctl.cli.parameters import Json, StateDir
from ovlctl.errors import ExitStatus
from ovlctl.ops.engines.owner import owner as ask
from ovlctl.ops.engines.searching import Search
from ovlctl.ops.state import locate
from ovlctl.show.errors import error_notes
from ovlctl.show.owners import owner_json, owner_text


def owner(
    *,
    what: Annotated[
        str,
        typer.Argument(
            metavar="PATH|ID|PID",
            help="A path, an id or its beginning, a short link, pid:N, mount:N, snapshot:N, or such a number.",
        ),
    ],
    root: Root = None,
    json: Json = False,
    state_dir: StateDir = None,
) -> int:
    """Tell whose a directory, a layer, a process or a mount is: container, pod, image.

    Example: ovlctl owner /var/lib/docker/overlay2/1f3a.../diff

    Stores of Docker, Podman, buildah and containerd are read from disk, so that it works without a daemon; the kernel
    is asked what is mounted and whose root directory it is. A store elsewhere is found by what lies around the path.

    Exits with 3 when nothing that is known owns it, with 6 when some of its store could not be read.
    """
    search = Search(root)
    found = ask(search, what, records=locate(state_dir))
    warnings = error_notes(found.troubles)
    if json:
        emit_json("owner", owner_json(found), warnings)
    else:
        emit(owner_text(found))
        warn(warnings)
    return ExitStatus.PARTIAL if warnings else ExitStatus.FINE
