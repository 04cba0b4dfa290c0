"""What a remount is asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from ovlctl import errors
from ovlctl.ops.api import Api
from ovlctl.overlay.options import Options
from ovlctl.overlay.stack import Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What shall be different after a remount; what is not named stays.

    Attributes:
        lowers: The lowers, topmost first, instead of the present ones.
        data_only: The data-only lowers instead of the present ones.
        add: Lowers to put on top, topmost first.
        drop: Lowers, or data-only ones, to leave out.
        options: Options to ask for in addition to, or otherwise than, the present ones.
    """

    lowers: tuple[str, ...] | None = None
    data_only: tuple[str, ...] | None = None
    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    options: Options = field(default_factory=Options)

    def applied(self, stack: Stack) -> Stack:
        """*stack* with the changes.

        Raises:
            BadUsage: when a lower to be dropped is not in it.
        """
        lowers = list(stack.lowers if self.lowers is None else self.lowers)
        data_only = list(stack.data_only if self.data_only is None else self.data_only)
        for path in self.drop:
            found = next((each for each in (path, os.path.realpath(path)) if each in (*lowers, *data_only)), None)
            if found is None:
                raise errors.BadUsage("{} is no lower of this stack", path, hint="`ovlctl show` lists its layers")
            (lowers if found in lowers else data_only).remove(found)
        options = stack.options
        for key, value in self.options.asked():
            options = options.with_value(key.name, value)
        return Stack(
            (*self.add, *lowers),
            data_only=data_only,
            upper=stack.upper,
            work=stack.work,
            options=options,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How to remount.

    Attributes:
        api: How to tell the kernel; AUTO takes the first way that can express the stack.
        allow_weaker: Accept a mount that is weaker than asked.
        detach: Leave a read-only old view to those who hold it.
        with_gap: Unmount first and mount then, with a moment in between without the view.
    """

    api: Api = Api.AUTO
    allow_weaker: bool = False
    detach: bool = False
    with_gap: bool = False


SAME = Changes()
"""Nothing different."""
PLAINLY = How()
"""Without a gap, and with nothing weaker."""
