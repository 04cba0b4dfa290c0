"""What a shell completes in the place of a STACK: names of ovlctl's stacks, and of containers and images of engines.

bash takes a colon for the end of a word (COMP_WORDBREAKS; also ``=`` and ``@``): of ``docker:we`` it hands over
``docker``, ``:`` and ``we``, and puts what it gets in the place of the last. Words are put together again before they
are looked at, and what is offered is cut.
"""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stdout, suppress
from typing import TYPE_CHECKING

from typer import Context

from ovlctl.errors import OvlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping

_BASH = "complete_bash"
_SEPARATOR = "\n"
_BREAKS = (":", "=", "@")
# What a shell, or a terminal on the way to it, would not take as a part of one word.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-#")


def answer(complete: Callable[[], object], environment: MutableMapping[str, str]) -> None:
    """Run *complete*, which prints what a word may become and exits, for words as the shell means them.

    Raises:
        SystemExit: As *complete* does.
    """
    kept = _rejoin(environment) if environment.get("_OVLCTL_COMPLETE") == _BASH else ""
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            complete()
    finally:
        sys.stdout.writelines(f"{line.removeprefix(kept)}\n" for line in printed.getvalue().splitlines())


def _rejoin(environment: MutableMapping[str, str]) -> str:
    # What bash keeps of the word to be completed; it has a part of what comes to stand in the place of the rest.
    words = environment.get("COMP_WORDS", "").split(_SEPARATOR)
    try:
        at = int(environment.get("COMP_CWORD", ""))
    except ValueError:
        return ""
    joined: list[str] = []
    kept = ""
    for word in words[: at + 1]:
        goes_on = bool(joined and word) and (word.startswith(_BREAKS) or joined[-1].endswith(_BREAKS))
        before = joined.pop() if goes_on else ""
        joined.append(before + word)
        # After a break bash completes the next word, which for @ begins with it.
        kept = before + word if word and not word.strip(":=") else before.removesuffix("@")
    environment["COMP_WORDS"] = _SEPARATOR.join(joined)
    environment["COMP_CWORD"] = str(len(joined) - 1)
    return kept


def complete_stack(context: Context, incomplete: str) -> list[str]:
    """The names that *incomplete* may become; nothing where a word was given already."""
    params = context.params
    if any(params.get(name) for name in ("words", "stacks", "stack")):
        return []
    found = sorted(name for name in _names(params.get("state_dir"), incomplete) if name.startswith(incomplete))
    return [name for name in found if _PLAIN.issuperset(name)]


def _names(state_dir: str | None, incomplete: str) -> Iterator[str]:
    from ovlctl.engines import finding
    from ovlctl.engines.keepers import KEEPERS
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
