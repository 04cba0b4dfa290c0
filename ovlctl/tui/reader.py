"""What reads the layers while keys are answered: one thread, one thing after the other."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from ovlctl.errors import OvlError, strerror
from ovlctl.show.names import show_argument, show_name, show_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from ovlctl.ops.explain import Explanation
    from ovlctl.tui.session import Session

_T = TypeVar("_T")

#: Seconds that the cursor rests before a story is worked out.
_REST: Final = 0.04


class Reader:
    """Asks a session what takes a while."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._thread = ThreadPoolExecutor(1, "ovlctl-reader")

    async def ask(self, work: Callable[[], _T]) -> _T:
        """Run *work* in the thread; what it raises is raised here."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def story(self, path: str) -> Explanation | str:
        """The story of a path, as soon as the cursor rests; or why there is none."""
        await asyncio.sleep(_REST)
        try:
            return await self.ask(lambda: self._session.explained(path))
        except (OvlError, OSError) as error:
            return self.says(error)

    async def list_at(self, path: str) -> None:
        """List a directory of the merged view, if that is not done yet."""
        session = self._session
        row = session.merged.atlas.find(path)
        if row is None or not session.merged.is_unread(row):
            return
        try:
            part = await self.ask(lambda: session.listed(path))
        except (OvlError, OSError) as error:
            session.say(self.says(error))
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

    @staticmethod
    def says(error: OvlError | OSError) -> str:
        """An error in one printable line."""
        if isinstance(error, OSError):
            return strerror(error)
        hint = error.hint(show_argument)
        return show_text(error.message(show_name) + (f" ({hint})" if hint else ""))
