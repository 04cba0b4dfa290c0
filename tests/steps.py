"""What a piece of work costs, as a count of calls: the same on a busy machine as on an idle one."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count the functions that this thread calls, those written in C and those in Python, by their qualified names."""
    calls: Counter[str] = Counter()

    def look(frame: FrameType, event: str, argument: object) -> None:
        if event == "c_call":
            calls[getattr(argument, "__qualname__", "")] += 1
        elif event == "call":
            calls[frame.f_code.co_qualname] += 1

    sys.setprofile(look)
    try:
        yield calls
    finally:
        sys.setprofile(None)
