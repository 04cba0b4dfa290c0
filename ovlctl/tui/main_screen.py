"""The screen: the stack of layers above, the tree below it, and the story of the chosen path beside or below that."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from textual.screen import Screen

from ovlctl.ops.atlas.finding import Want
from ovlctl.show.names import show_name
from ovlctl.tui.acting import Acting
from ovlctl.tui.bars import Bar, Caption, hints
from ovlctl.tui.binding import bindings
from ovlctl.tui.captions import details_caption, layers_caption, log_caption, status, tree_caption
from ovlctl.tui.choice_window import CommandWindow, Finder
from ovlctl.tui.command_lines import commands
from ovlctl.tui.copying import Copying
from ovlctl.tui.details_view import DetailsView
from ovlctl.tui.filter_line import FilterLine
from ovlctl.tui.help_window import HelpWindow
from ovlctl.tui.keys import Where
from ovlctl.tui.layers_view import LayersView
from ovlctl.tui.log_view import LogView
from ovlctl.tui.panes import Pane, Panes
from ovlctl.tui.reader import Reader, says
from ovlctl.tui.tree_view import TreeView

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.worker import WorkType

    from ovlctl.ops.trying.values import Action
    from ovlctl.tui.ground import Ground
    from ovlctl.tui.look import Look
    from ovlctl.tui.session import Session


class MainScreen(Screen[None], inherit_bindings=False):
    """Everything that is shown of a session.

    Args:
        session: What is looked at.
        look: Of everything.
        ground: Where actions are done.
    """

    BINDINGS = bindings(Where.SCREEN, Where.ACTING)
    AUTO_FOCUS = "#tree"

    def __init__(self, session: Session, look: Look, ground: Ground) -> None:
        super().__init__()
        self.session = session
        self.look = look
        self.stack = LayersView(look, session)
        self.tree_view = TreeView(look, session)
        self.filter_line = FilterLine()
        self.details_view = DetailsView(look, session.subject.label)
        self.log_view = LogView(look)
        self.status_bar = Bar(look, lambda width: status(session, look.glyphs, width, live=ground.is_live))
        self.reader = Reader(session)
        self.copying = Copying(self)
        self.acting = Acting(self, ground)
        self._tree = Pane(
            Caption(look, lambda width: tree_caption(self.tree_view, session, width)), self.tree_view, self.filter_line
        )
        self._details = Pane(Caption(look, lambda _: details_caption(self.details_view)), self.details_view)
        self._panes = Panes(
            self,
            layers=Pane(Caption(look, lambda width: layers_caption(self.stack, session, width)), self.stack),
            tree=self._tree,
            details=self._details,
            log=Pane(Caption(look, lambda _: log_caption()), self.log_view),
        )

    def compose(self) -> ComposeResult:
        """Panes from above to below, and two lines."""
        yield from self._panes.compose()
        yield self.status_bar
        yield Bar(self.look, hints)

    def on_mount(self) -> None:
        """Begin where the stack's name led to."""
        self.filter_line.display = False
        inside = self.session.subject.inside
        if inside:
            self.begin(partial(self.show_path, inside), "listing")
        self.tree_view.redrawn()

    def on_resize(self) -> None:
        """Share the screen among the panes."""
        self._panes.share()

    # What came from elsewhere

    def refreshed(self, *, more: bool) -> None:
        """The session knows more than before, or only how far the scan is."""
        self.status_bar.refresh()
        if not more:
            return
        self.stack.changed()
        self.tree_view.redrawn()
        for failure in self.session.failures:
            self.log_view.say(says(failure), trouble=True)
        self.session.failures.clear()
        if self.session.home_came:
            self.begin(self.acting.home_came, "acting")

    def stood(self) -> None:
        """Other layers, or another state of them."""
        self.stack.stood()
        self.details_view.names = self.acting.standing.names
        self.details_view.outdated = True
        self.tree_view.stood()
        for bar in self.query(Bar):
            bar.refresh()
        self._panes.share()

    def on_tree_view_moved(self) -> None:
        """The status line names the path, details tell of it."""
        self._tree.caption.refresh()
        self.status_bar.refresh()
        self._explain()

    def on_tree_view_unread(self, message: TreeView.Unread) -> None:
        """List a directory that is wanted before the scan came to it."""
        self.begin(partial(self._list, message.row), "listing")

    def on_layers_view_chosen(self, message: LayersView.Chosen) -> None:
        """Show another tree."""
        self.session.choose(message.number)
        self.stack.changed()
        self.tree_view.jumped()

    def on_filter_line_typed(self, message: FilterLine.Typed) -> None:
        """Filter."""
        self.session.narrow(message.text)
        self.tree_view.redrawn()

    def on_filter_line_left(self, message: FilterLine.Left) -> None:
        """Typing is over."""
        if not message.keep:
            self.action_clear()
        self.filter_line.display = bool(self.session.filter)
        self.tree_view.focus()

    def on_filter_line_moved(self, message: FilterLine.Moved) -> None:
        """Move in the tree while a filter is typed."""
        self.tree_view.action_move(message.lines)

    def on_descendant_focus(self) -> None:
        """Captions show which pane has the keys."""
        typing = self.focused is self.filter_line
        self.tree_view.acting = typing
        self._panes.mark(self._tree if typing else None)

    def begin(self, work: WorkType[None], group: str, *, alone: bool = False) -> None:
        """Begin *work* beside what keys do; *alone*: what is at work in the *group* is overtaken.

        It is called as it begins, not here: what is overtaken before would be a coroutine that nobody awaits, which
        Python says on the screen.
        """
        self.run_worker(work, group=group, exclusive=alone)

    async def show_path(self, path: str) -> None:
        """Put the cursor on a path, or on the nearest directory above that is there."""
        await self.reader.list_down_to(path)
        row = self.session.page.atlas.find(path)
        if row:
            self.session.page.reveal(row)
        self.tree_view.jumped()

    async def _list(self, row: int) -> None:
        await self.reader.list_at(self.session.merged.atlas.path(row))
        self.tree_view.redrawn()

    def _explain(self) -> None:
        path = self.session.path
        if not len(self.session.page):
            self.workers.cancel_group(self, "details")
            self.details_view.clear()
        elif path != self.details_view.path or self.details_view.outdated:
            story = self.reader.story(path)
            if story is not None:
                self.details_view.tell(path, story)
            self.begin(partial(self._explain_all, path, begun=story is not None), "details", alone=True)
        self._details.caption.refresh()

    async def _explain_all(self, path: str, *, begun: bool) -> None:
        self.details_view.tell(path, await self.reader.whole_story(path, begun=begun))
        self._details.caption.refresh()

    # Keys

    def action_help(self) -> None:
        """Every key."""
        self.app.push_screen(HelpWindow(self.look))

    def action_filter(self) -> None:
        """Type a filter."""
        self.filter_line.display = True
        self.filter_line.focus()

    def action_clear(self) -> None:
        """Drop the filter."""
        self.filter_line.value = ""
        self.filter_line.display = False
        self.session.narrow("")
        self.tree_view.jumped()

    def action_find(self) -> None:
        """Find a path by some of its letters."""
        self.app.push_screen(Finder(self.look, self.session.page), self._go_to)

    def action_by_size(self) -> None:
        """Files by size, or the tree."""
        self.session.page.list_by_size(on=not self.session.page.flat)
        self.tree_view.jumped()

    def action_step(self, want: str, backwards: bool) -> None:  # noqa: FBT001 -- as a binding writes it
        """Next or previous row of a kind."""
        if self.session.page.step(Want(want), backwards=backwards):
            self.tree_view.jumped()
        else:
            self.say(f"there is nothing of the kind here: {_WANTS[Want(want)]}")

    def action_unfold_all(self) -> None:
        """Unfold everything."""
        self.session.page.unfold_all()
        self.tree_view.jumped()

    def action_fold_all(self) -> None:
        """Fold everything."""
        self.session.page.fold_all()
        self.tree_view.jumped()

    def action_view(self) -> None:
        """View the file."""
        self.begin(self.copying.view, "view", alone=True)

    def action_extract(self, whole: bool) -> None:  # noqa: FBT001 -- as a binding writes it
        """Ask where to, and copy."""
        self.copying.ask(whole=whole)

    def action_commands(self) -> None:
        """The same as a command."""
        told = commands(self.session, self.acting.last)
        self.app.copy_to_clipboard(told[0].text)
        self.app.push_screen(CommandWindow(self.look, told), self._copy)

    def action_actions(self) -> None:
        """Choose an action; the window is there before the next key, however quickly that comes."""
        self.app.push_screen(self.acting.actions(), self._act)

    def _act(self, action: Action | None) -> None:
        if action is not None:
            self.begin(partial(self.acting.act, action), "acting")

    def action_undo(self) -> None:
        """Begin again."""
        self.begin(self.acting.undo, "acting")

    def action_original(self) -> None:
        """The stack as it is, or with what was done."""
        self.begin(self.acting.turn, "acting")

    def action_layer(self, lines: int) -> None:
        """Another layer."""
        self.stack.turn(lines)

    def action_pane(self, step: int) -> None:
        """Another pane."""
        self._panes.turn(step)

    def action_zoom(self) -> None:
        """One pane, or all."""
        self._panes.zoom()

    def action_log(self) -> None:
        """Show or hide the log."""
        self._panes.show_log()

    def action_rescan(self) -> None:
        """Read everything anew."""
        self.session.rescan()
        self.details_view.outdated = True
        self.status_bar.refresh()
        self.tree_view.redrawn()

    def action_theme(self) -> None:
        """Dark or light."""
        if self.look.turn():
            self.app.theme = self.look.palette.name
            self.refresh_all()
        else:
            self.say("the colours are the terminal's own here")

    def action_quit(self) -> None:
        """End."""
        self.app.exit()

    def refresh_all(self) -> None:
        """Everything looks otherwise now."""
        for widget in self.query("*"):
            widget.refresh()

    def say(self, text: str, *, trouble: bool = False) -> None:
        """Tell something in the log, and below it for a moment; names in *text* have passed ``show_name``."""
        self.log_view.say(text, trouble=trouble)
        self.session.say(text)
        self.status_bar.refresh()

    def _go_to(self, row: int | None) -> None:
        if row is not None:
            self.session.page.reveal(row)
            self.tree_view.jumped()

    def _copy(self, text: str | None) -> None:
        if text is not None:
            self.app.copy_to_clipboard(text)
            self.say(f"copied: {show_name(text)}")


_WANTS: Final = {
    Want.WHITEOUT: "a whiteout",
    Want.UNCHANGED: "a file that was copied up and is unchanged",
    Want.CHANGED: "a path that covers another",
    Want.ADDED: "a path that was added",
    Want.LARGEST: "a file",
}
