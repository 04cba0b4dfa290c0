"""``ovlctl export-mstack``."""

from __future__ import annotations

from typing import Annotated

import typer

from ovlctl.cli.output import emit, emit_json, warn
from ovlctl.cli.parameters import DryRun, Json, StateDir
from ovlctl.cli.rootless import state_for
from ovlctl.show.names import show_argument
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
    from ovlctl.ops import discover, mstack

    found = discover.find(state_for(state_dir), stack).stack
    export = mstack.export(found, directory, upper=not no_upper)
    if not dry_run:
        export.apply()
    if json:
        emit_json("export-mstack", exported_json(export, done=not dry_run), export.remarks)
        return
    warn(export.remarks)
    if dry_run:
        emit("\n".join(step.text(show_argument) for step in export.describe()))
    else:
        emit(exported_text(export))
