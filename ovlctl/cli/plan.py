"""``ovlctl plan``."""

from __future__ import annotations

from ovlctl.cli.output import emit, emit_json, warn
from ovlctl.cli.parameters import Json, StackFileArgument, StackNames, StateDir
from ovlctl.cli.rootless import state_for


def plan(
    *,
    file: StackFileArgument,
    names: StackNames = None,
    json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Show what up would do: make, change, keep or end each stack.

    Nothing is changed. What would stop `up` before it begins is an error here as well; `ovlctl up --dry-run` prints
    the single steps.
    """
    from ovlctl.ops import sets
    from ovlctl.ops.sets import up as bringing
    from ovlctl.show.sets import set_plan_json, set_plan_text

    declared = sets.load(file)
    found = bringing.plan(declared, names, state=state_for(state_dir, mounts=True, dry_run=True))
    if json:
        emit_json("plan", set_plan_json(found), found.warnings)
    else:
        warn(found.warnings)
        emit(set_plan_text(found))
