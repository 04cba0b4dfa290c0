"""Running a command in the merged view of a stack, as the process that asks for it."""

from __future__ import annotations

import errno
import os
import pwd
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from ovlctl import errors
from ovlctl.errors import strerror
from ovlctl.kernel import idmap, namespaces
from ovlctl.kernel.idmap import Kind
from ovlctl.ops.discover import Standing
from ovlctl.ops.rootless import registry
from ovlctl.ops.rootless.registry import MARK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ovlctl.ops.discover import Overlay
    from ovlctl.ops.state import State

_MISSING = {errno.ENOENT, errno.ENOTDIR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """How a command shall be run in a stack.

    Attributes:
        target: The mount point of the merged view.
        name: The stack's name, if it has one.
        cwd: The command's working directory; relative to the merged view, which is also the default.
        mark: What tells processes in there, and what they start, in which namespace they are; None for root.
        keep_id: Give the command this user's own ids instead of those of root in the namespace.
    """

    target: str
    name: str | None
    cwd: str = "."
    mark: str | None = None
    keep_id: bool = False

    def run(self, argv: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
        """Become the program ``argv[0]``, as execvp(3) finds it: its exit status and signals are this process's.

        Args:
            argv: The program and its arguments.
            environment: Its environment, to which this adds OVLCTL_STACK, OVLCTL_TARGET and what tells the namespace.

        Raises:
            CommandMissing, CommandNotRunnable: it cannot be run; the process is not what it was before.
            PathMissing, NotADirectory, AccessDenied: the working directory cannot be entered.
            NoUserNamespace: the ids cannot be kept.
        """
        own = {"OVLCTL_TARGET": self.target}
        if self.name is not None:
            own["OVLCTL_STACK"] = self.name
        if self.mark is not None:
            own[MARK] = self.mark
        if self.keep_id and os.geteuid() == 0 and not namespaces.in_initial_user_namespace():
            idmap.unshare_keeping_ids(idmap.outside(Kind.UID, 0), idmap.outside(Kind.GID, 0))
        self._enter()
        # Python ignores these, and whoever is executed would inherit that.
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        try:
            os.execvpe(argv[0], list(argv), {**environment, **own})  # noqa: S606 -- the very point
        except OSError as error:
            kind = errors.CommandMissing if error.errno in _MISSING else errors.CommandNotRunnable
            raise kind(f"cannot run {{}}: {strerror(error)}", argv[0], errno=error.errno) from error
        except ValueError as error:
            raise errors.CommandMissing("the command is empty or holds a NUL byte") from error

    def _enter(self) -> None:
        path = os.path.normpath(os.path.join(self.target, self.cwd))
        try:
            os.chdir(path)
        except OSError as error:
            kind: type[errors.OvlError] = errors.AccessDenied
            if error.errno in _MISSING:
                kind = errors.PathMissing if error.errno == errno.ENOENT else errors.NotADirectory
            raise kind(f"cannot enter {{}}: {strerror(error)}", path, errno=error.errno) from error


def entry(state: State, overlay: Overlay, *, cwd: str | None = None, keep_id: bool = False) -> Entry:
    """How to enter *overlay* of *state*, which has to be mounted where this process is.

    Raises:
        NotMountedHere: it is not.
    """
    if overlay.standing is not Standing.MOUNTED or overlay.target is None:
        name = overlay.name or overlay.target or overlay.stack.layers()[0]
        if overlay.standing is Standing.ELSEWHERE:
            raise errors.NotMountedHere(
                f"{{}} is mounted in another mount namespace, that of pid {overlay.elsewhere}",
                name,
                hint=f"`nsenter -t {overlay.elsewhere} -m` leads there",
            )
        if overlay.standing is Standing.STORED:
            raise errors.NotMountedHere("the stack of {} is not mounted: its engine mounts it when it runs", name)
        what = {Standing.STALE: "its mount has ended", Standing.KEPT: "only its upper is kept"}
        raise errors.NotMountedHere(
            f"{{}} is not mounted: {what.get(overlay.standing, overlay.standing)}",
            name,
            hint="mount it again, with `--name {}`",
        )
    mark = None
    if not namespaces.in_initial_user_namespace():
        holder = registry.read(state)
        if holder is not None and holder.mount_namespace == namespaces.mount_namespace_id():
            mark = holder.mark
    return Entry(target=overlay.target, name=overlay.name, cwd=cwd or ".", mark=mark, keep_id=keep_id)


def shell(environment: Mapping[str, str]) -> str:
    """The shell of the user: $SHELL, else that of the account, else /bin/sh; the first that can be executed."""
    uid = os.getuid() if namespaces.in_initial_user_namespace() else idmap.outside(Kind.UID, os.getuid())
    wishes = [environment.get("SHELL", "")]
    # Not every uid has an account.
    with suppress(KeyError):
        wishes.append(pwd.getpwuid(uid).pw_shell)
    return next((wish for wish in wishes if os.path.isabs(wish) and os.access(wish, os.X_OK)), "/bin/sh")
