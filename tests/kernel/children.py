"""Child processes that do one thing and hold still."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

_THEN_WAIT = "\nimport sys\nprint('ready', flush=True)\nsys.stdin.read()\n"


@contextmanager
def child(code: str, *args: str) -> Iterator[int]:
    """Pid of a Python process that has run *code* and waits; it ends with the context.

    Args:
        code: What it runs; ``sys.argv[1:]`` is *args*.
        args: Its arguments.
    """
    with subprocess.Popen(
        [sys.executable, "-c", code + _THEN_WAIT, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n", "the child failed"
            yield process.pid
        finally:
            process.stdin.close()
            process.wait(PATIENCE)
