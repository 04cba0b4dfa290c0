"""The order of versions by which systemd sorts layers (``layer@9`` below ``layer@10``).

Source: the UAPI version format specification; ``systemd-analyze compare-versions`` answers the same.
"""

from __future__ import annotations

import re
from functools import cmp_to_key

#: What counts; every other character only parts segments.
_SEGMENT = re.compile(rb"[0-9]+|[A-Za-z]+|[~^.-]")


def compare(one: bytes, other: bytes) -> int:
    """-1, 0 or 1, as version *one* is older than *other*, as old, or newer."""
    left, right = one, other
    while True:
        left, right = _skipped(left), _skipped(right)
        # A pre-release comes before its release.
        if (found := _mark(left, right, b"~")) is not None:
            if found:
                return found
            left, right = left[1:], right[1:]
        if not left or not right:
            return (left > b"") - (right > b"")
        # A segment that a mark introduces is older than what goes on without it.
        for mark in (b"-", b"^", b"."):
            if (found := _mark(left, right, mark)) is not None:
                if found:
                    return found
                left, right = left[1:], right[1:]
        left, right, found = _words(left, right)
        if found:
            return found


def _skipped(text: bytes) -> bytes:
    match = _SEGMENT.search(text)
    return text[match.start() :] if match else b""


def _mark(left: bytes, right: bytes, mark: bytes) -> int | None:
    """None when neither begins with *mark*; whoever does is older, and 0 when both do."""
    has_left, has_right = left.startswith(mark), right.startswith(mark)
    return has_right - has_left if has_left or has_right else None


def _words(left: bytes, right: bytes) -> tuple[bytes, bytes, int]:
    """What is left behind the next number or word, and how these compare."""
    numeric = left[:1].isdigit() or right[:1].isdigit()
    pattern = re.compile(rb"[0-9]*" if numeric else rb"[A-Za-z]*")
    one, other = _match(pattern, left), _match(pattern, right)
    rest = left[len(one) :], right[len(other) :]
    if numeric:
        # A number is newer than a word, a longer number (without leading zeros) than a shorter one.
        if bool(one) != bool(other):
            return *rest, (1 if one else -1)
        key_one, key_other = one.lstrip(b"0"), other.lstrip(b"0")
        pairs = ((len(key_one), key_one), (len(key_other), key_other))
        return *rest, (pairs[0] > pairs[1]) - (pairs[0] < pairs[1])
    return *rest, (one > other) - (one < other)


def _match(pattern: re.Pattern[bytes], text: bytes) -> bytes:
    match = pattern.match(text)
    return match.group() if match else b""


#: For sorted() and min().
key = cmp_to_key(compare)
