"""``ovlctl fstab``."""

from __future__ import annotations

from typing import Annotated

import typer

from ovlctl.cli.output import emit, emit_json, warn
from ovlctl.cli.parameters import Json, StackFileArgument, StackNames


def fstab(
    *,
    file: StackFileArgument,
    names: StackNames = None,
    required: Annotated[
        bool, typer.Option("--required", help="Let the boot stop when a stack cannot be mounted.")
    ] = False,
    json: Json = False,
) -> None:
    """Print lines for /etc/fstab that mount stacks at boot.

    Example: ovlctl fstab stacks.toml >> /etc/fstab

    One line per stack with a target, of type ovlctl, for which mount(8) needs /sbin/mount.ovlctl. Without --required
    a stack that cannot be mounted does not stop the boot (nofail).
    """
    from ovlctl.ops import sets
    from ovlctl.ops.boot import fstab, order

    lines, notes = fstab.lines(sets.load(file), names or (), required=required)
    if (missing := order.helper_missing()) is not None:
        notes = (*notes, missing)
    if json:
        emit_json("fstab", {"lines": list(lines)}, notes)
        return
    warn(notes)
    emit("\n".join(lines))
