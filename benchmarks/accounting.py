"""What a snapshot of a thread's counters costs, as a multiple of reading the same two files of /proc anew, in turn.

From /proc the files stay open, so that a snapshot should cost less; taskstats asks over netlink, through pyroute2.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import TYPE_CHECKING

from ovlctl.kernel.taskstats import Accounting, Source

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 41
CALLS = 200


def main() -> int:
    """Measure and print."""
    for source in Source:
        try:
            accounting = Accounting(source)
        except OSError as error:
            print(f"{source}: skipped: {error.strerror}")
            continue
        with accounting:
            rounds = [(spent(read_anew), spent(accounting.snapshot)) for _ in range(ROUNDS)]
        ratios = sorted(snapshot / anew for anew, snapshot in rounds)
        print(
            f"{source:9} {min(snapshot for _, snapshot in rounds) / 1e3:6.1f} us at the least; "
            f"{statistics.median(ratios):4.1f} times reading the files anew [p5 {ratios[2]:.1f}, p95 {ratios[-3]:.1f}]"
        )
    return 0


def read_anew() -> None:
    """Open, read and close what a snapshot from /proc reads."""
    for name in ("stat", "io"):
        with open(f"/proc/thread-self/{name}", "rb") as file:
            file.read()


def spent(work: Callable[[], object]) -> float:
    """Nanoseconds of CPU that one call takes."""
    began = time.thread_time_ns()
    for _ in range(CALLS):
        work()
    return (time.thread_time_ns() - began) / CALLS


if __name__ == "__main__":
    sys.exit(main())
