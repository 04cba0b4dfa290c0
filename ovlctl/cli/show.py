"""``ovlctl show``."""

from __future__ import annotations

from typing import Annotated

import typer

from ovlctl.cli.completion import complete_stack
from ovlctl.cli.output import emit, emit_json
from ovlctl.cli.parameters import Json, StateDir
from ovlctl.cli.rootless import state_for
from ovlctl.ops import describe, discover
from ovlctl.show.stacks import description_json, description_text


def show(
    *,
    stack: Annotated[
        str,
        typer.Argument(
            autocompletion=complete_stack,
            metavar="STACK",
            help="A stack's name, its mount point, a path in it or docker:NAME.",
        ),
    ],
    json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Describe one stack in full.

    Layers top to bottom with their file systems, the options in force beside those asked for, how it was mounted
    and why so, and what the options imply for hard links, directory renames and inode numbers.
    """
    description = describe.describe(discover.find(state_for(state_dir), stack))
    if json:
        emit_json("show", description_json(description))
    else:
        emit(description_text(description))
