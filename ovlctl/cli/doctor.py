"""``ovlctl doctor``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from ovlctl.cli.output import emit, emit_json, say
from ovlctl.cli.parameters import Json, StateDir
from ovlctl.errors import ExitStatus
from ovlctl.kernel.bootcache import Answer
from ovlctl.ops.doctor import diagnose, needs
from ovlctl.ops.state import locate
from ovlctl.show.doctor import diagnosis_json, diagnosis_text, names_text, needs_text
from ovlctl.show.names import show_name


def doctor(
    *,
    directory: Annotated[
        list[str] | None,
        typer.Option("--dir", "-d", metavar="DIR", help="Look at this directory; more than one may be given."),
    ] = None,
    need: Annotated[
        list[str] | None,
        typer.Option("--need", metavar="NAME,...", help="Exit with 1 unless all of these are there; help lists them."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", "-a", "-v", help="Tell of what is there in full, too.")] = False,
    json: Json = False,
    state_dir: StateDir = None,
) -> int:
    """Tell what this host, this user and a directory can do for overlays.

    Example: ovlctl doctor --dir /srv/layers --need metacopy,reflink,rootless

    Everything is tried or read, and nothing stays. Without --dir the place where ovlctl keeps uppers is looked at.
    What --need asks of directories is asked of each of them.
    """
    if need and "help" in need:
        emit(names_text(needs.known()))
        return ExitStatus.FINE
    asked = needs.parse(need or ())
    found = diagnose(directory or [_existing(locate(state_dir).keep)])
    met = needs.met(asked, found)
    missing = [each for each in met if each.answer is not Answer.YES]
    if json:
        emit_json("doctor", diagnosis_json(found, met))
    else:
        if everything or not asked:
            emit(diagnosis_text(found, everything=everything))
        if asked:
            emit(f"\n{needs_text(met)}" if everything else needs_text(met))
            for each in missing:
                where = "" if each.directory is None else f" in {show_name(each.directory.path)}"
                known = "missing" if each.answer is Answer.NO else "unknown"
                say(f"needed, but {known}: {each.need.name}{where}")
    return ExitStatus.FINDING if missing else ExitStatus.FINE


def _existing(path: str) -> str:
    """*path*, or what of it there is: looking makes no directories."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path
