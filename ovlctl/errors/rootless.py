"""Without root: OVL-E085 and E120 to E129."""

from __future__ import annotations

from ovlctl.errors.base import ExitStatus, NotFoundError, PermissionDeniedError, UnsupportedError, UsageError


class NoUserNamespace(PermissionDeniedError):
    """This user may not make user namespaces, so nothing can be mounted without root.

    Mounting takes CAP_SYS_ADMIN over the mount namespace. An ordinary user gets it in a user namespace of their own
    (user_namespaces(7)), unless the machine forbids that: unshare(2) then fails with EPERM, ENOSPC or EUSERS.

    What forbids it is in the message: `user.max_user_namespaces`, `kernel.unprivileged_userns_clone` (Debian),
    `kernel.apparmor_restrict_unprivileged_userns` (Ubuntu 24.04), the seccomp filter of a container, or a chroot.

    Fix: `sudo sysctl NAME=VALUE` as the hint says, or mount as root.
    """

    code = "OVL-E085"


class MadeByRoot(UnsupportedError):
    """A layer bears marks that root made; what they hide would reappear in a mount without root.

    Root's overlays keep marks in `trusted.overlay.*` xattrs, which nobody inside a user namespace can read. Whiteouts
    (devices 0:0) still count there, but an opaque directory, a redirect or a metacopy file made by root does not:
    content of lower layers that was deleted comes back, renamed directories are empty, files are holes. The kernel says
    nothing.

    The marks themselves cannot be seen without root on most file systems. A layer above another one is refused when it
    holds whiteouts and nothing in it bears a mark in `user.overlay.*`, or where the names of trusted marks can be
    listed (btrfs).

    Fix: mount as root; or make the layer anew without root (`ovlctl mount`, then copy the merged view); or, when the
    layer is known to have no opaque directories (as root: `getfattr -R -m trusted.overlay DIR` is silent),
    `--allow-weaker`.
    """

    code = "OVL-E120"


class HolderUnreachable(PermissionDeniedError):
    """The process that holds this user's mounts is alive and cannot be joined from here.

    Mounts made without root live in a user and a mount namespace kept by one small process per user, `ovlctl-holder`.
    setns(2) enters them only from the user namespace in which that process was started, or from above, and only where
    its pid means the same. From inside a container, `unshare -U` or a sandbox that shares the home directory it fails
    with EPERM.

    Fix: run the command outside of it, or give the inside a place of its own with `--state-dir DIR`.
    """

    code = "OVL-E121"


class HolderFailed(UnsupportedError):
    """The process that is to hold this user's mounts could not be started, or ended at once.

    Without it the mounts would end together with the command that made them, so nothing was mounted.

    Fix: look for limits on processes (`ulimit -u`, the cgroup's pids.max), and whether the Python interpreter can be
    run again as it is.
    """

    code = "OVL-E122"


class NotMountedHere(NotFoundError):
    """A stack that is known, and not mounted where this process could enter it.

    `exec` and `shell` start a command in the merged view, so there has to be one.

    Fix: `ovlctl mount` with the stack's layers and its `--name`, or `ovlctl up`; `ovlctl ls` shows how each stack
    stands.
    """

    code = "OVL-E123"


class CommandMissing(NotFoundError):
    """The command to be run in a stack does not exist; the exit status is 127, as of env(1).

    execve(2) gave ENOENT for every directory of PATH, as seen from inside. A script whose interpreter (the `#!` line)
    is missing gives the same.

    Fix: check the name and PATH.
    """

    code = "OVL-E124"
    exit_status = ExitStatus.NO_COMMAND


class CommandNotRunnable(PermissionDeniedError):
    """The command to be run in a stack exists and cannot be executed; the exit status is 126, as of env(1).

    execve(2) gave EACCES (no execute permission, or a mount with noexec), ENOEXEC (no format that the kernel knows) or
    E2BIG (arguments too long).

    Fix: `chmod +x FILE`, or name the interpreter: `ovlctl exec NAME -- sh FILE`.
    """

    code = "OVL-E125"
    exit_status = ExitStatus.CANNOT_RUN


class ManyThreads(UsageError):
    """A process with several threads cannot be moved into a user namespace.

    setns(2) and unshare(2) give EINVAL for it. The commands have one thread; a program that uses the library may have
    more.

    Fix: call `ovlctl.ops.rootless.ensure()` before any thread is started, or in a child process.
    """

    code = "OVL-E126"


class NamespaceLeft(UnsupportedError):
    """This shell is in a namespace whose mounts have ended, and another one holds this user's mounts now.

    A shell entered by `ovlctl shell` outlives the last mount of its namespace. What would be mounted in there now could
    not be found by any command outside of that shell.

    Fix: leave the shell, then mount.
    """

    code = "OVL-E127"
