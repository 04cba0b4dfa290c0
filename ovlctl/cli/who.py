"""``ovlctl who``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from ovlctl.cli.completion import complete_stack
from ovlctl.cli.output import emit, emit_json, warn
from ovlctl.cli.parameters import Json, StateDir
from ovlctl.cli.rootless import state_for
from ovlctl.errors import ExitStatus
from ovlctl.kernel import namespaces
from ovlctl.ops.who import who as ask
from ovlctl.ops.who.answer import Answer
from ovlctl.show.who import answer_json, answer_text

#: How many processes that may not be looked into are named; with more, they are counted.
_NAMED = 3


def who(
    *,
    stack: Annotated[
        str,
        typer.Argument(
            autocompletion=complete_stack,
            metavar="STACK|DIR",
            help="A stack's name, a path in it, docker:NAME, or a directory that is a layer.",
        ),
    ],
    layer: Annotated[
        bool, typer.Option("--layer", help="Take a directory as a layer even where it lies on an overlay.")
    ] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 when somebody holds it, as a script may want.")
    ] = False,
    json: Json = False,
    state_dir: StateDir = None,
) -> int:
    """Say who holds a mount or a layer, and what ends each.

    Example: ovlctl who app

    Of every mount namespace: processes by descriptor, working or root directory, program and mapping; bind mounts
    and mounts on top; overlays, whoever made them, that use it as lower, upper or work; overlays that were unmounted
    lazily; loop devices and swap files. With each comes the command that ends it; nothing is ended here.

    Not to be seen: descriptors in flight over a socket, files of io_uring, NFS exports, processes hidden by hidepid.
    Exits with 6 when processes or namespaces could not be looked into for lack of permission.
    """
    before = namespaces.mount_namespace_id()
    state = state_for(state_dir)
    moved = namespaces.mount_namespace_id() != before
    answer = ask(stack, layer=layer, state_dir=state, but_not={os.getpid()}, moved=moved)
    warnings = _warnings(answer)
    if json:
        emit_json("who", answer_json(answer), warnings)
    else:
        emit(answer_text(answer))
        warn(warnings)
    if exit_code and answer.held:
        return ExitStatus.FINDING
    return ExitStatus.PARTIAL if answer.partial else ExitStatus.FINE


def _warnings(answer: Answer) -> list[str]:
    found = []
    root = os.geteuid() == 0 and namespaces.in_initial_user_namespace()
    more = "" if root else "; root sees more"
    if answer.unreadable:
        few = len(answer.unreadable) <= _NAMED
        which = (
            " and ".join(f"pid {pid}" for pid in answer.unreadable) if few else f"{len(answer.unreadable)} processes"
        )
        found.append(f"not looked into for lack of permission: {which}{more}")
    if answer.unread:
        found.append(f"mount namespaces that could not be read: {answer.unread}{more}")
    if not answer.complete:
        found.append("the kernel lists mount namespaces to root only, since Linux 6.12; one without processes may hide")
    return found
