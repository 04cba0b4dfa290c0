"""The pane with the story of the chosen path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.show.names import show_name
from ovlctl.tui.cells import folded
from ovlctl.tui.details_text import details
from ovlctl.tui.lines_view import TextView, words
from ovlctl.tui.palette import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual import events

    from ovlctl.ops.explain import Explanation
    from ovlctl.overlay.layers import Role as LayerRole
    from ovlctl.tui.look import Look


class DetailsView(TextView):
    """What ``ovlctl explain`` says.

    Attributes:
        path: What it is about; None when there is nothing to tell of.
        outdated: Whether the layers were read anew since.
        names: What layers are called, where they are not called as usual.
    """

    def __init__(self, look: Look, label: str) -> None:
        super().__init__(look, "details")
        self.path: str | None = None
        self.outdated = False
        self._label = label
        self.names: Mapping[tuple[LayerRole, int], str] = {}
        self._about: Explanation | str | None = None

    def tell(self, path: str, about: Explanation | str) -> None:
        """Show the story of a path, or why there is none."""
        same = path == self.path
        self.path, self._about, self.outdated = path, about, False
        lines = self._made()
        if same and lines == self.lines:
            return
        top = self.scroll_offset.y if same else 0
        self.show(lines)
        self.scroll_to(y=top, animate=False)

    def clear(self) -> None:
        """There is nothing to tell of."""
        self.path = self._about = None
        self.show([])

    @property
    def title(self) -> str:
        """The path."""
        return "" if self.path is None else show_name(f"/{self.path}")

    def on_resize(self, event: events.Resize) -> None:
        """Sentences are wrapped at the width of the pane."""
        self.lines = self._made()
        super().on_resize(event)

    def _made(self) -> list[tuple[tuple[str, Role], ...]]:
        if self._about is None:
            return []
        if isinstance(self._about, str):
            return [words(part, Role.ODD) for part in folded(f"  {self._about}", self.wide)]
        return details(self._about, self._label, self.wide, self.names)
