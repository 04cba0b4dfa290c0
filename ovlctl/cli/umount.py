"""``ovlctl umount``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ovlctl.cli.output import emit, emit_json
from ovlctl.cli.parameters import DryRun, Json, StateDir, Yes
from ovlctl.cli.rootless import state_for
from ovlctl.ops import unmounting
from ovlctl.show.names import show_argument, show_name
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
            emit("\n".join(step.text(show_argument) for step in plan.describe()))
        return
    done = unmounting.umount(stack, discard=discard, state_dir=state, agreed=lambda doomed: yes or _confirm(doomed))
    if json:
        emit_json("umount", umount_json(done, done=True))
    else:
        emit(umounted_text(done))


def _confirm(doomed: tuple[str, ...]) -> bool:
    if not sys.stdin.isatty():
        return False
    lost = ", ".join(show_name(path) for path in doomed)
    return typer.confirm(f"Remove {lost} with everything in it?", default=False, err=True)
