"""``ovlctl remount``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ovlctl.cli.output import emit, emit_json, emit_steps, warn
from ovlctl.cli.overlay_options import (
    AllowWeaker,
    ApiOption,
    Detach,
    FsyncOption,
    IndexOption,
    MetacopyOption,
    NfsExportOption,
    OverrideCredsOption,
    RedirectDirOption,
    UuidOption,
    VerityOption,
    WithGap,
    XinoOption,
    flag,
)
from ovlctl.cli.parameters import DryRun, Json, StateDir
from ovlctl.cli.rootless import state_for
from ovlctl.errors import BadUsage
from ovlctl.ops.api import Api
from ovlctl.overlay.options import Options

if TYPE_CHECKING:
    from ovlctl.ops.remounting import Changes, How

_Directories = list[str] | None


def remount(
    *,
    stack: Annotated[str, typer.Argument(metavar="NAME|TARGET", help="The stack's name or mount point.")],
    lower: Annotated[
        _Directories,
        typer.Option("--lower", "-l", metavar="DIR", help="The lowers from now on; repeat, topmost first."),
    ] = None,
    add_lower: Annotated[
        _Directories, typer.Option(metavar="DIR", help="Put a lower on top of the present ones; repeat.")
    ] = None,
    drop_lower: Annotated[_Directories, typer.Option(metavar="DIR", help="Leave a lower out; repeat.")] = None,
    data_only: Annotated[
        _Directories, typer.Option(metavar="DIR", help="The data-only lowers from now on; repeat.")
    ] = None,
    redirect_dir: RedirectDirOption = None,
    index: IndexOption = None,
    metacopy: MetacopyOption = None,
    nfs_export: NfsExportOption = None,
    xino: XinoOption = None,
    uuid: UuidOption = None,
    verity: VerityOption = None,
    volatile: Annotated[
        bool | None, typer.Option("--volatile/--no-volatile", help="Never sync, or sync again from now on.")
    ] = None,
    fsync: FsyncOption = None,
    default_permissions: Annotated[
        bool | None,
        typer.Option(
            "--default-permissions/--no-default-permissions", help="Check permissions on the merged inode only."
        ),
    ] = None,
    override_creds: OverrideCredsOption = None,
    api: ApiOption = Api.AUTO,
    allow_weaker: AllowWeaker = False,
    with_gap: WithGap = False,
    detach: Detach = False,
    dry_run: DryRun = False,
    json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Give a mounted stack other lowers or options.

    Example: ovlctl remount app --add-lower /srv/patch

    What is not named stays as it is. A path lookup finds the old view or the new one at any moment, never nothing.
    With an upper, who writes may get EROFS for some milliseconds.
    """
    from ovlctl.ops.remounting import Changes, How

    if lower and (add_lower or drop_lower):
        raise BadUsage(
            "`--lower` names all lowers, so `--add-lower` and `--drop-lower` have nothing to add to or drop from",
            hint="keep one of them",
        )
    options = Options(
        redirect_dir=redirect_dir,
        index=index,
        metacopy=metacopy,
        nfs_export=nfs_export,
        xino=xino,
        uuid=uuid,
        verity=verity,
        volatile=flag(volatile),
        fsync=fsync,
        default_permissions=flag(default_permissions),
        override_creds=flag(override_creds),
    )
    changes = Changes(
        lowers=tuple(lower) if lower else None,
        data_only=tuple(data_only) if data_only else None,
        add=tuple(add_lower or ()),
        drop=tuple(drop_lower or ()),
        options=options,
    )
    how = How(api=api, allow_weaker=allow_weaker, detach=detach, with_gap=with_gap)
    swap(stack, changes, how, dry_run=dry_run, json=json, state_dir=state_dir)


def swap(stack: str, changes: Changes, how: How, *, dry_run: bool, json: bool, state_dir: str | None) -> None:
    """Remount and show what came of it; ``refresh`` does no more."""
    from ovlctl.ops import remounting
    from ovlctl.show.remounting import remount_plan_json, remounted_json, remounted_text

    state = state_for(state_dir, certain=True)
    if dry_run:
        plan = remounting.plan(stack, changes, how, state_dir=state)
        if json:
            emit_json("remount", remount_plan_json(plan), plan.cautions)
        else:
            warn(plan.cautions)
            emit_steps(plan.describe())
        return
    done = remounting.remount(stack, changes, how, state_dir=state)
    if json:
        emit_json("remount", remounted_json(done), done.cautions)
    else:
        warn(done.cautions)
        emit(remounted_text(done))
