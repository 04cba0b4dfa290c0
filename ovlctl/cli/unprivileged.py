"""What a verb does first where it may not mount: go to where this user's mounts are, and say what there is to say."""

from __future__ import annotations

import atexit
import sys
from typing import TYPE_CHECKING

from ovlctl.cli import output
from ovlctl.errors import HolderUnreachable, OvlError
from ovlctl.ops import rootless
from ovlctl.show.errors import error_text

if TYPE_CHECKING:
    from ovlctl.ops.rootless import Entered
    from ovlctl.ops.state import State


def enter(state: State, *, mounts: bool, dry_run: bool, certain: bool) -> None:
    """Move this process as :func:`ovlctl.cli.rootless.state_for` says; notes are told with the verb's result."""
    way = rootless.join if not mounts else rootless.trial if dry_run else rootless.ensure
    try:
        entered = way(state)
    except HolderUnreachable as error:
        if mounts or certain:
            raise
        # Looking at what can be seen from here is better than seeing nothing.
        output.tell_later([error.note])
        return
    output.tell_later(entered.notes)
    if not dry_run:
        atexit.register(_settle, entered)


def _settle(entered: Entered) -> None:
    try:
        entered.settle()
    except OvlError as error:
        sys.stderr.write(f"{error_text(error)}\n")
