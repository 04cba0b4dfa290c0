"""Starting the process that keeps a user's mounts, in the namespaces of the process that starts it."""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from ovlctl import errors
from ovlctl.errors import literal, strerror
from ovlctl.kernel import namespaces
from ovlctl.ops.rootless import registry

if TYPE_CHECKING:
    from ovlctl.ops.rootless.registry import Holder
    from ovlctl.ops.state import State

_SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "holder.py")
_READY = 3
#: Milliseconds for an interpreter to start, on a machine that does a lot besides.
_PATIENCE = 20_000


def start(state: State, *, token: str | None = None) -> Holder:
    """Start a holder of this process's user and mount namespace and note it. The caller holds the state's lock.

    It is nobody's child, has a session of its own, and nothing of this process but its namespaces.

    Args:
        state: Whose mounts.
        token: What these namespaces are called, where mounts of this user may be already; None for new ones.

    Raises:
        HolderFailed: when it did not come to be.
        StateUnusable: when the note cannot be written; the holder then ends by itself.
    """
    beginning, token = "fresh" if token is None else "again", token or os.urandom(8).hex()
    try:
        ready, writer = os.pipe()
        child = os.fork()
    except OSError as error:
        message = f"cannot start the process that is to hold the mounts: {literal(strerror(error))}"
        raise errors.HolderFailed(message, errno=error.errno) from error
    if child == 0:
        _become_holder(writer, state.run, state.keep, beginning, token)
    os.close(writer)
    os.waitpid(child, 0)
    try:
        pid = _answer(ready)
        holder = registry.here(pid, token)
        if holder.namespaces != namespaces.namespace_ids():
            # Its number is somebody else's already.
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    except OSError as error:
        raise errors.HolderFailed("the process that is to hold the mounts ended at once") from error
    finally:
        os.close(ready)
    registry.write(state, holder)
    return holder


def _answer(ready: int) -> int:
    """The pid that the holder sends once it watches."""
    poll = select.poll()
    poll.register(ready, select.POLLIN)
    if not poll.poll(_PATIENCE):
        raise errors.HolderFailed(
            f"the process that is to hold the mounts said nothing for {_PATIENCE // 1000} seconds"
        )
    text = os.read(ready, 32)
    if not text.endswith(b"\n"):
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    return int(text)


def _become_holder(writer: int, *words: str) -> NoReturn:
    try:
        os.setsid()
        # Not a session leader, so that no terminal can become its own.
        if os.fork() == 0:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            null = os.open(os.devnull, os.O_RDWR)
            for number in range(3):
                os.dup2(null, number)
            if writer != _READY:
                os.dup2(writer, _READY)
            os.set_inheritable(_READY, True)  # noqa: FBT003 -- takes no keyword
            for number in map(int, os.listdir("/proc/self/fd")):
                if number > _READY:
                    with suppress(OSError):
                        os.close(number)
            os.chdir("/")
            os.umask(0o077)
            # The loader may need this to start the same interpreter; secrets have no place in what stays for days.
            kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
            argv = [sys.executable, "-I", "-S", _SCRIPT, *words]
            os.execve(sys.executable, argv, kept)  # noqa: S606 -- the very point
    finally:
        os._exit(0)
