"""The report page in headless Chromium: how long it takes to make, to open and to use.

    benchmarks/report.py [ENTRIES,..]     100,000 and 1,000,000 by default

Two layers of ENTRIES empty files in directories of a hundred, in memory. Prints what scanning and writing takes, the
size of the page, and in the browser, the median of some rounds: from the start of loading to everything drawn, a key,
unfolding everything, a search as it is typed (of which 120 ms are waiting for the next key on large trees), and the
memory of the script. Run as root: it mounts in a mount namespace of its own.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from typing import TYPE_CHECKING

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from ovlctl.kernel import capabilities, namespaces
from ovlctl.kernel.capabilities import Capability
from ovlctl.kernel.mount import MS, mount, umount2
from ovlctl.ops import publishing, reading, reporting
from ovlctl.overlay.stack import Stack
from ovlctl.show.report.assets import page
from tests.browser.tools import browser, drive

if TYPE_CHECKING:
    from ovlctl.ops.reporting import Report

ROUNDS = 5
IN_A_DIRECTORY = 99
WORDS = ("alpha", "config", "module", "index", "handler", "test_core", "data", "view", "cache", "protocol", "README")


def main() -> int:
    """Measure and print."""
    sizes = [int(each) for each in sys.argv[1].split(",")] if len(sys.argv) > 1 else [100_000, 1_000_000]
    if not capabilities.has(Capability.CAP_SYS_ADMIN):
        print("skipped: needs root")
        return 0
    if not browser():
        print(f"skipped: needs a browser: {browser().reason}")
        return 0
    namespaces.enter_private_mounts()
    scratch = tempfile.mkdtemp(prefix="ovlctl-benchmark-")
    try:
        for entries in sizes:
            mount("layers", scratch, "tmpfs", MS(0), b"size=90%,nr_inodes=0")
            measure(scratch, entries)
            umount2(scratch)
    finally:
        os.rmdir(scratch)
    return 0


def measure(scratch: str, entries: int) -> None:
    """Make a page of so many entries and use it."""
    directories = range(entries // (IN_A_DIRECTORY + 1))
    fill(f"{scratch}/low", directories, 1)
    fill(f"{scratch}/up", directories[::10], 9)
    stack = Stack([f"{scratch}/up", f"{scratch}/low"])
    start = time.monotonic()
    with reading.opened(reading.of_directories(stack)) as view:
        found = reporting.report(view, ("STACK",), run=False)
    gathered = time.monotonic()
    path = f"{scratch}/page.html"
    size = publishing.write(publishing.place(path, None, replace=False), page(found))
    written = time.monotonic()
    print(
        f"{rows(found):,} entries: scanned in {gathered - start:.2f} s, written in {written - gathered:.2f} s, "
        f"{size / 1e6:.1f} MB"
    )
    rounds = [drive("timing", path, text="config").result for _ in range(ROUNDS)]
    for name, words in (
        ("ready", "open to ready"),
        ("up", "a key"),
        ("unfold", "unfold all"),
        ("find", "search"),
    ):
        times = [each[name] for each in rounds]
        print(f"  {words:14} {statistics.median(times):6.0f} ms [{min(times):.0f}..{max(times):.0f}]")
    print(f"  {'heap':14} {statistics.median(each['heap'] for each in rounds) / 1e6:6.0f} MB")


def rows(report: Report) -> int:
    """How many entries the page lists."""
    return len(report.atlas) - 1


def fill(layer: str, directories: range, step: int) -> None:
    """Make empty files in each of some directories."""
    for number in directories:
        path = f"{layer}/{WORDS[number % len(WORDS)]}-{number // 50:04}/{number % 50:02}"
        os.makedirs(path)
        here = os.open(path, os.O_PATH)
        for at in range(0, IN_A_DIRECTORY, step):
            os.mknod(f"{WORDS[(number + at) % len(WORDS)]}_{at * 7919 % 1000:03}.py", 0o644, dir_fd=here)
        os.close(here)


if __name__ == "__main__":
    sys.exit(main())
