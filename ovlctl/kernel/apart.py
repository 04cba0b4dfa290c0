"""Work done in a child process, for what changes the process that does it: namespaces, ids, mounts."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def apart(work: Callable[[], bytes]) -> bytes | None:
    """Do *work* in a fork of this process and give what it returns; None when it raised or was killed.

    Whatever the child enters or mounts privately goes with it. It has ended when this returns, also by an exception.
    Of the threads of this process only the calling one exists in the child, so one that holds a lock there would
    hold it for ever: meant for programs of one thread.

    Raises:
        OSError: EAGAIN, no process can be made.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        child = os.fork()
        if child == 0:
            _serve(work, writer)
        try:
            os.close(writer)
            writer = -1
            with open(reader, "rb", closefd=False) as stream:
                content = stream.read()
        except BaseException:
            os.kill(child, signal.SIGKILL)
            raise
        finally:
            status = os.waitpid(child, 0)[1]
    finally:
        os.close(reader)
        if writer != -1:
            os.close(writer)
    return content if os.waitstatus_to_exitcode(status) == 0 else None


def _serve(work: Callable[[], bytes], writer: int) -> None:
    """Never returns: what raises here must not run on in a second copy of the program."""
    status = 1
    try:
        content = work()
        while content:
            content = content[os.write(writer, content) :]
        status = 0
    finally:
        os._exit(status)
