"""``ovlctl shell``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from ovlctl.cli.output import warn
from ovlctl.cli.parameters import Cwd, KeepId, StateDir
from ovlctl.cli.rootless import state_for
from ovlctl.ops import discover
from ovlctl.ops.rootless import entering


def shell(
    *,
    stack: Annotated[str, typer.Argument(metavar="STACK", help="A stack's name, its mount point or a path in it.")],
    cwd: Cwd = None,
    keep_id: KeepId = False,
    state_dir: StateDir = None,
) -> None:
    """Start a shell in the merged view of a stack.

    It is $SHELL, else the shell of the account, else /bin/sh. As an ordinary user one is root inside, over one's own
    mounts only, unless --keep-id is given.
    """
    state = state_for(state_dir, certain=True)
    entry = entering.entry(state, discover.find(state, stack), cwd=cwd, keep_id=keep_id)
    warn(())
    entry.run([entering.shell(os.environ)], os.environ)
