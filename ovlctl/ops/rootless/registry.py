"""The note about the process that holds a user's mounts, and whether that process is the one noted."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from ovlctl import errors
from ovlctl.errors import strerror
from ovlctl.kernel import namespaces, pidfd
from ovlctl.ops.records import boot_id, open_plain
from ovlctl.ops.state import State, write_atomically

_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """One process that keeps the namespaces of a user's mounts.

    Attributes:
        pid: Its number in the pid namespace of the command that started it.
        started: When, in clock ticks since the boot: another process of this number started at another time.
        boot: The kernel's boot id.
        pid_namespace: Inode number of that pid namespace.
        user_namespace: Inode number of the user namespace that it keeps.
        mount_namespace: Inode number of the mount namespace that it keeps.
    """

    pid: int
    started: int
    boot: str
    pid_namespace: int
    user_namespace: int
    mount_namespace: int

    @property
    def namespaces(self) -> tuple[int, int]:
        """User and mount namespace, as :func:`ovlctl.kernel.namespaces.namespace_ids` gives them."""
        return self.user_namespace, self.mount_namespace


def path_of(state: State) -> str:
    """Where the note is kept."""
    return os.path.join(state.run, "holder.json")


def here(pid: int) -> Holder:
    """The note about *pid*, a process in this one's namespaces.

    Raises:
        OSError: ENOENT, ESRCH: it has ended.
    """
    started = pidfd.start_time(pid)
    if started is None:
        raise ProcessLookupError(3, os.strerror(3))
    user, mount = namespaces.namespace_ids(pid)
    return Holder(
        pid=pid,
        started=started,
        boot=boot_id(),
        pid_namespace=_pid_namespace(),
        user_namespace=user,
        mount_namespace=mount,
    )


def write(state: State, holder: Holder) -> None:
    """Note *holder*. The caller holds the state's lock."""
    write_atomically(path_of(state), json.dumps({"format": _FORMAT, **asdict(holder)}, indent=1) + "\n")


def read(state: State) -> Holder | None:
    """The holder noted, if it is one of this boot; whether it lives is another question.

    Raises:
        RecordDamaged: when the note cannot be understood.
        HolderUnreachable: when it is about a process of another pid namespace.
    """
    path = path_of(state)
    try:
        with open_plain(path) as file:
            data = json.load(file)
        if data.pop("format") != _FORMAT or not all(isinstance(data[key], int) for key in data if key != "boot"):
            raise ValueError(path)  # noqa: TRY301 -- one place says what is wrong with the file
        holder = Holder(**data)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise errors.RecordDamaged(f"{{}} cannot be read: {strerror(error)}", path, errno=error.errno) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        hint = "`pgrep -a ovlctl-holder` shows whether one runs; then remove {}"
        raise errors.RecordDamaged("the note {} about the holder cannot be understood", path, hint=hint) from error
    if holder.boot != boot_id():
        return None
    if holder.pid_namespace != _pid_namespace():
        raise errors.HolderUnreachable(
            f"the mounts are held by pid {holder.pid} of another pid namespace, says {{}}",
            path,
            hint="run it there, or give this place a state of its own with `--state-dir DIR`",
        )
    return holder


def opened(holder: Holder) -> int | None:
    """A pidfd of the process noted as *holder*, if it lives and is that process still."""
    return opened_process(holder.pid, holder.namespaces, started=holder.started)


def opened_process(pid: int, ids: tuple[int, int], *, started: int | None = None) -> int | None:
    """A pidfd of the process *pid*, if it is in the namespaces *ids* and, when given, started at *started*."""
    fd = pidfd.pidfd_open(pid)
    if fd is None:
        return None
    try:
        same = namespaces.namespace_ids(pid) == ids and started in {None, pidfd.start_time(pid)}
    except OSError:
        # It ended meanwhile, or it is somebody else's.
        same = False
    # Looked at last: as long as it lives, /proc/PID was about this very process.
    if same and pidfd.alive(fd):
        return fd
    os.close(fd)
    return None


def _pid_namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino
