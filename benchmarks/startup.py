"""What starting ovlctl costs: CPU of plain commands against ``python -c pass``, in turn, as ratios.

The budget of a plain command is 8 times.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys

COMMANDS = (("--version",), ("--help",), ("ls",), ("ls", "--json"), ("mount", "--help"), ("doctor",))
ROUNDS = 21


def main() -> int:
    """Measure and print."""
    for command in COMMANDS:
        cpu("-m", "ovlctl", *command)  # compiles what was not
        rounds = [(cpu("-c", "pass"), cpu("-m", "ovlctl", *command)) for _ in range(ROUNDS)]
        ratios = sorted(ours / nothing for nothing, ours in rounds)
        least = min(ours for _, ours in rounds) / min(nothing for nothing, _ in rounds)
        print(
            f"ovlctl {' '.join(command):14} {min(ours for _, ours in rounds) * 1e3:6.1f} ms CPU at the least; "
            f"{statistics.median(ratios):4.1f} times python -c pass "
            f"[p5 {ratios[1]:.1f}, p95 {ratios[-2]:.1f}], {least:.1f} least to least"
        )
    return 0


def cpu(*argv: str) -> float:
    """User and system seconds of one run of Python with *argv*."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *argv], env=environment, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    sys.exit(main())
