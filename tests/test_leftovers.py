"""What a run that was killed left of engines, ends; and nothing else does."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import ExitStack

from tests.leftovers import end_engines
from tests.patience import PATIENCE


def test_end_engines(scratch: str) -> None:
    """A shim that has the directory among its words ends with what it started; an editor and another's shim do not."""
    shim = f"{scratch}/containerd-shim-test"
    shutil.copy(os.path.realpath("/bin/sh"), shim)
    inside, outside = f"{scratch}/mine/sock", f"{scratch}/other/sock"
    script = "sleep 600 & echo $!; wait"
    commands = ([shim, "-c", script, inside], [shim, "-c", script, outside], ["/bin/sh", "-c", script, inside])
    with ExitStack() as stack:
        started = [
            stack.enter_context(subprocess.Popen(words, stdout=subprocess.PIPE, text=True)) for words in commands
        ]
        children = [int(process.stdout.readline()) for process in started if process.stdout is not None]
        end_engines(f"{scratch}/mine")
        assert started[0].wait(PATIENCE) == -9
        assert [process.poll() for process in started[1:]] == [None, None]
        assert [os.path.exists(f"/proc/{child}/exe") for child in children] == [False, True, True]
        for process, child in zip(started[1:], children[1:], strict=True):
            os.kill(child, 9)
            process.wait(PATIENCE)
