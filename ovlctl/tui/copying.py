"""Files that leave the explorer: viewed, or copied to this machine."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from ovlctl.errors import OvlError
from ovlctl.ops.atlas.atlas import KINDS, Sign
from ovlctl.overlay.tree import Kind
from ovlctl.show.envelope import note_text
from ovlctl.show.names import show_name
from ovlctl.tui.file_window import MOST, FileWindow
from ovlctl.tui.place_window import PlaceWindow
from ovlctl.tui.reader import says

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.tui.main_screen import MainScreen


class Copying:
    """What the keys for it do.

    Args:
        screen: That shows it.
    """

    def __init__(self, screen: MainScreen) -> None:
        self._screen = screen

    async def view(self) -> None:
        """Show the file under the cursor in a window."""
        screen, session = self._screen, self._screen.session
        atlas, row = session.page.atlas, session.page.cursor
        path, layer = session.path, self._layer()
        if not row or KINDS[atlas.kinds[row]] is not Kind.FILE or atlas.signs[row] == Sign.WHITEOUT:
            screen.say("only regular files can be viewed")
            return
        try:
            content, all_of_it = await screen.reader.content(path, layer, MOST)
        except (OvlError, OSError) as error:
            screen.say(says(error), trouble=True)
            return
        rest = 0 if all_of_it else max(1, atlas.sizes[row] - len(content))
        screen.app.push_screen(FileWindow(screen.look, self._title(path, layer), content, rest))

    def ask(self, *, whole: bool) -> None:
        """Ask where the chosen path, or the whole tree, is to be copied to; and copy it.

        Args:
            whole: The whole tree.
        """
        session = self._screen.session
        path = "" if whole else session.path
        layer = session.layer if whole else self._layer()
        name = path.rpartition("/")[2] if path else f"{session.subject.label.rpartition('/')[2]}-files"

        def copy(place: str | None) -> None:
            if place is not None:
                self._screen.begin(partial(self._copy, path, layer, place), "copying")

        title = f"Extract {self._title(path, layer)}"
        # A name with bytes that are no text could not be typed.
        suggestion = name if show_name(name) == name else ""
        self._screen.app.push_screen(PlaceWindow(self._screen.look, title, suggestion), copy)

    async def _copy(self, path: str, layer: int | None, place: str) -> None:
        screen = self._screen
        screen.say(f"extracting {self._title(path, layer)} to {show_name(place)}")
        try:
            text, notes = await asyncio.to_thread(self._extract, path, layer, place)
        except (OvlError, OSError) as error:
            screen.say(says(error), trouble=True)
            return
        screen.say(text)
        for note in notes:
            screen.log_view.say(note, trouble=True)

    def _extract(self, path: str, layer: int | None, place: str) -> tuple[str, Sequence[str]]:
        # On a view of its own, since it may take long.
        from ovlctl.ops import extracting, reading
        from ovlctl.ops.reading import layer_names
        from ovlctl.ops.reading.troubles import Troubles
        from ovlctl.show.copying import copied_text

        session = self._screen.session
        with reading.opened(session.subject) as view:
            one = None
            if layer is not None:
                one = layer_names.find(view.layers, layer_names.parse(session.layer_names[layer]))
            troubles = Troubles(certain=one is not None or view.resolver.certain)
            plan = extracting.plan(view, path, place, troubles, layer=one, recursive=True)
            done = plan.apply()
            return copied_text(plan, done), [note_text(note) for note in troubles.notes()]

    def _layer(self) -> int | None:
        """The layer that the row under the cursor is of, when it is not what the merged view shows."""
        session = self._screen.session
        atlas, row = session.page.atlas, session.page.cursor
        if session.layer is None and row and atlas.signs[row] == Sign.HIDDEN:
            return atlas.providers[row]
        return session.layer

    def _title(self, path: str, layer: int | None) -> str:
        of = "" if layer is None else f" of {self._screen.session.labels[layer]}"
        return show_name(f"/{path}") + of
