"""``ovlctl tree`` of a merged stack beside ``find MERGED -printf`` on a mount of it: time and memory, in one run.

    benchmarks/tree.py [ENTRIES]     100,000 by default

Two stacks of ENTRIES names: directories of a hundred, merged of three layers, and one flat directory, merged of two.
Prints wall and CPU time, entries per second, the peak of memory, and CPU as a ratio to find(1). The layers are in
memory. Run as root: it mounts in a mount namespace of its own.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.kernel import capabilities, namespaces
from ovlctl.kernel.capabilities import Capability
from ovlctl.kernel.mount import MS, mount, umount2

if TYPE_CHECKING:
    from collections.abc import Iterable

ROUNDS = 3
IN_A_DIRECTORY = 99


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one run took: seconds, and KiB at the most."""

    wall: float
    cpu: float
    memory: int


def main() -> int:
    """Measure and print."""
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    if not capabilities.has(Capability.CAP_SYS_ADMIN) or shutil.which("find") is None:
        print("skipped: needs root and find(1)")
        return 0
    namespaces.enter_private_mounts()
    scratch = tempfile.mkdtemp(prefix="ovlctl-benchmark-")
    mount("layers", scratch, "tmpfs", MS(0), b"size=90%,nr_inodes=0")
    try:
        directories = range(entries // (IN_A_DIRECTORY + 1))
        fill(f"{scratch}/deep/low", directories, range(IN_A_DIRECTORY))
        fill(f"{scratch}/deep/middle", directories[::7], range(0, IN_A_DIRECTORY, 11))
        fill(f"{scratch}/deep/upper", directories[::13], range(0, IN_A_DIRECTORY, 9))
        report(f"{scratch}/deep", "directories of a hundred, three layers")
        # Names in an order that is not theirs.
        fill(f"{scratch}/flat/low", [0], (at * 7919 % entries for at in range(entries)))
        fill(f"{scratch}/flat/upper", [0], range(0, entries, 10))
        report(f"{scratch}/flat", "one flat directory, two layers")
    finally:
        umount2(scratch)
        os.rmdir(scratch)
    return 0


def fill(layer: str, directories: Iterable[int], files: Iterable[int]) -> None:
    """Make empty files of the same names in each of some directories."""
    names = [f"some-file-{at:07}.txt" for at in files]
    for number in directories:
        path = f"{layer}/directory-{number:05}"
        os.makedirs(path)
        here = os.open(path, os.O_PATH)
        for name in names:
            os.mknod(name, 0o644, dir_fd=here)
        os.close(here)


def report(base: str, title: str) -> None:
    """Time each command in turn on the stack below *base* and print what came out."""
    lowers = [path for name in ("middle", "low") if os.path.isdir(path := f"{base}/{name}")]
    os.makedirs(f"{base}/work")
    os.makedirs(f"{base}/merged")
    options = f"lowerdir={':'.join(lowers)},upperdir={base}/upper,workdir={base}/work"
    mount("overlay", f"{base}/merged", "overlay", MS(0), os.fsencode(options))
    tree = [sys.executable, "-m", "ovlctl", "tree", f"{base}/merged"]
    commands = {
        "find -printf": ["find", f"{base}/merged", "-mindepth", "1", "-printf", r"%M %U %G %s %T@ %P %l\n"],
        "ovlctl tree": tree,
        "ovlctl tree --json": [*tree, "--json"],
        "ovlctl tree --hidden": [*tree, "--hidden"],
    }
    listed = int(
        subprocess.run(
            ["sh", "-c", 'find "$0" -mindepth 1 | wc -l', f"{base}/merged"], capture_output=True, check=True
        ).stdout
    )
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, argv in commands.items():
            costs[name].append(cost(argv))
    umount2(f"{base}/merged")
    print(f"{title}: {listed:,} entries, median of {ROUNDS} runs in turn")
    reference = statistics.median(each.cpu for each in costs["find -printf"])
    for name, every in costs.items():
        wall, cpu = statistics.median(each.wall for each in every), statistics.median(each.cpu for each in every)
        # What find(1) is started from takes more than it does.
        memory = "" if every is costs["find -printf"] else f", {max(each.memory for each in every) / 1024:5.1f} MiB"
        print(
            f"  {name:20} {wall:6.2f} s, {cpu:6.2f} s CPU ({cpu / listed * 1e6:5.1f} us an entry), "
            f"{listed / wall:9,.0f} entries/s, "
            f"{cpu / reference:4.1f} times find's CPU{memory}"
        )


def cost(argv: list[str]) -> Cost:
    """Run *argv* with its output thrown away."""
    start = time.perf_counter()
    with open(os.devnull, "wb") as nowhere, subprocess.Popen(argv, stdout=nowhere) as running:
        _, status, usage = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    assert running.returncode == 0, argv
    return Cost(wall=time.perf_counter() - start, cpu=usage.ru_utime + usage.ru_stime, memory=usage.ru_maxrss)


if __name__ == "__main__":
    sys.exit(main())
