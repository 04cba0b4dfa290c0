"""``ovlctl refresh``."""

from __future__ import annotations

from typing import Annotated

import typer

from ovlctl.cli.overlay_options import AllowWeaker, Detach, WithGap
from ovlctl.cli.parameters import DryRun, Json, StateDir


def refresh(
    *,
    stack: Annotated[str, typer.Argument(metavar="NAME|TARGET", help="The stack's name or mount point.")],
    allow_weaker: AllowWeaker = False,
    with_gap: WithGap = False,
    detach: Detach = False,
    dry_run: DryRun = False,
    json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Mount a stack anew in its own place, for lowers that were changed.

    Example: ovlctl refresh app

    overlayfs keeps what it has looked up, so a lower that is changed under a mount shows old and new at once. A
    path lookup finds the old view or the new one at any moment, never nothing.
    """
    from ovlctl.cli.remount import swap
    from ovlctl.ops.remounting import Changes, How

    how = How(allow_weaker=allow_weaker, with_gap=with_gap, detach=detach)
    swap(stack, Changes(), how, dry_run=dry_run, json=json, state_dir=state_dir)
