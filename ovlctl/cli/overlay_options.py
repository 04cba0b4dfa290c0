"""Options of overlayfs, and of how it is mounted, that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from ovlctl.ops.api import Api
from ovlctl.overlay.options import Flag, Fsync, RedirectDir, Switch, Uuid, Verity, Xino

RedirectDirOption = Annotated[RedirectDir | None, typer.Option(help="Record and follow renamed directories.")]
IndexOption = Annotated[Switch | None, typer.Option(help="Keep hard links together over copy-up.")]
MetacopyOption = Annotated[Switch | None, typer.Option(help="Copy up metadata alone where that is enough.")]
NfsExportOption = Annotated[Switch | None, typer.Option(help="Give file handles that NFS can export.")]
XinoOption = Annotated[Xino | None, typer.Option(help="Inode numbers unique over file systems.")]
UuidOption = Annotated[Uuid | None, typer.Option(help="The UUID the overlay reports.")]
VerityOption = Annotated[Verity | None, typer.Option(help="Check metacopy files by fs-verity digest.")]
FsyncOption = Annotated[Fsync | None, typer.Option(help="What is synced to the upper.")]
OverrideCredsOption = Annotated[
    bool | None,
    typer.Option("--override-creds/--no-override-creds", help="Act on layers with the mounter's credentials."),
]

ApiOption = Annotated[Api, typer.Option(help="How to tell the kernel.")]
AllowWeaker = Annotated[
    bool, typer.Option("--allow-weaker", help="Accept it when the kernel drops what was asked for.")
]
WithGap = Annotated[
    bool, typer.Option("--with-gap", help="Unmount first and mount then, with nothing there in between.")
]
Detach = Annotated[bool, typer.Option("--detach", help="Leave the old view of a read-only stack to those who hold it.")]


def flag(value: bool | None) -> Flag | None:  # noqa: FBT001 -- three states, read from an option of Typer's
    """The option of overlayfs that an option without a value stands for; None when it was not given."""
    return None if value is None else Flag.YES if value else Flag.NO
