"""``ovlctl``: from an argument list to an exit status.

Only what ``ovlctl --version`` needs is imported here; the rest is :mod:`ovlctl.cli.run`.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

from ovlctl.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``ovlctl`` with *argv* (default: the process's) and return its exit status.

    Whatever goes wrong becomes an error on stderr and a status; no exception leaves, except SystemExit for a shell
    that asks for completions. With OVLCTL_DEBUG in the environment unexpected exceptions do leave.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    if args == ["--version"]:
        sys.stdout.write(f"ovlctl {__version__}\n")
        return 0
    from ovlctl.cli.run import run

    return run(args)


def entry() -> int:
    """The process ``ovlctl``: :func:`main` with the garbage collector kept out of starting and ending.

    Imports make many objects and no garbage, and at its end the interpreter looks through all of them twice. Not
    doing so saves a sixth of the CPU time of a plain command. In between the collector works, only less often.
    """
    gc.set_threshold(100_000)
    try:
        open_streams()
        return main()
    except KeyboardInterrupt:
        # While modules were still being imported; from then on main() sees to it.
        return 130
    finally:
        gc.freeze()


def open_streams() -> None:
    """Let whoever closed a standard stream get what was meant: nothing is said there, and no file takes its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    # Python leaves None for a stream that was closed.
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 -- for as long as the process lives
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115 -- as above
