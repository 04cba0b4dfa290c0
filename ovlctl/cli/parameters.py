"""Options that several commands share, so that they are spelled and explained the same everywhere.

Sizes: annotate with ``Annotated[int, typer.Option("--size", parser=size, metavar="SIZE")]``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ovlctl.errors import OvlError
from ovlctl.show.names import show_name
from ovlctl.show.sizes import parse_size, parse_sizes
from ovlctl.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


#: What a STACK may be, in the help of verbs that read.
ANY_STACK = "A stack's name, a path in it, docker:NAME or oci:DIR[:TAG]"

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Print the exact steps and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
KeepId = Annotated[bool, typer.Option("--keep-id", help="Keep one's own user and group id instead of root's.")]
Cwd = Annotated[str | None, typer.Option("--cwd", metavar="DIR", help="Where to start, relative to the merged view.")]
StateDir = Annotated[
    str | None,
    typer.Option(
        "--state-dir",
        metavar="DIR",
        envvar="OVLCTL_STATE_DIR",
        show_envvar=True,
        help="Keep records and uppers here instead of in the usual places.",
    ),
]
StackFileArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="A stack file (TOML), or a stack directory of systemd (DIR.mstack).")
]
StackNames = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these stacks; all when none is named.")
]


def size(text: str | int) -> int:
    """Parser of an option that takes a size."""
    return text if isinstance(text, int) else _parsed(parse_size, text)


def sizes(text: str | tuple[int, ...]) -> tuple[int, ...]:
    """Parser of an option that takes a comma-separated list of sizes."""
    return text if isinstance(text, tuple) else _parsed(parse_sizes, text)


def _parsed(parse: Callable[[str], _T], text: str) -> _T:
    # Typer adds the name of the option to a BadParameter, and to nothing else.
    try:
        return parse(text)
    except OvlError as error:
        hint = error.hint(show_name)
        raise typer.BadParameter(error.message(show_name) + (f"; {hint}" if hint else "")) from error


def _show_version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"ovlctl {__version__}")
        raise typer.Exit


VersionSwitch = Annotated[
    bool,
    typer.Option(
        "--version", is_eager=True, callback=lambda value: _show_version(asked=value), help="Show the version and exit."
    ),
]
