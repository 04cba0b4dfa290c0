"""What a shell completes in the place of a STACK: names of ovlctl's stacks, and of containers and images of engines.

bash takes a colon for the end of a word: of ``docker:we`` it hands over ``docker``, ``:`` and ``we``, and puts what it
gets in the place of the last. Words are put together again before they are looked at, and what is offered is cut.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from ovlctl.errors import OvlError

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    from typer import CallbackParam, Context

_BASH = "complete_bash"
_SEPARATOR = "\n"
_STATE_DIR = "state_dir"
# What a shell, or a terminal on the way to it, would not take as a part of one word.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-#")


def rejoin(environment: MutableMapping[str, str]) -> None:
    """Put words together that bash split at colons, in the variables by which it asks for completions."""
    if environment.get("_OVLCTL_COMPLETE") != _BASH:
        return
    words = environment.get("COMP_WORDS", "").split(_SEPARATOR)
    with suppress(ValueError):
        at = int(environment.get("COMP_CWORD", ""))
        joined: list[str] = []
        position = 0
        for number, word in enumerate(words):
            if joined and word and (word.startswith(":") or joined[-1].endswith(":")):
                joined[-1] += word
            else:
                joined.append(word)
            if number == at:
                position = len(joined) - 1
        environment["COMP_WORDS"] = _SEPARATOR.join(joined)
        environment["COMP_CWORD"] = str(position)


def complete_stack(context: Context, parameter: CallbackParam, incomplete: str) -> list[str]:
    """The names that *incomplete* may become; nothing for a later word of an argument that takes several."""
    if context.params.get(parameter.name or ""):
        return []
    cut = incomplete.rfind(":") + 1 if os.environ.get("_OVLCTL_COMPLETE") == _BASH else 0
    found = sorted(name for name in _names(context.params.get(_STATE_DIR), incomplete) if name.startswith(incomplete))
    return [name[cut:] for name in found if _PLAIN.issuperset(name)]


def _names(state_dir: str | None, incomplete: str) -> Iterator[str]:
    from ovlctl.engines import finding
    from ovlctl.engines.values import KEEPERS
    from ovlctl.ops import records
    from ovlctl.ops.engines.naming import here
    from ovlctl.ops.state import locate

    with suppress(OvlError, OSError):
        state = locate(state_dir)
        yield from {*records.names(state), *state.kept_names()}
    for word, engine in KEEPERS.items():
        # Stores are read only where one of their names can be meant.
        if f"{word}:".startswith(incomplete) or incomplete.startswith(f"{word}:"):
            with suppress(OvlError, OSError):
                yield from (f"{word}:{name}" for name in finding.names(here({engine}), engine))
