"""Who holds a mount, in words."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import literal

if TYPE_CHECKING:
    from ovlctl.kernel.mounts import Mount

#: How many holders one error line names.
_NAMED = 5


def explained(mount: Mount) -> errors.MountBusy:
    """The error for a *mount* that the kernel calls busy, naming processes and mount namespaces that hold it."""
    from ovlctl.kernel import holders

    found = holders.holders(mount)
    parts: list[str] = []
    paths = [mount.mount_point]
    for process in found.processes[:_NAMED]:
        parts.append(f"pid {process.pid} ({{}}) by {process.kind} {{}}")
        paths += [process.name, process.path]
    more = len(found.processes) - _NAMED
    if more > 0:
        parts.append(f"{more} more")
    for below in found.submounts[:_NAMED]:
        parts.append("the mount {} below it")
        paths.append(below)
    parts += [f"mount namespace {literal(str(each.namespace))} (pid {each.pids[0]})" for each in found.namespaces]
    who = "; ".join(parts) or "nobody that /proc shows"
    unreadable = f" (not looked at for lack of permission: {found.unreadable})" if found.unreadable else ""
    return errors.MountBusy(
        f"{{}} is in use by {who}{unreadable}",
        *paths,
        errno=errno.EBUSY,
        hint="end them, or leave the mount: ovlctl never detaches lazily",
    )
