"""``ovlctl umount``."""

from __future__ import annotations

from typing import Annotated

import typer

from ovlctl.cli.output import confirmed, emit, emit_json, emit_steps
from ovlctl.cli.parameters import DryRun, Json, StateDir, Yes
from ovlctl.cli.rootless import out_of_the_way, state_for
from ovlctl.ops import discover, unmounting
from ovlctl.show.stacks import umount_json, umounted_text


def umount(
    *,
    stack: Annotated[str, typer.Argument(metavar="NAME|TARGET", help="The stack's name or mount point.")],
    discard: Annotated[
        bool, typer.Option("--discard", help="Also remove what ovlctl made for it, the upper included.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Unmount a stack, saying who holds it when that fails.

    Example: ovlctl umount app --discard

    Nothing is ever detached lazily. Without --discard an upper that ovlctl made is kept and found again by name.
    """
    state = state_for(state_dir, certain=True)
    if dry_run:
        plan = unmounting.plan(stack, discard=discard, state_dir=state)
        if json:
            emit_json("umount", umount_json(plan, done=False))
        else:
            emit_steps(plan.describe())
        return
    stack = discover.independent(state, stack)
    with out_of_the_way():
        done = unmounting.umount(
            stack, discard=discard, state_dir=state, agreed=lambda doomed: yes or confirmed(doomed)
        )
    if json:
        emit_json("umount", umount_json(done, done=True))
    else:
        emit(umounted_text(done))
