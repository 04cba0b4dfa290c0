"""What the captions of the panes and the status line say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ovlctl.show.names import show_name, show_text
from ovlctl.tui.cells import cell_len, cut_middle, tail
from ovlctl.tui.palette import Role

if TYPE_CHECKING:
    from ovlctl.tui.details_view import DetailsView
    from ovlctl.tui.glyphs import Glyphs
    from ovlctl.tui.layers_view import LayersView
    from ovlctl.tui.session import Session
    from ovlctl.tui.tree_lines import Line
    from ovlctl.tui.tree_view import TreeView

_LAYERS: Final = "Layers of "
_NAME: Final = 8
Sides = tuple["Line", "Line"]


def layers_caption(view: LayersView, session: Session, width: int) -> Sides:
    """The stack's name, whether a scratch upper is above it, and captions of the columns."""
    columns = view.lines.captions(view.wide) + " " * (width - view.wide)
    room = width - cell_len(columns) - len(_LAYERS) - 3
    more = _more(session, room)
    label = tail(show_name(session.subject.label), room - len(more), view.look.glyphs.cut)
    return _caption(_LAYERS + label + more, columns)


def _more(session: Session, room: int) -> str:
    """What else is to be said of the stack, as far as that leaves room for its name."""
    long, short = (", below a scratch upper", " + scratch") if session.home is not None else ("", "")
    old = "" if session.settled or session.read is not None else " (r: figures anew)"
    return next((text for text in (long + old, short + old, short) if len(text) + _NAME <= room), "")


def tree_caption(view: TreeView, session: Session, width: int) -> Sides:
    """Which tree it is, where the cursor is in it, and captions of the columns."""
    page = session.page
    number = session.layer
    title = "Merged view" if number is None else session.labels[number]
    if page.flat:
        title += ", files by size"
    elif session.filter:
        title += ", filtered"
    here = f"{page.line + 1:,}/{len(page):,}" if len(page) else "nothing"
    # Above the scrollbar there is nothing.
    return _caption(f"{title}  {here}", view.lines.captions(view.wide) + " " * (width - view.wide))


def details_caption(view: DetailsView) -> Sides:
    """The path."""
    return _caption(view.title or "Details", "")


def log_caption() -> Sides:
    """Its name."""
    return _caption("Log", "")


def status(session: Session, glyphs: Glyphs, width: int, *, live: bool) -> Sides:
    """Whether things are for good, the path, what was said last, the filter, and how far the scan is."""
    right: list[tuple[str, Role]] = []
    if session.waiting:
        right.append((f"  {session.waiting}{glyphs.cut if glyphs.cut != '~' else '...'} ", Role.BAR_KEY))
    if session.trouble is not None:
        right.append((f"  {show_text(session.trouble.message(show_name))} ", Role.BAR_TROUBLE))
    elif session.remark:
        right.append((f"  {show_text(session.remark)} ", Role.BAR))
    elif session.page.found is not None:
        right.append((f"  filter {show_text(session.filter)}: {session.page.found.count:,} found ", Role.BAR))
    if session.awaited is not None:
        right.append((f"  reading {session.labels[session.awaited]} ", Role.BAR_KEY))
    elif session.read is not None:
        right.append((f"  reading {session.read:,} " if session.read else "  reading ", Role.BAR_KEY))
    taken = sum(cell_len(text) for text, _ in right)
    path = cut_middle(show_name(f"/{session.path}"), max(width // 3, width - taken - 1), glyphs.cut)
    return (*_ground(session, live=live), (f" {path}", Role.BAR)), tuple(right)


def _ground(session: Session, *, live: bool) -> Line:
    if live:
        return ((" LIVE ", Role.LIVE),)
    return ((" SCRATCH ", Role.CAPTION_HERE),) if session.home is not None else ()


def _caption(left: str, right: str) -> Sides:
    return ((f" {left}", Role.CAPTION),), ((right, Role.CAPTION),)
