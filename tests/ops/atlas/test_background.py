"""The process that reads beside the screen: what it gives, and that it does not stay."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ovlctl.ops import reading
from ovlctl.ops.atlas import layers, scan, summaries
from ovlctl.ops.atlas.background import Done, Failed, Merged, OneLayer, Progress, Scanner, Summaries
from ovlctl.overlay.stack import Stack
from tests import trees
from tests.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.atlas.background import Event, Task
    from ovlctl.ops.reading import View


@contextmanager
def _scanning(base: str, files: int = 3) -> Iterator[tuple[View, Scanner]]:
    trees.make(f"{base}/low", {f"d{at // 50}/f{at}": str(at) for at in range(files)})
    trees.make(f"{base}/top", {"d0/f1": "changed"})
    stack = Stack([f"{base}/top", f"{base}/low"])
    with reading.opened(reading.of_directories(stack)) as view, Scanner.start(view) as scanner:
        yield view, scanner


def _answer(scanner: Scanner, task: Task) -> Done:
    scanner.order(task)
    while isinstance(event := scanner.receive(), Progress):
        assert event.task == task
    assert isinstance(event, Done)
    assert event.task == task
    return event


def test_the_trees_are_those_of_a_scan_here(scratch: str) -> None:
    """Column by column, and the figures with them."""
    with _scanning(scratch, 120) as (view, scanner):
        atlas, merged = scan.merged(view)
        done = _answer(scanner, Merged())
        assert done.merged == merged
        assert done.atlas == atlas
        assert _answer(scanner, OneLayer(1)).atlas == layers.of_layer(view, 1)
        assert _answer(scanner, Summaries()).layers == summaries.summaries(view, atlas)


def test_progress_is_told_while_it_works(scratch: str) -> None:
    """Of a scan that takes more than a moment."""
    with _scanning(scratch, 30_000) as (_, scanner):
        scanner.order(Merged())
        events: list[Event] = []
        while not events or isinstance(events[-1], Progress):
            events.append(scanner.receive())
        assert isinstance(events[-1], Done)
        counts = [event.count for event in events if isinstance(event, Progress)]
        assert counts == sorted(counts)


def test_an_error_is_told_and_the_next_task_is_done(scratch: str) -> None:
    """A layer that cannot be looked at any more."""
    with _scanning(scratch) as (_, scanner):
        scanner.order(OneLayer(7))
        assert select.select([scanner], [], [], PATIENCE)[0]
        # There is no such layer: a mistake in the program, which ends the process.
        event = scanner.receive()
        assert isinstance(event, Failed)
        assert event.task is None
        scanner.order(Merged())
        assert isinstance(scanner.receive(), Failed)


def test_it_ends_with_what_started_it(scratch: str) -> None:
    """Closed in the middle of its work, or when the other process is killed."""
    with _scanning(scratch, 20_000) as (_, scanner):
        scanner.order(Merged())
        pid = scanner._pid  # noqa: SLF001 -- who else would know
    assert not os.path.exists(f"/proc/{pid}")
    code = (
        "import sys, time\n"
        "from ovlctl.ops import reading\n"
        "from ovlctl.ops.atlas.background import Merged, Scanner\n"
        "from ovlctl.overlay.stack import Stack\n"
        "with reading.opened(reading.of_directories(Stack([sys.argv[1]]))) as view:\n"
        "    scanner = Scanner.start(view)\n"
        "    print(scanner._pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, f"{scratch}/low"], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(child, 0)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert eventually(lambda: _is_zombie(child))


def _is_zombie(pid: int) -> bool:
    """Whether it has ended, whoever waits for it or not."""
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
