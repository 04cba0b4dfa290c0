"""Moments and long durations, as text."""

from __future__ import annotations

_MINUTE, _HOUR, _DAY = 60, 60 * 60, 24 * 60 * 60


def format_time(time_ns: int) -> str:
    """A moment, in nanoseconds since the epoch, as RFC 3339 has it, in UTC and whole seconds."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_wait(nanoseconds: int) -> str:
    """A duration in the largest unit of which there are two: ``90 s``, ``40 min``, ``5 h``, ``3 days``."""
    seconds = nanoseconds // 10**9
    for unit, name in ((_DAY, "days"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"
