"""ovlctl.mount() and umount() in one process against spawning mount(8) and umount(8), side by side.

Prints medians and the ratio of the pair by pair times. Run as root: it mounts in a mount namespace of its own.
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

import ovlctl
from ovlctl.kernel import capabilities, namespaces
from ovlctl.kernel.capabilities import Capability
from ovlctl.kernel.mount import MS, mount, umount2

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 60


def main() -> int:
    """Measure and print."""
    if not capabilities.has(Capability.CAP_SYS_ADMIN) or shutil.which("mount") is None:
        print("skipped: needs root and mount(8)")
        return 0
    namespaces.enter_private_mounts()
    scratch = tempfile.mkdtemp(prefix="ovlctl-benchmark-")
    try:
        lower, upper, work, target = (os.path.join(scratch, name) for name in ("lower", "upper", "work", "merged"))
        for path in (lower, upper, work, target):
            os.mkdir(path)
        stack = ovlctl.Stack([lower], upper=upper, work=work)
        # As on a real system, where the records of live mounts are below /run.
        state = os.path.join(scratch, "run")
        os.mkdir(state)
        mount("run", state, "tmpfs", MS(0), None)
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"

        def ours() -> None:
            ovlctl.mount(stack, target, state_dir=state).umount()

        def theirs() -> None:
            subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", target], check=True)
            subprocess.run(["umount", target], check=True)

        report(ours, theirs)
    finally:
        umount2(os.path.join(scratch, "run"))
        shutil.rmtree(scratch)
    return 0


def report(ours: Callable[[], None], theirs: Callable[[], None]) -> None:
    """Time both in turn and print what came out."""
    for call in (ours, theirs):
        call()
    pairs = [(timed(ours), timed(theirs)) for _ in range(ROUNDS)]
    ratios = sorted(mine / other for mine, other in pairs)
    for name, at in (("ovlctl.mount() + umount()", 0), ("mount(8) + umount(8)", 1)):
        times = sorted(pair[at] / 1e6 for pair in pairs)
        low, high = times[ROUNDS // 20], times[-ROUNDS // 20]
        print(f"{name:26} median {statistics.median(times):6.2f} ms  [p5 {low:.2f}, p95 {high:.2f}]")
    print(
        f"ratio, pair by pair        median {statistics.median(ratios):6.2f}     "
        f"[p5 {ratios[ROUNDS // 20]:.2f}, p95 {ratios[-ROUNDS // 20]:.2f}]"
    )


def timed(call: Callable[[], None]) -> int:
    """Nanoseconds that *call* takes."""
    start = time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - start


if __name__ == "__main__":
    sys.exit(main())
