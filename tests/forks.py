"""Children of the test process: they keep its namespaces and its capabilities, which a program run by exec may not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def in_child(work: Callable[[], object]) -> int:
    """Run *work* in a child.

    Args:
        work: An int that it returns is the child's exit status.

    Returns:
        The exit status, or the negative number of the signal that ended the child; 1 when *work* raised.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            result = work()
            status = result if isinstance(result, int) else 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
