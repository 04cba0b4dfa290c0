"""A Typer group whose commands are imported when they are run, not when they are listed.

``--help`` and completion of command names work from the static table; a command's own help, completion and run
import that one module. Typer itself has no such thing.
"""

from __future__ import annotations

import inspect
import re
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ovlctl.cli.commands import ROWS, Row, row
from ovlctl.cli.parameters import VersionSwitch
from ovlctl.errors import BadUsage, literal
from ovlctl.show.names import show_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typer._click import Command, Context, HelpFormatter

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

# What is taken for the value of an option that may stand alone; a directory of that name is written ./4M.
_SIZE = re.compile(r"[0-9]+(\.[0-9]+)?[A-Za-z]{0,3}")

# Where the part of a docstring begins that is for readers of the source.
_FOR_PROGRAMMERS = re.compile(r"\n\s*(?:Args|Returns|Raises|Attributes|Law):.*", re.DOTALL)


class LazyGroup(TyperGroup):
    """The ``ovlctl`` command: looks its sub-commands up in :data:`ovlctl.cli.commands.ROWS`."""

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002 -- Typer's signature
        """Names of all commands, in the order of the table."""
        return [each.name for each in ROWS]

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:  # noqa: ARG002 -- Typer's signature
        """A stand-in that knows its help only; enough for lists and for completing names."""
        found = row(cmd_name)
        return None if found is None else TyperCommand(found.name, help=found.help, rich_markup_mode=None)

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        """The real command that ``args[0]`` names, imported now.

        Raises:
            BadUsage: there is no such command; the hint has the nearest names.
        """
        found = row(args[0])
        if found is not None:
            given = ["--", *args[1:]] if args[1:2] and args[1] in found.begins_command else args[1:]
            return found.name, load(found), list(_with_values(given, found.optional_size))
        if ctx.resilient_parsing:  # completion: never an error
            return None, None, args[1:]
        near = get_close_matches(args[0], self.list_commands(ctx))
        raise BadUsage(
            f"no such command: `{literal(show_text(args[0]))}`",
            hint=f"did you mean `ovlctl {near[0]}`?" if near else "`ovlctl --help` lists the commands",
        )

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:  # noqa: ARG002 -- Typer's signature
        """Write the commands under the heading of their panel."""
        for panel in dict.fromkeys(each.panel for each in ROWS):
            with formatter.section(panel):
                formatter.write_dl([(each.name, each.help) for each in ROWS if each.panel == panel])


def load(row: Row) -> Command:
    """Import the command of *row* and wrap it for Typer.

    Its help is the docstring up to the first section for programmers (``Args:``, ``Raises:`` and so on).
    """
    function = getattr(import_module(row.module), row.function)
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    text = _FOR_PROGRAMMERS.sub("", inspect.getdoc(function) or "")
    app.command(row.name, help=text, context_settings=_settings())(function)
    return typer.main.get_command(app)


def _with_values(args: list[str], optional_size: frozenset[str]) -> Iterator[str]:
    """*args* in which each option of *optional_size* that no size follows has the empty value."""
    for at, word in enumerate(args):
        if word == "--":
            yield from args[at:]
            return
        alone = word in optional_size and not (args[at + 1 :] and _SIZE.fullmatch(args[at + 1]))
        yield f"{word}=" if alone else word


def group() -> Command:
    """The ``ovlctl`` command itself."""
    app = typer.Typer(
        cls=LazyGroup,
        name="ovlctl",
        add_completion=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=_settings(),
        epilog=(
            "Exit status: 0 fine, 1 a finding, 2 usage, 3 not found or not an overlay, 4 permission, 5 the kernel or "
            "file system cannot, 6 partial result, 70 internal error, 130 and 143 interrupted and cleaned up."
        ),
    )

    @app.callback()
    def ovlctl(*, version: VersionSwitch = False) -> None:
        """Build, measure and explain Linux overlayfs mounts."""

    return typer.main.get_command(app)


def _settings() -> dict[str, Any]:
    return dict(SETTINGS)
