"""What ``ovlctl diff`` costs, against the same over fewer lowers, GNU diff, and find(1) with getfattr(1), side by side.

- 1,000 changes over a large lower against the same over one of 1,000 files: the size of the lower should not matter.
- The same against ``diff -rq`` of lower and merged view, which reads both.
- Many changed files against listing the upper's attributes with find(1) and getfattr(1).

CPU of whole processes in turn, in one run; caches are warm. The changes are in 100 directories that the small lower has
as well, so that both uppers are the same. Run as root: it mounts in a mount namespace. With ``--files`` another size of
the large lower than 1,000,000 (4 GiB of disk), with ``--changed`` other than 100,000 changed files.
"""

from __future__ import annotations

import argparse
import glob
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
from ovlctl.kernel.mount import MNT, umount2

CHANGES = 1000
IN_DIRECTORIES = 100
A_DIRECTORY = 1000


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--changed", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dir", help="where to make the layers; the usual place for temporary files")
    given = parser.parse_args()
    missing = [name for name in ("diff", "find", "getfattr") if shutil.which(name) is None]
    if missing or not capabilities.has(Capability.CAP_SYS_ADMIN):
        print(f"skipped: needs {' and '.join(missing) or 'root'}")
        return 0
    namespaces.enter_private_mounts()
    scratch = tempfile.mkdtemp(prefix="ovlctl-benchmark-", dir=given.dir)
    try:
        over_lowers(scratch, given.files, given.rounds)
        many(scratch, given.changed, given.rounds)
    finally:
        for point in glob.glob(f"{scratch}/*/merged"):
            umount2(point, MNT.DETACH)
        shutil.rmtree(scratch)
    return 0


def over_lowers(scratch: str, files: int, rounds: int) -> None:
    """The first two questions."""
    large = stack(f"{scratch}/large", files, A_DIRECTORY, CHANGES // IN_DIRECTORIES)
    small = stack(f"{scratch}/small", CHANGES, CHANGES // IN_DIRECTORIES, CHANGES // IN_DIRECTORIES)
    pairs = [(timed(*ovlctl_diff(large)), timed(*ovlctl_diff(small))) for _ in range(rounds + 1)][1:]
    print(f"{CHANGES} changes")
    tell(f"over {files} files", [one for one, _ in pairs])
    tell(f"over {CHANGES} files", [other for _, other in pairs])
    ratio("large lower / small lower", [one / other for one, other in pairs])
    gnu = [timed("diff", "-rq", "--no-dereference", f"{large}/lower", f"{large}/merged") for _ in range(2)]
    tell(f"diff -rq of {files} files", gnu[1:])
    ratio("diff -rq / ovlctl diff", [gnu[1] / statistics.median(one for one, _ in pairs)])


def many(scratch: str, changed: int, rounds: int) -> None:
    """The third question."""
    base = stack(f"{scratch}/many", changed, A_DIRECTORY, A_DIRECTORY)
    triples = []
    for _ in range(rounds + 1):
        listed = timed("find", f"{base}/upper", "-printf", "%p %y %m %U %G %s %T@ %n\\n")
        attributes = timed("getfattr", "-R", "-h", "-d", "-m", "-", f"{base}/upper")
        triples.append((timed(*ovlctl_diff(base)), timed(*ovlctl_diff(base), "--json"), listed + attributes))
    del triples[0]
    print(f"{changed} changed files")
    tell("ovlctl diff", [text for text, _, _ in triples])
    tell("ovlctl diff --json", [json for _, json, _ in triples])
    tell("find -printf and getfattr -R", [theirs for _, _, theirs in triples])
    ratio("ovlctl diff / both", [text / theirs for text, _, theirs in triples])
    ratio("ovlctl diff --json / both", [json / theirs for _, json, theirs in triples])


def stack(base: str, files: int, a_directory: int, changes: int) -> str:
    """A mounted stack of a lower of *files* files, so many *a_directory*.

    Of each directory the first *changes* are written to through the mount; of the large lower, in the first 100.
    """
    for name in ("lower", "upper", "work", "merged"):
        os.makedirs(f"{base}/{name}")
    for at in range(files):
        directory = f"{base}/lower/{at // a_directory:05}"
        if at % a_directory == 0:
            os.mkdir(directory)
        with open(f"{directory}/{at % a_directory:05}", "wb") as new:
            new.write(b"some content")
    layers = ovlctl.Stack([f"{base}/lower"], upper=f"{base}/upper", work=f"{base}/work")
    ovlctl.mount(layers, f"{base}/merged", state_dir=f"{base}/state")
    for directory in sorted(os.listdir(f"{base}/lower"))[:IN_DIRECTORIES]:
        for at in range(changes):
            with open(f"{base}/merged/{directory}/{at:05}", "ab") as changed:
                changed.write(b" and more")
    return base


def ovlctl_diff(base: str) -> tuple[str, ...]:
    """The command for a stack."""
    return (sys.executable, "-m", "ovlctl", "diff", f"{base}/merged", "--state-dir", f"{base}/state")


def timed(*argv: str) -> int:
    """Nanoseconds of CPU that a process takes: nothing here waits for a disk, and others may keep the CPUs busy."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int((after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1e9)


def tell(what: str, times: list[int]) -> None:
    """One line with the median and the extremes."""
    low, middle, high = (value / 1e6 for value in (min(times), statistics.median(times), max(times)))
    print(f"  {what:30} median {middle:9.1f} ms  [{low:.1f} .. {high:.1f}]")


def ratio(what: str, ratios: list[float]) -> None:
    """One line with the median and the extremes."""
    print(f"  {what:30} {statistics.median(ratios):16.2f}     [{min(ratios):.2f} .. {max(ratios):.2f}]")


if __name__ == "__main__":
    sys.exit(main())
