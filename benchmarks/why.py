"""What ``ovlctl why`` needs for texts that repeat what its rules look for, against a plain text as long, in turn.

A rule that tries again from every place of a long line would show as a ratio in the hundreds.
"""

from __future__ import annotations

import statistics
import sys
import time
from contextlib import suppress

from ovlctl.errors import NothingRecognised
from ovlctl.ops import why

LENGTH = 1 << 18
ROUNDS = 11
PLAIN = "nothing of the kind "
PIECES = (
    "overlay: ",
    "mount: /",
    "mount -t overlay -o lowerdir=",
    "filesystem on ",
    "snapshotter cannot be enabled for /",
    "lowerdir=a,",
    "metacopy check",
    "\\",
    " - overlay ",
    "a on / type overlay (",
    "failed to create directory ",
    'TARGET="',
    "\x1b[",
)


def main() -> int:
    """Measure and print."""
    for end, kind in (("", "one line"), ("\n", "lines")):
        for piece in PIECES:
            rounds = [(spent(PLAIN + end), spent(piece + end)) for _ in range(ROUNDS)]
            ratios = sorted(hostile / plain for plain, hostile in rounds)
            print(
                f"{kind:8} {piece!r:38} {min(hostile for _, hostile in rounds) / 1e6:6.1f} ms at the least; "
                f"{statistics.median(ratios):5.1f} times a plain text [{ratios[0]:.1f} .. {ratios[-1]:.1f}]"
            )
    return 0


def spent(piece: str) -> int:
    """Nanoseconds of CPU that a text of *piece* again and again takes."""
    text = piece * (LENGTH // len(piece))
    began = time.thread_time_ns()
    with suppress(NothingRecognised):
        why.explain_text(text)
    return time.thread_time_ns() - began


if __name__ == "__main__":
    sys.exit(main())
