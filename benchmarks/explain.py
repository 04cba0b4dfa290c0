"""What explain costs in a stack of 500 layers against one of 5: the whole process, in turn, as ratios.

The budget is 3 times. The stacks are made in a temporary directory and mounted in a mount namespace of this process's
own, which goes with it. Both have an upper; the path lies two directories down and is in the topmost lower and in the
bottom one, so that every layer is looked into, and most have nothing.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from ovlctl.kernel.namespaces import enter_private_mounts
from ovlctl.ops.ladder import mount_stack
from ovlctl.overlay.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZES = (5, 500)
ROUNDS = 21
PATH = "etc/app/conf"


def main() -> int:
    """Measure and print."""
    enter_private_mounts()
    base = tempfile.mkdtemp(prefix="ovlctl-bench-")
    try:
        points = [_mounted(base, layers) for layers in SIZES]
        for words in ((), ("--json",)):
            for point in points:
                seconds(point, *words)  # compiles what was not, and warms the caches
            rounds = [tuple(seconds(point, *words) for point in points) for _ in range(ROUNDS)]
            _report(" ".join(("explain", *words)), rounds)
    finally:
        for point in os.listdir(base):
            subprocess.run(["umount", os.path.join(base, point, "merged")], check=False, capture_output=True)
        shutil.rmtree(base)
    return 0


def _mounted(base: str, layers: int) -> str:
    """A mount of *layers* layers, the upper among them."""
    place = os.path.join(base, str(layers))
    lowers = [os.path.join(place, f"lower{number}") for number in range(layers - 1)]
    for at, lower in enumerate(lowers):
        os.makedirs(os.path.join(lower, os.path.dirname(PATH)))
        if at in {0, len(lowers) - 1}:
            with open(os.path.join(lower, PATH), "w", encoding="ascii") as file:
                file.write("content\n")
    for name in ("upper", "work", "merged"):
        os.mkdir(os.path.join(place, name))
    stack = Stack(lowers, upper=os.path.join(place, "upper"), work=os.path.join(place, "work"))
    mount_stack(stack, os.path.join(place, "merged"))
    return os.path.join(place, "merged")


def seconds(point: str, *words: str) -> float:
    """How long one run takes from start to end."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "ovlctl", "explain", point, PATH, *words]
    before = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return time.perf_counter() - before


def _report(name: str, rounds: Sequence[tuple[float, ...]]) -> None:
    ratios = sorted(many / few for few, many in rounds)
    few, many = (statistics.median(times) for times in zip(*rounds, strict=True))
    least = min(many for _, many in rounds) / min(few for few, _ in rounds)
    print(
        f"{name:14} {SIZES[0]} layers {few * 1e3:6.1f} ms, {SIZES[1]} layers {many * 1e3:6.1f} ms (medians); "
        f"{statistics.median(ratios):.2f} times [p5 {ratios[1]:.2f}, p95 {ratios[-2]:.2f}], {least:.2f} least to least"
    )


if __name__ == "__main__":
    sys.exit(main())
