"""Tasks of containerd, which run containers: what their shims leave in containerd's state directory until they end."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ovlctl.engines.documents import is_name, number
from ovlctl.engines.files import Files
from ovlctl.engines.gathering import Gathering
from ovlctl.engines.values import State

if TYPE_CHECKING:
    from types import TracebackType

_TASKS = "io.containerd.runtime.v2.task"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What runs a container, or that nothing does.

    Attributes:
        pid: Its first process.
        merged: Where its root directory is mounted.
    """

    state: State = State.UNKNOWN
    pid: int | None = None
    merged: str | None = None


class Tasks:
    """The tasks of a containerd; a context manager.

    Args:
        run: Its state directory; None, or one that is not there, when it does not run here: then nothing is known.
        gathering: Takes the troubles.
    """

    def __init__(self, run: str | None, gathering: Gathering) -> None:
        self._stack = ExitStack()
        self._here: Gathering | None = None
        self._troubles = gathering.troubles
        if run is not None:
            files = gathering.one(run, lambda at: self._stack.enter_context(Files(at)))
            self._here = None if files is None else Gathering(files)

    def __enter__(self) -> Self:
        """Its directory is open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self._stack.close()

    def of(self, namespace: str, container: str) -> Task:
        """The task of a container; of one that has none, that it is stopped, or was never started."""
        if self._here is None or not is_name(namespace) or not is_name(container):
            return Task()
        at = f"{_TASKS}/{namespace}/{container}"
        files = self._here.files
        pid = self._here.one(f"{at}/init.pid", files.text)
        if self._here.troubles:
            self._troubles.extend(self._here.troubles)
            self._here.troubles.clear()
            return Task()
        first = None if pid is None else number(pid)
        return Task(
            state=State.STOPPED if first is None else State.RUNNING, pid=first, merged=files.path(f"{at}/rootfs")
        )
