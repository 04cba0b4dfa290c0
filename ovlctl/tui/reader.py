"""What reads the layers while keys are answered: in a thread, one thing after the other; or at once, what is quick."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar, cast

from ovlctl.errors import OvlError, strerror
from ovlctl.ops import reading
from ovlctl.ops.atlas import layers, scan
from ovlctl.ops.explain import explain
from ovlctl.ops.extracting import content
from ovlctl.ops.reading.troubles import Troubles
from ovlctl.show.names import show_argument, show_name, show_text

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from ovlctl.ops.explain import Explanation
    from ovlctl.ops.reading import View
    from ovlctl.tui.session import Session

_T = TypeVar("_T")

#: Seconds that the cursor rests before processes are asked.
_REST: Final = 0.3
#: Stories that take longer are worked out in the thread from then on, so that no key waits for them.
_QUICK: Final = 0.01


class Reader:
    """Asks the layers of a session.

    The thread has its own descriptors of them. An image has none, is read through what it was unpacked to, and only in
    the thread.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._thread = ThreadPoolExecutor(1, "ovlctl-reader")
        self._closing = ExitStack()
        self._view: View | None = session.view if session.subject.image is not None else None
        self._took = 0.0

    async def ask(self, work: Callable[[View], _T]) -> _T:
        """Run *work* in the thread; what it raises is raised here."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(self._opened()))

    async def renew(self) -> None:
        """The layers are others now, or have changed: open them anew."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._let_go)

    def _let_go(self) -> None:
        if self._session.subject.image is None:
            self._view = None
            self._closing.close()

    def close(self) -> None:
        """End the thread, when it has done what it is at."""
        self._thread.submit(self._closing.close)
        self._thread.shutdown(cancel_futures=False)

    def story(self, path: str) -> Explanation | str | None:
        """The story of a path without the processes that use it, or why there is none; None when it may take long."""
        if self._session.subject.image is not None or self._took > _QUICK:
            return None
        start = time.perf_counter()
        told = _told(self._session.view, path, ask_processes=False)
        self._took = time.perf_counter() - start
        return told

    async def whole_story(self, path: str, *, begun: bool) -> Explanation | str:
        """The story of a path as soon as the cursor rests, or why there is none.

        Args:
            path: Of the merged view.
            begun: Whether :meth:`story` gave the first part of it.
        """
        if begun:
            await asyncio.sleep(_REST)
        return await self.ask(lambda view: _told(view, path, ask_processes=True))

    async def list_at(self, path: str) -> None:
        """List a directory of the merged view, if that is not done yet."""
        session = self._session
        row = session.merged.atlas.find(path)
        if row is None or not session.merged.is_unread(row):
            return
        try:
            part, _ = await self.ask(lambda view: scan.merged(view, path, depth=1))
        except (OvlError, OSError) as error:
            session.say(says(error))
            return
        # The scan may have come to it meanwhile.
        row = session.merged.atlas.find(path)
        if row is not None and session.merged.is_unread(row):
            session.merged.splice(row, part)

    async def list_down_to(self, path: str) -> None:
        """List every directory on the way to a path."""
        parts = path.split("/")
        for at in range(1, len(parts)):
            await self.list_at("/".join(parts[:at]))

    async def content(self, path: str, layer: int | None, pieces: int) -> tuple[bytes, bool]:
        """The first *pieces* MiB of a file, and whether that is all of it.

        Raises:
            OvlError: as :func:`ovlctl.ops.extracting.content.read`.
        """

        def read(view: View) -> tuple[bytes, bool]:
            one = None if layer is None else layers.every(view)[layer]
            made = cast("Generator[bytes]", content.read(view, path, one, Troubles()))
            with closing(made):
                return b"".join(islice(made, pieces)), next(made, None) is None

        return await self.ask(read)

    def _opened(self) -> View:
        if self._view is None:
            self._view = self._closing.enter_context(reading.opened(self._session.subject))
        return self._view


def says(error: OvlError | OSError) -> str:
    """An error in one printable line."""
    if isinstance(error, OSError):
        return strerror(error)
    hint = error.hint(show_argument)
    return show_text(error.message(show_name) + (f" ({hint})" if hint else ""))


def _told(view: View, path: str, *, ask_processes: bool) -> Explanation | str:
    try:
        return explain(view, path, who=ask_processes)
    except (OvlError, OSError) as error:
        return says(error)
