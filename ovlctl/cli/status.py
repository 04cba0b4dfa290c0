"""``ovlctl status``."""

from __future__ import annotations

from typing import Annotated

import typer

from ovlctl.cli.output import emit, emit_json, say, warn
from ovlctl.cli.parameters import Json, StackFileArgument, StackNames, StateDir
from ovlctl.cli.rootless import state_for
from ovlctl.errors import ExitStatus


def status(
    *,
    file: StackFileArgument,
    names: StackNames = None,
    no_lowers: Annotated[
        bool, typer.Option("--no-lowers", help="Do not look for changes in the lowers; takes no time then.")
    ] = False,
    json: Json = False,
    state_dir: StateDir = None,
) -> int:
    """Say whether the stacks of a file are mounted as declared.

    Exit status 1 when one is not, and also when something was changed in a lower since the mount, which overlayfs
    calls undefined behaviour: every file of the lowers is looked at for that. Both are told apart in the output.
    """
    from ovlctl.ops import sets
    from ovlctl.ops.sets import status as standing
    from ovlctl.show.sets import status_advice, status_json, status_text, status_warnings

    found = standing.status(sets.load(file), names, state=state_for(state_dir), lowers=not no_lowers)
    if json:
        emit_json("status", status_json(found), status_warnings(found))
    else:
        warn(status_warnings(found))
        emit(status_text(found))
        for advice in status_advice(found):
            say(advice)
    return ExitStatus.FINE if found.fine else ExitStatus.FINDING
