"""``ovlctl export-mstack``."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from ovlctl.cli.output import emit, emit_json, emit_steps, warn
from ovlctl.cli.parameters import DryRun, Json, StateDir
from ovlctl.cli.rootless import state_for
from ovlctl.ops.state import State
from ovlctl.overlay.stack import Stack
from ovlctl.show.units import exported_json, exported_text


def export_mstack(
    *,
    stack: Annotated[str, typer.Argument(metavar="STACK", help="A name, a mount point, or FILE.toml#NAME.")],
    directory: Annotated[str, typer.Argument(metavar="DIR.mstack", help="The directory to make.")],
    no_upper: Annotated[bool, typer.Option("--no-upper", help="Write the lowers alone.")] = False,
    dry_run: DryRun = False,
    json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Write a stack as a stack directory of systemd.

    Example: ovlctl export-mstack app /srv/app.mstack --no-upper

    The directory holds links to the layers, see systemd.mstack(7). Nothing is overwritten.
    """
    from ovlctl.ops.sets import mstack

    export = mstack.export(_named(stack, state_for(state_dir)), directory, upper=not no_upper)
    if not dry_run:
        export.apply()
    if json:
        emit_json("export-mstack", exported_json(export, done=not dry_run), export.remarks)
        return
    warn(export.remarks)
    if dry_run:
        emit_steps(export.describe())
    else:
        emit(exported_text(export))


def _named(word: str, state: State) -> Stack:
    """The stack that *word* names; one of a stack file need not be mounted."""
    from ovlctl.ops import discover

    path, _, name = word.rpartition("#")
    if path.endswith(".toml"):
        from ovlctl.ops import sets
        from ovlctl.ops.sets.resolve import wish

        return wish(sets.load(path), name, state).whole
    found = discover.find(state, word)
    stack, effective = found.stack, found.effective
    if effective is None or effective.userxattr is None:
        return stack
    # What was asked may leave it to whoever mounts; here it counts how the upper was written.
    return Stack(
        stack.lowers,
        data_only=stack.data_only,
        upper=stack.upper,
        work=stack.work,
        options=replace(stack.options, userxattr=effective.userxattr),
    )
