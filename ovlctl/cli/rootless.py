"""Where a verb that mounts, or looks at mounts, does its work."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ovlctl.kernel.namespaces import in_initial_user_namespace, may_mount
from ovlctl.ops.state import locate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.state import State


def state_for(state_dir: str | None, *, mounts: bool = False, dry_run: bool = False, certain: bool = False) -> State:
    """The state that ``--state-dir`` means, with this process where that state's mounts are.

    Root stays where it is. An ordinary user's process is moved into the namespaces that hold the user's mounts, if
    there are any; from then on the very same code works for both.

    Args:
        state_dir: As given on the command line.
        mounts: The verb makes mounts: without a holder of the user's mounts one is started.
        dry_run: The verb makes no mounts after all: it gets a namespace that ends with it instead of a holder.
        certain: The verb ends, changes or enters mounts: what is held where it cannot look would seem to have ended,
            so that is an error, as it is with *mounts*. Other verbs say so and tell what they see.

    Raises:
        StateUnsafe, StateUnusable: when the state directories cannot be trusted or used.
        NoUserNamespace, HolderFailed, HolderUnreachable, NamespaceLeft: when there is no way to mount without root.
    """
    state = locate(state_dir)
    if not (may_mount() and in_initial_user_namespace()):
        from ovlctl.cli import unprivileged

        unprivileged.enter(state, mounts=mounts, dry_run=dry_run, certain=certain)
    return state


@contextmanager
def out_of_the_way() -> Iterator[None]:
    """Work in the root directory while inside, lest this process be what keeps a mount busy.

    Without root it would be for whoever stands in the directory that is covered where the mounts are.
    """
    try:
        before = os.getcwd()
    except FileNotFoundError:
        # Removed, and there is no way back to it by name.
        yield
        return
    os.chdir("/")
    try:
        yield
    finally:
        with suppress(OSError):
            os.chdir(before)
