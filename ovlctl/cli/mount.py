"""``ovlctl mount``."""

from __future__ import annotations

from typing import Annotated

import typer

from ovlctl.cli.output import emit, emit_json, emit_steps, say, warn
from ovlctl.cli.overlay_options import (
    AllowWeaker,
    ApiOption,
    FsyncOption,
    IndexOption,
    MetacopyOption,
    NfsExportOption,
    OverrideCredsOption,
    RedirectDirOption,
    UuidOption,
    VerityOption,
    XinoOption,
    flag,
)
from ovlctl.cli.parameters import DryRun, Json, StateDir, size
from ovlctl.errors import BadUsage
from ovlctl.ops.api import Api
from ovlctl.ops.keeping import KeptUpper, TmpfsUpper
from ovlctl.overlay.options import Options
from ovlctl.overlay.stack import Stack


def _in_memory(text: str) -> TmpfsUpper:
    given = size(text) if text else None
    if given == 0:
        raise typer.BadParameter("a size of 0 would be no limit at all; leave it out for half the memory")
    return TmpfsUpper(given)


def mount(
    *,
    target: Annotated[
        str | None,
        typer.Argument(help="An existing directory to mount at; without it ovlctl makes one."),
    ] = None,
    lower: Annotated[
        list[str] | None,
        typer.Option("--lower", "-l", metavar="DIR", help="A read-only layer; repeat, topmost first."),
    ] = None,
    data_only: Annotated[
        list[str] | None,
        typer.Option(metavar="DIR", help="A lower reached through metacopy redirects only; repeat."),
    ] = None,
    upper: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="The writable layer; without it one is made and kept."),
    ] = None,
    work: Annotated[
        str | None, typer.Option(metavar="DIR", help="overlayfs's scratch directory beside the upper.")
    ] = None,
    tmpfs_upper: Annotated[
        TmpfsUpper | None,
        typer.Option(metavar="[SIZE]", help="Make the upper in memory, of SIZE such as 512M.", parser=_in_memory),
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", "-r", help="Mount without an upper.")] = False,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="How to call the stack.")] = None,
    redirect_dir: RedirectDirOption = None,
    index: IndexOption = None,
    metacopy: MetacopyOption = None,
    nfs_export: NfsExportOption = None,
    xino: XinoOption = None,
    uuid: UuidOption = None,
    userxattr: Annotated[
        bool | None, typer.Option("--userxattr", help="Keep marks in user.overlay.* (the default without root).")
    ] = None,
    verity: VerityOption = None,
    volatile: Annotated[
        bool | None, typer.Option("--volatile", help="Never sync; after a crash the upper has to be thrown away.")
    ] = None,
    fsync: FsyncOption = None,
    default_permissions: Annotated[
        bool | None, typer.Option("--default-permissions", help="Check permissions on the merged inode only.")
    ] = None,
    override_creds: OverrideCredsOption = None,
    api: ApiOption = Api.AUTO,
    allow_weaker: AllowWeaker = False,
    dry_run: DryRun = False,
    json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Mount a stack of directories.

    Example: ovlctl mount /mnt -l /srv/app -l /srv/base

    Without an upper one is made in the state directory and kept until `ovlctl umount NAME --discard`; mounting the
    same lowers again under the same --name finds it again.
    """
    # Here, so that `mount --help` and a completion do not pay for them.
    from ovlctl.cli.rootless import state_for
    from ovlctl.ops import mounting
    from ovlctl.show.stacks import mounted_text, overlay_json, plan_json

    options = Options(
        redirect_dir=redirect_dir,
        index=index,
        metacopy=metacopy,
        nfs_export=nfs_export,
        xino=xino,
        uuid=uuid,
        userxattr=flag(userxattr),
        verity=verity,
        volatile=flag(volatile),
        fsync=fsync,
        default_permissions=flag(default_permissions),
        override_creds=flag(override_creds),
    )
    _one_upper(given=upper is not None or work is not None, in_memory=tmpfs_upper is not None, none=read_only)
    allocate = None if read_only else tmpfs_upper or KeptUpper()
    stack = Stack(lower or (), data_only=data_only or (), upper=upper, work=work, options=options)
    state = state_for(state_dir, mounts=True, dry_run=dry_run)
    if dry_run:
        plan = mounting.plan(
            stack, target, allocate=allocate, name=name, api=api, allow_weaker=allow_weaker, state_dir=state
        )
        warn(() if json else plan.cautions)
        if json:
            emit_json("mount", plan_json(plan), plan.cautions)
        else:
            emit_steps(plan.describe())
        return
    mounted = mounting.mount(
        stack, target, allocate=allocate, name=name, api=api, allow_weaker=allow_weaker, state_dir=state
    )
    if json:
        emit_json("mount", overlay_json(mounted.overlay), mounted.cautions)
    else:
        warn(mounted.cautions)
        emit(mounted_text(mounted.overlay))
        if mounted.overlay.rootless:
            say(f"only you can enter it: `ovlctl shell {mounted.name}`, `ovlctl exec {mounted.name} -- CMD`")
        say(f"end it with `ovlctl umount {mounted.name}`")


def _one_upper(*, given: bool, in_memory: bool, none: bool) -> None:
    if given + in_memory + none > 1:
        raise BadUsage(
            "`--upper`/`--work`, `--tmpfs-upper` and `--read-only` exclude each other",
            hint="keep one of them",
        )
