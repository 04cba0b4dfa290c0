"""Every key of the explorer, once: bindings, the line of hints and the help are made from this table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Where(StrEnum):
    """Where a key counts, and its heading in the help."""

    PANE = "Moving"
    TREE = "In the tree"
    LAYERS = "In the stack of layers"
    SCREEN = "In every pane"
    ACTING = "Acting on the chosen path, on a scratch upper or with --live on the real mount"
    ALWAYS = "Always"
    FILTER = "While a filter is typed"
    WINDOW = "In a window"
    FILE = "In the view of a file"
    FINDER = "While a name is looked for"
    COMMANDS = "In the list of commands"
    ACTIONS = "In the list of actions"
    PREVIEW = "Before an action is done"
    CONFIRM = "Before something is done on the real mount"
    MOVE = "While an action is drawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One thing that can be done.

    Attributes:
        keys: As Textual calls them, with commas between.
        action: As Textual calls it: the method ``action_NAME`` and its arguments.
        says: What it does, for the help.
        shown: The keys as people write them.
        hint: A word for the line of hints at the bottom; None where it is not there.
    """

    where: Where
    keys: str
    action: str
    says: str
    shown: str
    hint: str | None = None


def _key(  # noqa: PLR0917 -- a row of a table
    where: Where, keys: str, action: str, shown: str, says: str, hint: str | None = None
) -> Key:
    return Key(where=where, keys=keys, action=action, says=says, shown=shown, hint=hint)


_ACTIONS: Final = (
    ("r", "read", "read: open the file and read it"),
    ("m", "modify", "modify: write over its first bytes what stands there already"),
    ("d", "delete", "delete: remove the name, of a directory too"),
    ("c", "create", "create: make an empty file"),
    ("p", "chmod", "chmod: set its permissions"),
    ("n", "rename", "rename: give it another name"),
    ("l", "link", "link: give the file one more name (hard link)"),
    ("D", "mkdir", "mkdir: make a directory"),
)

TABLE: Final = (
    _key(Where.PANE, "up,k", "move(-1)", "Up k", "one line up"),
    _key(Where.PANE, "down,j", "move(1)", "Down j", "one line down"),
    _key(Where.PANE, "pageup,ctrl+b", "page(-1)", "PgUp ^B", "one page up"),
    _key(Where.PANE, "pagedown,ctrl+d", "page(1)", "PgDn ^D", "one page down"),
    _key(Where.PANE, "home,g", "edge(-1)", "Home g", "to the first line"),
    _key(Where.PANE, "end,G", "edge(1)", "End G", "to the last line"),
    _key(Where.TREE, "enter,space", "switch", "Enter Space", "fold or unfold the directory"),
    _key(Where.TREE, "right,l", "inward", "Right l", "unfold it, or go to the first name in it"),
    _key(Where.TREE, "left,h", "outward", "Left h", "fold it, or go to the directory it is in"),
    _key(Where.LAYERS, "enter,space", "choose", "Enter Space", "show the tree of this layer, or the merged view"),
    _key(Where.ACTING, "a", "actions", "a", "choose an action: read, modify, delete, create, ...", "act"),
    _key(Where.ACTING, "R,ctrl+r", "undo", "R ^R", "undo: begin again with an empty scratch upper", "undo"),
    _key(Where.ACTING, "O", "original", "O", "the stack as it is; again: as it stands on the scratch upper"),
    _key(Where.SCREEN, "question_mark,f1", "help", "? F1", "this help", "help"),
    _key(Where.SCREEN, "slash", "filter", "/", "filter the tree while typing", "filter"),
    _key(Where.SCREEN, "escape", "clear", "Esc", "clear the filter"),
    _key(Where.SCREEN, "f,ctrl+f", "find", "f ^F", "find a path by some of its letters", "find"),
    _key(Where.SCREEN, "S", "by_size", "S", "files by size, largest first; again: the tree", "by size"),
    _key(Where.SCREEN, "n", "step('whiteout', False)", "n", "next whiteout", "whiteout"),
    _key(Where.SCREEN, "N", "step('whiteout', True)", "N", "previous whiteout"),
    _key(Where.SCREEN, "u", "step('unchanged', False)", "u", "next file copied up and unchanged"),
    _key(Where.SCREEN, "U", "step('unchanged', True)", "U", "previous file copied up and unchanged"),
    _key(Where.SCREEN, "m", "step('changed', False)", "m", "next modified path (what covers a lower's)"),
    _key(Where.SCREEN, "M", "step('changed', True)", "M", "previous modified path"),
    _key(Where.SCREEN, "p", "step('added', False)", "p", "next added path (plus)"),
    _key(Where.SCREEN, "P", "step('added', True)", "P", "previous added path"),
    _key(Where.SCREEN, "b", "step('largest', False)", "b", "next smaller file, from the biggest on"),
    _key(Where.SCREEN, "B", "step('largest', True)", "B", "next bigger file"),
    _key(Where.SCREEN, "asterisk,E", "unfold_all", "* E", "unfold everything (expand)"),
    _key(Where.SCREEN, "underscore,C", "fold_all", "_ C", "fold everything (collapse)"),
    _key(Where.SCREEN, "v", "view", "v", "view the file: text or bytes", "view"),
    _key(Where.SCREEN, "x", "extract(False)", "x", "extract the chosen path to a place on this machine", "extract"),
    _key(Where.SCREEN, "X", "extract(True)", "X", "extract the whole tree that is shown: a layer, or the merged view"),
    _key(Where.SCREEN, "y", "commands", "y", "show and copy the command that tells the same", "command"),
    _key(Where.SCREEN, "left_square_bracket", "layer(-1)", "[", "show the layer above, at last the merged view"),
    _key(Where.SCREEN, "right_square_bracket", "layer(1)", "]", "show the layer below", "layer"),
    _key(Where.SCREEN, "tab", "pane(1)", "Tab", "next pane", "pane"),
    _key(Where.SCREEN, "shift+tab", "pane(-1)", "Shift-Tab", "previous pane"),
    _key(Where.SCREEN, "z", "zoom", "z", "give this pane the whole screen; again: as before", "zoom"),
    _key(Where.SCREEN, "L", "log", "L", "show or hide the log of what was done"),
    _key(Where.SCREEN, "r", "rescan", "r", "read the layers anew"),
    _key(Where.SCREEN, "t", "theme", "t", "dark or light"),
    _key(Where.SCREEN, "q", "quit", "q", "quit", "quit"),
    _key(Where.ALWAYS, "ctrl+q,ctrl+c", "quit", "^Q ^C", "quit"),
    _key(Where.ALWAYS, "ctrl+z", "suspend_process", "^Z", "back to the shell; `fg` returns"),
    _key(Where.FILTER, "enter", "accept", "Enter", "keep the filter and go to the tree"),
    _key(Where.FILTER, "escape", "clear", "Esc", "clear the filter"),
    _key(Where.FILTER, "up", "move(-1)", "Up", "one line up in the tree"),
    _key(Where.FILTER, "down", "move(1)", "Down", "one line down in the tree"),
    _key(Where.FINDER, "enter", "accept", "Enter", "go to the chosen path"),
    _key(Where.FINDER, "escape", "close", "Esc", "close"),
    _key(Where.FINDER, "up,ctrl+p", "move(-1)", "Up ^P", "one line up"),
    _key(Where.FINDER, "down,ctrl+n", "move(1)", "Down ^N", "one line down"),
    _key(Where.WINDOW, "escape,q", "close", "Esc q", "close"),
    _key(Where.FILE, "h", "hex", "h", "text or bytes"),
    _key(Where.FILE, "right", "across(8)", "Right", "to the right, where lines are longer"),
    _key(Where.FILE, "left", "across(-8)", "Left", "back to the left"),
    _key(Where.COMMANDS, "enter,y", "copy", "Enter y", "copy the chosen command"),
    _key(Where.ACTIONS, "enter", "choose", "Enter", "do the chosen one"),
    _key(Where.ACTIONS, "up", "move(-1)", "Up", "one line up"),
    _key(Where.ACTIONS, "down", "move(1)", "Down", "one line down"),
    *(_key(Where.ACTIONS, letter, f"act('{name}')", letter, says) for letter, name, says in _ACTIONS),
    _key(Where.PREVIEW, "enter", "accept", "Enter", "do it"),
    _key(Where.CONFIRM, "enter", "choose", "Enter", "what is chosen, which is no at first"),
    _key(Where.CONFIRM, "n", "answer(False)", "n", "no"),
    _key(Where.CONFIRM, "y", "answer(True)", "y", "yes"),
    _key(Where.MOVE, "space", "pause", "Space", "pause, and go on"),
    _key(Where.MOVE, "right,l", "step(1)", "Right l", "next step"),
    _key(Where.MOVE, "left,h", "step(-1)", "Left h", "previous step"),
    _key(Where.MOVE, "enter", "end", "Enter", "to the end; there: close"),
)


def keys_of(*wheres: Where) -> tuple[Key, ...]:
    """The keys that count there, in the order of the table."""
    return tuple(key for key in TABLE if key.where in wheres)
