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
        for path in ("lower", "merged", "run"):
            os.mkdir(os.path.join(scratch, path))
        # As on a real system, where the records of live mounts are below /run.
        mount("run", os.path.join(scratch, "run"), "tmpfs", MS(0), None)
        report(scratch, "a new upper each time", fresh=True)
        report(scratch, "the same upper again", fresh=False)
    finally:
        umount2(os.path.join(scratch, "run"))
        shutil.rmtree(scratch)
    return 0


def report(scratch: str, title: str, *, fresh: bool) -> None:
    """Time both in turn and print what came out; uppers are made outside of what is timed."""
    lower, target, state = (os.path.join(scratch, name) for name in ("lower", "merged", "run"))

    def ours(upper: str, work: str) -> None:
        ovlctl.mount(ovlctl.Stack([lower], upper=upper, work=work), target, state_dir=state).umount()

    def theirs(upper: str, work: str) -> None:
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", target], check=True)
        subprocess.run(["umount", target], check=True)

    pairs = []
    for number in range(ROUNDS + 1):
        turn = number if fresh else 0
        pairs.append(tuple(timed(call, *directories(scratch, f"{call.__name__}-{turn}")) for call in (ours, theirs)))
    del pairs[0]
    ratios = sorted(mine / other for mine, other in pairs)
    print(title)
    for name, at in (("ovlctl.mount() + umount()", 0), ("mount(8) + umount(8)", 1)):
        times = sorted(pair[at] / 1e6 for pair in pairs)
        low, high = times[ROUNDS // 20], times[-ROUNDS // 20]
        print(f"  {name:26} median {statistics.median(times):6.2f} ms  [p5 {low:.2f}, p95 {high:.2f}]")
    low, high = ratios[ROUNDS // 20], ratios[-ROUNDS // 20]
    print(f"  ratio, pair by pair        median {statistics.median(ratios):6.2f}     [p5 {low:.2f}, p95 {high:.2f}]")


def directories(scratch: str, name: str) -> tuple[str, str]:
    """An upper and a work directory called *name*."""
    upper, work = (os.path.join(scratch, f"{kind}-{name}") for kind in ("upper", "work"))
    os.makedirs(upper, exist_ok=True)
    os.makedirs(work, exist_ok=True)
    return upper, work


def timed(call: Callable[[str, str], None], upper: str, work: str) -> int:
    """Nanoseconds that *call* takes."""
    start = time.perf_counter_ns()
    call(upper, work)
    return time.perf_counter_ns() - start


if __name__ == "__main__":
    sys.exit(main())
