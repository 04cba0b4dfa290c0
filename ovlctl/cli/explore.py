"""``ovlctl explore``."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from ovlctl.cli.completion import complete_stack
from ovlctl.cli.directories import takes_directories
from ovlctl.cli.parameters import ANY_STACK, StateDir
from ovlctl.cli.reading import Given, subject_of
from ovlctl.cli.signals import Terminated
from ovlctl.errors import BadUsage, ExitStatus
from ovlctl.show.names import show_argument
from ovlctl.tui.terminal import Colour, Theme


@takes_directories
def explore(
    *,
    stack: Annotated[
        str | None,
        typer.Argument(
            autocompletion=complete_stack,
            metavar="[STACK]",
            help=f"{ANY_STACK}; else an example.",
        ),
    ] = None,
    given: Given,
    color: Annotated[
        Colour, typer.Option("--color", help="When there are colours; else as NO_COLOR and TERM say.")
    ] = Colour.AUTO,
    theme: Annotated[Theme, typer.Option("--theme", help="For a dark or a light ground; `t` changes it.")] = Theme.AUTO,
    live: Annotated[
        bool, typer.Option("--live", help="Do actions on the real mount, where they stay done; each is confirmed.")
    ] = False,
    directory: Annotated[
        str | None,
        typer.Option("--dir", metavar="DIR", help="Where to put the scratch upper; $TMPDIR or /var/tmp."),
    ] = None,
    no_animation: Annotated[bool, typer.Option("--no-animation", help="Show what was done without movement.")] = False,
    state_dir: StateDir = None,
) -> int:
    """Look around in a stack, on the whole terminal, and try changes.

    Example: ovlctl explore app

    The stack of layers in figures; the tree of the merged view, or of one layer, with a sign before each name (+ added,
    ~ changed, = copied up and unchanged, o whiteout, - hidden, ! odd) and the layer that supplies it; and the story of
    the chosen path, as `ovlctl explain` tells it. `?` shows all keys: filters, finding, files by size, whiteouts one
    after the other, viewing and extracting files. `y` shows the plain command for what is on the screen.

    `a` lists what can be done to the chosen path: read, modify, delete, create, chmod, rename, link, mkdir. What the
    kernel will do is told first; then it is done on a scratch upper over the same layers, where only you see it, and
    drawn step by step. The stack itself is only read, unless `--live` is given, and need not be mounted. `R` begins
    again. Without STACK it is an example, app.conf and lib.so in one lower below an empty upper.
    """
    from ovlctl.tui import terminal

    terminal.check(_instead(stack))
    from ovlctl.tui.running import Wanted
    from ovlctl.tui.running import explore as show

    wanted = Wanted(colour=color, theme=theme, live=live, directory=directory, animated=not no_animation)
    subject = None
    if stack is not None or given.any:
        subject, rest = subject_of(() if stack is None else (stack,), given, state_dir)
        if rest:
            raise BadUsage("`--lower` and its like stand for a STACK", hint="name a STACK, or give directories")
    elif live:
        raise BadUsage("`--live` needs a STACK", hint="`ovlctl ls` lists what is mounted")
    ended_by = show(subject, (stack,) if stack is not None else given.words(), wanted)
    if ended_by == signal.SIGINT:
        raise KeyboardInterrupt
    if ended_by is not None:
        raise Terminated(ended_by)
    return ExitStatus.FINE


def _instead(stack: str | None) -> str:
    named = "STACK" if stack is None else show_argument(stack).replace("{", "{{").replace("}", "}}")
    return f"`ovlctl tree {named} --hidden` and `ovlctl explain {named} PATH` tell the same"
