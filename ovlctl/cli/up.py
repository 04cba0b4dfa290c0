"""``ovlctl up``."""

from __future__ import annotations

from ovlctl.cli.output import emit, emit_json, emit_steps, say, warn
from ovlctl.cli.parameters import DryRun, Json, StackFileArgument, StackNames, StateDir
from ovlctl.cli.rootless import state_for


def up(
    *,
    file: StackFileArgument,
    names: StackNames = None,
    dry_run: DryRun = False,
    json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Mount the stacks of a file, all or nothing.

    Example: ovlctl up lab.toml

    What is mounted as declared stays as it is, what is mounted otherwise is changed, and what is not in the file any
    more is ended. When one stack fails, everything is put back as it was. With NAMEs only these stacks and what they
    stand on are touched.
    """
    from ovlctl.ops import sets
    from ovlctl.ops.sets import up as bringing
    from ovlctl.show.sets import brought_up_text, up_json

    declared = sets.load(file)
    state = state_for(state_dir, mounts=True, dry_run=dry_run)
    if dry_run:
        plan = bringing.plan(declared, names, state=state)
        steps = tuple(bringing.steps(plan, state))
        if json:
            emit_json("up", up_json(plan, steps=steps), plan.warnings)
        else:
            warn(plan.warnings)
            emit_steps(steps)
            if not steps:
                say("nothing to do: everything is as declared")
        return
    done = bringing.up(declared, names, state_dir=state)
    warnings = (*done.plan.warnings, *done.cautions)
    if json:
        emit_json("up", up_json(done.plan, kept=done.kept), warnings)
    else:
        warn(warnings)
        emit(brought_up_text(done))
