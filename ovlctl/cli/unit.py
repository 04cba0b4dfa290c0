"""``ovlctl unit``."""

from __future__ import annotations

from typing import Annotated

import typer

from ovlctl.cli.output import emit, emit_json, say, warn
from ovlctl.cli.parameters import DryRun, Json, StackFileArgument, StackNames
from ovlctl.errors import BadUsage, Note, literal
from ovlctl.show.names import show_argument, show_text
from ovlctl.show.units import enabling_text, units_json, units_text


def unit(
    *,
    file: StackFileArgument,
    names: StackNames = None,
    directory: Annotated[
        str | None,
        typer.Option("--dir", metavar="DIR", help="Write the units into DIR, such as /etc/systemd/system."),
    ] = None,
    user: Annotated[bool, typer.Option("--user", help="A service for your own manager, without root.")] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Units of type overlay, which need no ovlctl at boot.")
    ] = False,
    required: Annotated[
        bool, typer.Option("--required", help="Let the boot stop when a stack cannot be mounted.")
    ] = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Write systemd units that mount stacks at boot.

    Example: ovlctl unit stacks.toml --dir /etc/systemd/system

    One mount unit per stack with a target. It asks mount(8) for FILE#NAME of type ovlctl, so that the file stays the
    one place where the stack is described; mount(8) needs /sbin/mount.ovlctl for that. Without --dir the units are
    printed. Files that this command wrote are replaced, others never.
    """
    from ovlctl.ops import sets
    from ovlctl.ops.boot import order, units

    if user and (plain or required):
        raise BadUsage("`--user` writes a service, for which `--plain` and `--required` mean nothing")
    declared = sets.load(file)
    notes: tuple[Note, ...] = ()
    if user:
        made: tuple[units.Unit, ...] = (units.user_service(declared, names or ()),)
    else:
        made, notes = units.mounts(declared, names or (), plain=plain, required=required)
        if not plain and (missing := order.helper_missing()) is not None:
            notes = (*notes, missing)
    verdict = tuple(
        Note(f"systemd-analyze verify: {literal(show_text(line))}") for line in units.verify(made, user=user) or ()
    )
    warnings = (*notes, *verdict)
    paths = () if directory is None else units.paths(made, directory)
    if directory is not None and not dry_run:
        units.write(made, directory)
    written = bool(paths) and not dry_run
    if json:
        emit_json("unit", units_json(made, paths=paths, written=written), warnings)
        return
    warn(warnings)
    if not paths:
        emit(units_text(made, "~/.config/systemd/user" if user else "/etc/systemd/system"))
        return
    emit("\n".join(f"{'wrote' if written else 'would write'} {show_argument(path)}" for path in paths))
    say(f"to use them: `{enabling_text(made, user=user)}`")
