"""The table of keys, as Textual wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual.binding import Binding

from ovlctl.tui.keys import Where, keys_of

if TYPE_CHECKING:
    from textual.binding import BindingType


# These go before what a line that is typed in makes of a key.
_FIRST: Final = frozenset({Where.ALWAYS, Where.FINDER})


def bindings(*wheres: Where) -> list[BindingType]:
    """A binding for each key that counts there."""
    return [
        Binding(key.keys, key.action, key.says, show=False, priority=key.where in _FIRST) for key in keys_of(*wheres)
    ]
