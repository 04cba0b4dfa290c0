"""Actions, from the key to what the tree shows afterwards."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from ovlctl.errors import OvlError, strerror
from ovlctl.ops.trying.values import Action, Wish
from ovlctl.show.names import show_argument, show_name, show_text
from ovlctl.show.sizes import format_ns
from ovlctl.show.trying import result_text, wish_text
from ovlctl.tui.action_texts import confirm_lines, preview_text, where_text
from ovlctl.tui.action_windows import ActionWindow, ConfirmWindow, ErrorWindow, PreviewWindow, TypedWindow
from ovlctl.tui.command_lines import Done
from ovlctl.tui.move_window import MoveWindow
from ovlctl.tui.standing import Standing
from ovlctl.tui.typed import read_mode, read_path

if TYPE_CHECKING:
    from ovlctl.ops.atlas.atlas import Atlas
    from ovlctl.ops.trying.values import Deed, Preview
    from ovlctl.tui.ground import Ground
    from ovlctl.tui.main_screen import MainScreen
    from ovlctl.tui.palette import Role
    from ovlctl.tui.window import Window

_T = TypeVar("_T")


class Acting:
    """What the keys for actions do. One action at a time; everything that waits for the kernel is in a thread.

    Args:
        screen: That shows it.
        ground: Where it is done.
    """

    def __init__(self, screen: MainScreen, ground: Ground) -> None:
        self._screen, self.ground = screen, ground
        self.standing = Standing(screen.session, ground)
        self._busy = False

    @property
    def last(self) -> Done | None:
        """What was done last on what is shown; None for nothing."""
        session, ground = self._screen.session, self.ground
        if not ground.deeds or not (self.standing.on_scratch or ground.example or ground.is_live):
            return None
        words = session.words if session.home is None else session.home.words
        return Done(deed=ground.deeds[-1], words=() if ground.example else words)

    def actions(self) -> ActionWindow:
        """The window that lists the actions on the chosen path."""
        return ActionWindow(self._screen.look, self._screen.session.path, where_text(self.ground))

    async def act(self, action: Action) -> None:
        """Ask what is missing, foretell, do and draw it."""
        if self._busy:
            return
        self._busy = True
        try:
            wish = await self._wished(action)
            if wish is not None:
                await self._act(wish)
        except (OvlError, OSError) as error:
            self._trouble(error)
        finally:
            self._busy = False
            self._wait_for("")

    async def _wished(self, action: Action) -> Wish | None:
        screen, path = self._screen, self._screen.session.path
        if action in {Action.READ, Action.MODIFY, Action.DELETE}:
            return Wish(action=action, path=path)
        shown = show_name(f"/{path}")
        if action is Action.CHMOD:
            says = "Octal digits, such as 600 or 4755."
            mode = await self._asked(TypedWindow(screen.look, f"New mode of {shown}", "", says, read_mode))
            return None if mode is None else Wish(action=action, path=path, mode=mode)
        atlas, row = screen.session.page.atlas, screen.session.page.cursor
        inside = path if atlas.is_directory(row) else path.rpartition("/")[0]
        new = action in {Action.CREATE, Action.MKDIR}
        suggestion = show_name(f"/{inside}/" if inside else "/") if new else shown
        title = _TITLES[action].format(shown)
        says = "A path from the root of the merged view. \\xHH stands for a byte, \\\\ for a backslash."
        to = await self._asked(TypedWindow(screen.look, title, suggestion, says, read_path))
        if to is None:
            return None
        return Wish(action=action, path=to) if new else Wish(action=action, path=path, to=to)

    async def _act(self, wish: Wish) -> None:
        screen, ground = self._screen, self.ground
        if not ground.is_made:
            self._wait_for("making a scratch upper")
            await asyncio.to_thread(ground.make)
        self._wait_for("foretelling")
        preview = await asyncio.to_thread(ground.preview, wish)
        self._wait_for("")
        if not await self._asked(self._preview_window(preview)):
            return
        if ground.is_live and not await self._asked(self._confirm_window(preview)):
            screen.say(f"nothing was done: {wish_text(wish)}")
            return
        self._wait_for(f"{wish.action} is being done")
        deed = await asyncio.to_thread(ground.do, wish)
        try:
            await self._look_after(deed)
        finally:
            self._note(deed)
        self._wait_for("")
        await self._asked(MoveWindow(screen.look, deed, ground.layers, self._role))

    def _preview_window(self, preview: Preview) -> PreviewWindow:
        ground = self.ground
        title = f"{wish_text(preview.wish)}: what the kernel will do"
        return PreviewWindow(
            self._screen.look, title, lambda width: preview_text(preview, ground, width), live=ground.is_live
        )

    def _confirm_window(self, preview: Preview) -> ConfirmWindow:
        subject, ground = self._screen.session.subject, self.ground
        title = f"For good, on the real mount: {wish_text(preview.wish)}"
        return ConfirmWindow(self._screen.look, title, lambda width: confirm_lines(preview, ground, subject, width))

    def _role(self, number: int) -> Role:
        return self._screen.session.role(number)

    def _note(self, deed: Deed) -> None:
        where = ", on the real mount" if deed.live else ""
        told = f"{wish_text(deed.wish)}{where}: {result_text(deed)}; {format_ns(deed.ns)}"
        self._screen.say(told, trouble=bool(deed.errno))

    async def _look_after(self, deed: Deed) -> None:
        """Show the tree as it is now, and in it what the deed was about."""
        base, concerned = self.standing.base(), self.standing.concern(deed)
        await self._stand(base, concerned)
        path = deed.wish.to if deed.wish.to is not None and not deed.errno else deed.wish.path
        await self._screen.show_path(path)

    async def _stand(self, base: tuple[Atlas, bool], concerned: dict[str, frozenset[str]]) -> None:
        found = await asyncio.to_thread(self.standing.find, base, concerned)
        old = self.standing.stand(found)
        self._screen.stood()  # at once: lines of the old layers may not be drawn any more
        await self._screen.reader.renew()
        old.close()

    async def home_came(self) -> None:
        """The tree of the stack itself was read to its end while a scratch upper is shown: begin from that one."""
        session = self._screen.session
        if session.home is None or self._busy:
            return
        session.home_came = False
        try:
            await self._stand((session.home.atlas, True), self.standing.everything())
        except (OvlError, OSError) as error:
            self._trouble(error)

    async def undo(self) -> None:
        """Begin again with an empty scratch upper, and show the stack as it is."""
        screen, ground = self._screen, self.ground
        if self._busy:
            return
        if ground.is_live:
            screen.say("what was done on the real mount stays done")
            return
        if not ground.deeds:
            screen.say("nothing was done yet")
            return
        self._busy = True
        try:
            self._wait_for("making a fresh scratch upper")
            count = len(ground.deeds)
            concerned = self.standing.everything()
            await asyncio.to_thread(ground.reset)
            self.standing.forget()
            if ground.example:
                await self._stand(self.standing.base(), concerned)
            else:
                screen.stood()
                await screen.reader.renew()
                self.standing.close()
            screen.say(f"undone: {count} action{'' if count == 1 else 's'}; the scratch upper is empty again")
        except (OvlError, OSError) as error:
            self._trouble(error)
        finally:
            self._busy = False
            self._wait_for("")

    async def turn(self) -> None:
        """From the scratch upper to the stack as it is, and back."""
        screen = self._screen
        if self._busy:
            return
        if self.standing.go_home():
            says = "this is the stack as it is; O goes back to the scratch upper"
        elif self.standing.go_back():
            says = "this is the stack with what was done on the scratch upper"
        else:
            screen.say("this is the stack as it is: nothing was done on a scratch upper")
            return
        screen.stood()
        screen.say(says)
        await screen.reader.renew()

    async def _asked(self, window: Window[_T]) -> _T | None:
        """What a window gives; None when it was closed without an answer."""
        return await self._screen.app.push_screen_wait(window)

    def _wait_for(self, what: str) -> None:
        self._screen.session.waiting = what
        self._screen.status_bar.refresh()

    def _trouble(self, error: OvlError | OSError) -> None:
        screen = self._screen
        if isinstance(error, OSError):
            message, hint, code = strerror(error), None, None
        else:
            message, hint, code = show_text(error.message(show_name)), error.hint(show_argument), error.code
        screen.log_view.say(message, trouble=True)
        screen.app.push_screen(ErrorWindow(screen.look, message, hint and show_text(hint), code))


_TITLES = {
    Action.CREATE: "Path of the new file",
    Action.MKDIR: "Path of the new directory",
    Action.RENAME: "New path of {}",
    Action.LINK: "One more path for {}",
}
