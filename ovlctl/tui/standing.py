"""The stack as it is, and as it stands after something was done: which of both is on the screen."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ovlctl.errors import OvlError
from ovlctl.ops import reading
from ovlctl.ops.atlas import scan
from ovlctl.ops.atlas.atlas import Flag
from ovlctl.ops.atlas.relisting import below_another, relisted
from ovlctl.ops.atlas.totals import counted, upper_summary
from ovlctl.ops.trying.values import Action
from ovlctl.overlay.layers import Role
from ovlctl.tui.command_lines import words_of
from ovlctl.tui.session import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ovlctl.ops.atlas.atlas import Atlas
    from ovlctl.ops.reading import View
    from ovlctl.ops.trying.values import Deed
    from ovlctl.tui.ground import Ground
    from ovlctl.tui.session import Session

#: Trees of at most so many rows are read anew after each action, for the figures of the layers.
SOON: Final = 100_000
#: What the scratch upper is called in the stack of layers and in the tree.
SCRATCH: Final = "scratch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found in the directories concerned.

    Attributes:
        closing: Closes the view.
        view: The stack, opened since.
        atlas: Its merged view.
    """

    closing: ExitStack
    view: View
    atlas: Atlas


class Standing:
    """What is done is looked at in a thread (:meth:`find`), then shown (:meth:`stand`).

    Args:
        session: That shows it.
        ground: Where it is done.
    """

    def __init__(self, session: Session, ground: Ground) -> None:
        self._session, self._ground = session, ground
        self._closing = ExitStack()
        self._away: State | None = None
        self._turns = session.turn
        session.private = ground.example
        # The directories concerned so far, with the names of those in them that are others now.
        self._concerned: dict[str, frozenset[str]] = {}

    @property
    def on_scratch(self) -> bool:
        """Whether a scratch upper is part of what is shown, that is not so of the stack itself."""
        return self._session.home is not None

    @property
    def names(self) -> Mapping[tuple[Role, int], str]:
        """What layers are called in stories of the scratch stack, whose own numbers would mislead."""
        if not self.on_scratch:
            return {}
        own = self._ground.layers
        lowers = len(self._session.view.layers.lowers)
        told = {(Role.UPPER, 0): SCRATCH}
        for number, layer in enumerate(own[1:]):
            role, index = (Role.LOWER, number) if number < lowers else (Role.DATA, number - lowers)
            told[role, index] = layer.label.replace(":", " ")
        return told

    def base(self) -> tuple[Atlas, bool]:
        """The tree before what was done, and whether that is the one without a scratch upper."""
        if self._away is not None:
            return self._away.atlas, False
        raised = not (self.on_scratch or self._ground.example or self._ground.is_live)
        return self._session.merged.atlas, raised

    def concern(self, deed: Deed) -> dict[str, frozenset[str]]:
        """The directories that *deed* may have changed, outermost first."""
        if deed.wish.action is Action.READ:
            return {}
        concerned = concerned_by(deed)
        for directory, fresh in concerned.items():
            self._concerned[directory] = self._concerned.get(directory, frozenset()) | fresh
        return concerned

    def everything(self) -> dict[str, frozenset[str]]:
        """All directories concerned so far, outermost first."""
        return dict(sorted(self._concerned.items(), key=lambda item: item[0].count("/") + bool(item[0])))

    def find(self, base: tuple[Atlas, bool], concerned: Mapping[str, frozenset[str]]) -> Found:
        """List the directories concerned; in a thread.

        Raises:
            OvlError: A layer cannot be opened.
            OSError: The root of the topmost layer cannot be looked at.
        """
        atlas, raised = base
        with ExitStack() as closing:
            view = closing.enter_context(reading.opened(self._ground.subject))
            if raised:
                atlas = below_another(atlas)
                concerned = {"": frozenset(), **concerned}
            atlas = _listed(view, atlas, concerned)
            return Found(closing=closing.pop_all(), view=view, atlas=atlas)

    def stand(self, found: Found) -> ExitStack:
        """Show what was found.

        Returns:
            What closes the view that is not needed any more.
        """
        session, ground = self._session, self._ground
        if session.home is None and self._away is None and not (ground.example or ground.is_live):
            session.home = session.state
        if self._away is not None:
            session.home = session.state
        self._away = None
        session.private = not ground.is_live
        old, self._closing = self._closing, found.closing
        session.take(self._state(found))
        if len(found.atlas) <= SOON:
            session.rescan_soon()
        return old

    def _state(self, found: Found) -> State:
        session, ground = self._session, self._ground
        self._turns += 1
        home = session.home
        labels = tuple(layer.label for layer in ground.layers)
        summaries, summary = session.summaries, counted(found.atlas)
        if home is not None:
            labels = (SCRATCH, *labels[1:])
            summaries = home.summaries and tuple(replace(each, number=each.number + 1) for each in home.summaries)
        if summaries is not None and found.view.layers.upper is not None:
            upper = upper_summary(found.atlas, found.view.layers.upper.directory)
            summaries = (upper, *summaries[0 if home is not None and len(summaries) < len(labels) else 1 :])
        return State(
            view=found.view,
            words=words_of(found.view.subject) if home is not None or ground.example else session.words,
            labels=labels,
            atlas=found.atlas,
            summary=summary,
            summaries=summaries,
            turn=self._turns,
            of=found.view.subject,
            settled=False,
        )

    def go_home(self) -> bool:
        """Show the stack as it is; False where that is what is shown."""
        session = self._session
        if session.home is None:
            return False
        self._away = session.state
        session.take(session.home)
        session.home, session.private = None, False
        return True

    def go_back(self) -> bool:
        """Show it as it stands on the scratch upper again; False where nothing was done there."""
        if self._away is None:
            return False
        session = self._session
        session.home, state, self._away = session.state, self._away, None
        session.private = True
        session.take(state)
        return True

    def forget(self) -> None:
        """The scratch upper is empty again: show the stack as it is, where that is another one."""
        self.go_home()
        self._away = None
        self._concerned.clear()

    def close(self) -> None:
        """Close the view of the scratch upper."""
        self._closing.close()


def concerned_by(deed: Deed) -> dict[str, frozenset[str]]:
    """The directories on the way to what was done, outermost first, each with the names in it that are others now."""
    wish = deed.wish
    new = {Action.CREATE: wish.path, Action.MKDIR: wish.path, Action.RENAME: wish.to, Action.LINK: wish.to}
    concerned: dict[str, frozenset[str]] = {}
    for path in filter(None, (wish.path, wish.to)):
        parts = path.split("/")
        for end in range(len(parts)):
            directory = "/".join(parts[:end])
            is_new = path == new.get(wish.action) and end == len(parts) - 1
            fresh = frozenset({parts[-1]}) if is_new else frozenset[str]()
            concerned[directory] = concerned.get(directory, frozenset()) | fresh
    return concerned


def _listed(view: View, atlas: Atlas, concerned: Mapping[str, Iterable[str]]) -> Atlas:
    for directory, fresh in concerned.items():
        row = atlas.find(directory)
        if row is None or (directory and atlas.flags[row] & Flag.UNREAD):
            continue  # it is listed when somebody unfolds it
        try:
            listing, _ = scan.merged(view, directory, depth=1)
        except OvlError:
            continue  # it is not seen any more, as the directory above it says
        if listing.is_directory(0):
            atlas = relisted(atlas, row, listing, frozenset(fresh))
    return atlas
