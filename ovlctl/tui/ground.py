"""Where actions are done: on a scratch upper that is made when it is first needed, or on the real mount."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from ovlctl.errors import StageLost
from ovlctl.ops.trying.live import Live
from ovlctl.ops.trying.stage import Stage, stage

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from ovlctl.ops.reading import Subject
    from ovlctl.ops.trying.values import Deed, Difference, GroundLayer, Preview, Wish


class Ground:
    """The place for actions of one session, and what was done there.

    What may take long (:meth:`make`, :meth:`preview`, :meth:`do`, :meth:`reset`) is for a thread beside the screen's.

    Args:
        of: The stack.
        live: Whether things are done on its real mount.
        example: Whether the scratch upper stands for the upper of the stack, which has none of its own.
        directory: Where to put the scratch upper, as for :func:`ovlctl.ops.trying.stage.stage`.

    Attributes:
        deeds: What was done, oldest first; of a scratch upper since it was made or made anew.

    Raises:
        NotMountedHere: It is to be live, and is not mounted.
    """

    def __init__(self, of: Subject, *, live: bool = False, example: bool = False, directory: str | None = None) -> None:
        self.example = example
        self.deeds: list[Deed] = []
        self._of = of
        self._directory = directory
        self._closing = ExitStack()
        self._lock = threading.Lock()
        self._closed = False
        self._made: Stage | Live | None = Live(of) if live else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left of a scratch upper afterwards."""
        with self._lock:
            self._closed = True
            self._made = None
            self._closing.close()

    @property
    def is_live(self) -> bool:
        """Whether what is done stays done."""
        return isinstance(self._made, Live)

    @property
    def is_made(self) -> bool:
        """Whether actions need no more preparation."""
        return self._made is not None

    def make(self) -> None:
        """Make the scratch upper, unless that was done.

        Raises:
            OvlError: As :func:`ovlctl.ops.trying.stage.stage`.
        """
        with self._lock:
            if self._made is None and not self._closed:
                self._made = self._closing.enter_context(stage(self._of, directory=self._directory))

    @property
    def subject(self) -> Subject:
        """The stack with what was done; of a scratch upper, by its directories."""
        subject = self._there.subject
        return replace(subject, inside=self._of.inside)

    @property
    def layers(self) -> tuple[GroundLayer, ...]:
        """What numbers of layers in deeds mean."""
        first, *rest = self._there.ground
        return (replace(first, label="upper"), *rest) if self.example else (first, *rest)

    @property
    def file_system(self) -> str:
        """The type that the topmost layer is on."""
        return self._there.file_system

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What the scratch mount has otherwise than the stack."""
        return self._made.differences if isinstance(self._made, Stage) else ()

    def preview(self, wish: Wish) -> Preview:
        """What *wish* will do. Raises as :meth:`ovlctl.ops.trying.stage.Stage.preview`."""
        return self._there.preview(wish)

    def do(self, wish: Wish) -> Deed:
        """Do it. Raises as :meth:`ovlctl.ops.trying.stage.Stage.do`, or :meth:`ovlctl.ops.trying.live.Live.do`."""
        deed = self._there.do(wish)
        self.deeds.append(deed)
        return deed

    def reset(self) -> None:
        """An empty scratch upper again, with another process when the one that had it is gone.

        Raises:
            OvlError: As :func:`ovlctl.ops.trying.stage.stage`.
        """
        if not isinstance(self._made, Stage):
            return
        try:
            self._made.reset()
        except StageLost:
            with self._lock:
                self._made = None
                self._closing.close()
            self.make()
        self.deeds.clear()

    @property
    def _there(self) -> Stage | Live:
        assert self._made is not None, "make() comes first"  # noqa: S101 -- a caller that forgets it
        return self._made
