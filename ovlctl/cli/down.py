"""``ovlctl down``."""

from __future__ import annotations

from typing import Annotated

import typer

from ovlctl.cli.output import confirmed, emit, emit_json, emit_steps, say, warn
from ovlctl.cli.parameters import DryRun, Json, StackFileArgument, StackNames, StateDir, Yes
from ovlctl.cli.rootless import out_of_the_way, state_for
from ovlctl.errors import Note


def down(
    *,
    file: StackFileArgument,
    names: StackNames = None,
    discard: Annotated[
        bool, typer.Option("--discard", help="Also remove what ovlctl made for them, the uppers included.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """End the stacks of a file, in reverse order.

    Example: ovlctl down lab.toml

    All mounted from this file are ended, also those that are not in it any more; when one is in use, none is.
    Without --discard uppers that ovlctl made are kept, and the next `up` finds them again.
    """
    from ovlctl.ops.sets import down as ending
    from ovlctl.show.sets import down_json, down_text

    state = state_for(state_dir, certain=True)
    declared, wrong = ending.loaded(file, state)
    warnings = () if wrong is None else (Note(f"{wrong.template}: what was mounted from it counts", wrong.paths),)
    if dry_run:
        plan = ending.plan(declared, names, discard=discard, state=state)
        if json:
            emit_json("down", down_json(plan, done=False), warnings)
        else:
            warn(warnings)
            emit_steps(plan.steps)
            if not plan.steps:
                say("nothing to do: nothing is mounted from this file")
        return
    with out_of_the_way():
        done = ending.down(
            declared, names, discard=discard, state_dir=state, agreed=lambda doomed: yes or confirmed(doomed)
        )
    if json:
        emit_json("down", down_json(done, done=True), warnings)
    else:
        warn(warnings)
        emit(down_text(done))
