"""What ``ovlctl du`` costs, against ``du -s`` of the same layers, side by side: CPU of whole processes, and memory.

A lower of many files and an upper in which one in a hundred was changed, on a tmpfs, where nothing can be shared, and
on xfs, where every file has to be opened for its extents. Both read the same inodes; ovlctl asks each file for marks
besides, and says what became of it. Caches are warm. Run as root: it mounts in a mount namespace.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

import ovlctl
from ovlctl.kernel import capabilities, namespaces
from ovlctl.kernel.capabilities import Capability
from ovlctl.kernel.mount import MNT, MS, mount, umount2

A_DIRECTORY = 100
ONE_IN = 100


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    if shutil.which("du") is None or not capabilities.has(Capability.CAP_SYS_ADMIN):
        print("skipped: needs root and du(1)")
        return 0
    namespaces.enter_private_mounts()
    scratch = tempfile.mkdtemp(prefix="ovlctl-benchmark-")
    try:
        on_tmpfs(scratch, given.files, given.rounds)
        on_xfs(scratch, given.files, given.rounds)
    finally:
        shutil.rmtree(scratch)
    return 0


def on_tmpfs(scratch: str, files: int, rounds: int) -> None:
    """Nothing can be shared: no file is opened."""
    point = f"{scratch}/memory"
    os.mkdir(point)
    mount("scratch", point, "tmpfs", MS(0), b"size=80%")
    try:
        report("tmpfs", point, files, rounds)
    finally:
        umount2(point, MNT.DETACH)


def on_xfs(scratch: str, files: int, rounds: int) -> None:
    """Every file is opened and asked for its extents."""
    if shutil.which("mkfs.xfs") is None:
        print("xfs: skipped: needs mkfs.xfs")
        return
    image, point = f"{scratch}/xfs.img", f"{scratch}/xfs"
    os.mkdir(point)
    with open(image, "xb") as new:
        new.truncate((512 << 20) + files * (8 << 10))
    subprocess.run(["mkfs.xfs", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, point], check=True)
    try:
        report("xfs", point, files, rounds)
    finally:
        umount2(point, MNT.DETACH)


def report(title: str, point: str, files: int, rounds: int) -> None:
    """Time both in turn and print what came out."""
    stack(point, files)
    gnu = ("du", "-s", *(f"{point}/{name}" for name in ("lower", "upper", "work")))
    words = ("du", "-l", f"{point}/lower", "--upper", f"{point}/upper", "--work", f"{point}/work", "--no-remember")
    ours = (sys.executable, "-m", "ovlctl", *words)
    pairs = [(cpu(*ours), cpu(*gnu)) for _ in range(rounds + 1)][1:]
    print(f"{title}: {files} files, {files // ONE_IN} changed")
    tell("ovlctl du", [mine for mine, _ in pairs])
    tell("du -s", [theirs for _, theirs in pairs])
    ratios = [mine / theirs for mine, theirs in pairs]
    print(f"  {'ovlctl du / du -s':20} {statistics.median(ratios):16.1f}     [{min(ratios):.1f} .. {max(ratios):.1f}]")
    print(f"  {'memory of ovlctl du':20} {peak(*ours):16.0f} MiB at most")


def stack(base: str, files: int) -> None:
    """A lower of *files* files, of which one in a hundred was written to through a mount."""
    for name in ("lower", "upper", "work", "merged"):
        os.makedirs(f"{base}/{name}")
    for at in range(files):
        directory = f"{base}/lower/{at // A_DIRECTORY:06}"
        if at % A_DIRECTORY == 0:
            os.mkdir(directory)
        with open(f"{directory}/{at:08}", "wb") as new:
            new.write(b"some content")
    layers = ovlctl.Stack([f"{base}/lower"], upper=f"{base}/upper", work=f"{base}/work")
    with ovlctl.mount(layers, f"{base}/merged", state_dir=f"{base}/state"):
        for at in range(0, files, ONE_IN):
            with open(f"{base}/merged/{at // A_DIRECTORY:06}/{at:08}", "ab") as changed:
                changed.write(b" and more")
    os.sync()


def cpu(*argv: str) -> int:
    """Nanoseconds of CPU that a process takes: nothing here waits for a disk, and others may keep the CPUs busy."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int((after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1e9)


def peak(*argv: str) -> float:
    """The most memory that a process has at once, in MiB."""
    started = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(started.pid, 0)
    started.returncode = os.waitstatus_to_exitcode(status)
    assert started.returncode == 0
    return usage.ru_maxrss / 1024


def tell(what: str, times: list[int]) -> None:
    """One line with the median and the extremes."""
    low, middle, high = (value / 1e6 for value in (min(times), statistics.median(times), max(times)))
    print(f"  {what:20} median {middle:9.1f} ms  [{low:.1f} .. {high:.1f}]")


if __name__ == "__main__":
    sys.exit(main())
