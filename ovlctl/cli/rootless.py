"""Where a verb that mounts, or looks at mounts, does its work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.ops.state import locate

if TYPE_CHECKING:
    from ovlctl.ops.state import State


def state_for(state_dir: str | None) -> State:
    """The state that ``--state-dir`` means."""
    return locate(state_dir)
