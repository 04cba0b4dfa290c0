"""``ovlctl ls``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from ovlctl.cli.output import emit, emit_json, say, warn
from ovlctl.cli.parameters import Json, StateDir
from ovlctl.cli.rootless import state_for
from ovlctl.ops import discover
from ovlctl.ops.discover import Overlay
from ovlctl.show.stacks import list_text, listed_json


def ls(
    *,
    size: Annotated[
        bool, typer.Option("--size", "-s", help="Count the bytes of each upper; may take a while.")
    ] = False,
    json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """List every overlay mount, whoever made it.

    Also listed: records whose mount is gone (stale), and uppers that ovlctl keeps for stacks not mounted now (kept).
    """
    found = discover.overlays(state_for(state_dir))
    sizes = _sizes(found.overlays) if size else {}
    if json:
        data = [listed_json(overlay, sizes.get(at)) for at, overlay in enumerate(found.overlays)]
        emit_json("ls", data, found.warnings)
        return
    warn(found.warnings)
    emit(list_text(found.overlays, sizes if size else None))
    if not found.overlays:
        say("no overlay is mounted here, and no upper is kept")


def _sizes(overlays: Sequence[Overlay]) -> dict[int, int | None]:
    from ovlctl.ops import usage

    return {at: usage.upper_bytes(overlay) for at, overlay in enumerate(overlays)}
