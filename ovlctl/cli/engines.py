"""What the commands about engines share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ovlctl.engines.keepers import KEEPERS, NAMED, Engine
from ovlctl.errors import BadUsage

if TYPE_CHECKING:
    from collections.abc import Sequence

Root = Annotated[
    str | None,
    typer.Option(
        "--root",
        metavar="DIR",
        envvar="OVLCTL_ENGINE_ROOT",
        show_envvar=True,
        help="Read the stores of another machine's disk that is mounted at DIR, or the data root DIR of an engine.",
    ),
]


def engines_of(words: Sequence[str]) -> frozenset[Engine]:
    """The engines whose stores *words* name; all when there are none.

    Raises:
        BadUsage: A word names none.
    """
    unknown = next((word for word in words if word not in NAMED), None)
    if unknown is not None:
        raise BadUsage("{} is no engine", unknown, hint=f"engines are {', '.join(NAMED)}")
    return frozenset(NAMED[word] for word in words) or frozenset(KEEPERS.values())
