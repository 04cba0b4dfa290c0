"""``ovlctl exec``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from ovlctl.cli.output import warn
from ovlctl.cli.parameters import Cwd, KeepId, StateDir
from ovlctl.cli.rootless import state_for
from ovlctl.ops import discover
from ovlctl.ops.rootless import entering


def exec(  # noqa: A001 -- the name of the command
    *,
    stack: Annotated[str, typer.Argument(metavar="STACK", help="A stack's name, its mount point or a path in it.")],
    command: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="The command and its arguments.")],
    cwd: Cwd = None,
    keep_id: KeepId = False,
    state_dir: StateDir = None,
) -> None:
    """Run a command in the merged view of a stack.

    Example: ovlctl exec app -- make test

    As an ordinary user this enters the namespace of the user's mounts, as root there unless --keep-id is given. The
    exit status is that of the command: 126 when it cannot be run, 127 when it is missing. It finds OVLCTL_STACK and
    OVLCTL_TARGET in its environment.
    """
    state = state_for(state_dir, certain=True)
    entry = entering.entry(state, discover.find(state, stack), cwd=cwd, keep_id=keep_id)
    warn(())
    entry.run(command, os.environ)
