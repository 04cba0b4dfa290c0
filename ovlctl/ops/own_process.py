"""A child process that runs a module of ours, with pipes to it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def start(module: str, *, pass_fds: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """Start a new interpreter that calls ``main()`` of *module* and ends with what it returns.

    Args:
        module: Its full name.
        pass_fds: Descriptors that it inherits besides the standard ones; 0 and 1 are pipes.
    """
    # -P and an explicit path: the working directory must not be able to offer modules to a process of root's.
    code = f"import sys; sys.path.insert(0, sys.argv[1]); from {module} import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code, _HOME], stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=pass_fds
    )
