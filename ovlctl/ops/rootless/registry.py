"""The note about the process that holds a user's mounts, and whether that process is the one noted."""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass

from ovlctl import errors
from ovlctl.errors import strerror
from ovlctl.kernel import namespaces, pidfd
from ovlctl.ops.records import boot_id, open_plain
from ovlctl.ops.state import State, write_atomically

#: The variable that tells a process which mounts it was started among.
MARK = "OVLCTL_NAMESPACE"
#: The end of the name of the holder's script, as its command line has it.
SCRIPT = b"/rootless/holder.py"
_FORMAT = 1
#: PID_MAX_LIMIT, linux/threads.h.
_PIDS = range(1, 1 << 22)


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
        token: A random name of those namespaces: the kernel gives numbers of namespaces that ended to new ones.
    """

    pid: int
    started: int
    boot: str
    pid_namespace: int
    user_namespace: int
    mount_namespace: int
    token: str

    @property
    def namespaces(self) -> tuple[int, int]:
        """User and mount namespace, as :func:`ovlctl.kernel.namespaces.namespace_ids` gives them."""
        return self.user_namespace, self.mount_namespace

    @property
    def mark(self) -> str:
        """What the processes started in these namespaces have as :data:`MARK` in their environment."""
        return f"{self.mount_namespace}:{self.token}"


def path_of(state: State) -> str:
    """Where the note is kept."""
    return os.path.join(state.run, "holder.json")


def own_mark() -> str | None:
    """This process's mark, if it is in the mount namespace in which it, or what started it, was given the mark."""
    mark = os.environ.get(MARK, "")
    return mark if mark.startswith(f"{namespaces.mount_namespace_id()}:") else None


def here(pid: int | str, token: str) -> Holder:
    """The note about *pid*, a process of this pid namespace that keeps namespaces called *token*.

    Raises:
        OSError: ENOENT, ESRCH: it has ended; EACCES: it is somebody else's.
    """
    started = pidfd.start_time(pid)
    if started is None:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    user, mount = namespaces.namespace_ids(pid)
    return Holder(
        pid=int(pid),
        started=started,
        boot=boot_id(),
        pid_namespace=_pid_namespace(),
        user_namespace=user,
        mount_namespace=mount,
        token=token,
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
        if data.pop("format") != _FORMAT or not _typed(data):
            raise ValueError(path)  # noqa: TRY301 -- one place says what is wrong with the file
        holder = Holder(**data)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise errors.RecordDamaged(f"{{}} cannot be read: {strerror(error)}", path, errno=error.errno) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
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


def _typed(data: dict[str, object]) -> bool:
    words = {"boot", "token"}
    return all(type(value) is (str if key in words else int) for key, value in data.items()) and data["pid"] in _PIDS


def opened(holder: Holder) -> int | None:
    """A pidfd of the process noted as *holder*, if it lives and is that process still.

    Raises:
        HolderUnreachable: when it is that process, and this one may not look at its namespaces.
    """
    fd = pidfd.pidfd_open(holder.pid)
    if fd is None:
        return None
    same = False
    try:
        same = (
            pidfd.start_time(holder.pid) == holder.started and namespaces.namespace_ids(holder.pid) == holder.namespaces
        )
        # Looked at last: as long as it lives, /proc/PID was about this very process.
        same = same and pidfd.alive(fd)
    except PermissionError as error:
        raise unreachable(holder, error) from error
    except OSError:
        # It ended meanwhile.
        same = False
    finally:
        if not same:
            os.close(fd)
    return fd if same else None


def opened_other(holder: Holder) -> int | None:
    """A pidfd of some process that was started in the namespaces of *holder* and is there still."""
    mark = os.fsencode(f"{MARK}={holder.mark}")
    for name in filter(str.isdecimal, os.listdir("/proc")):
        # It may be somebody else's, or end meanwhile.
        with suppress(OSError):
            if namespaces.namespace_ids(name) != holder.namespaces:
                continue
            fd = pidfd.pidfd_open(int(name))
            if fd is None:
                continue
            with open(f"/proc/{name}/environ", "rb") as file:
                if mark in file.read().split(b"\0") and pidfd.alive(fd):
                    return fd
            os.close(fd)
    return None


def unnoted(state: State) -> Holder | None:
    """The holder of *state* that runs although nothing notes it: somebody removed the directory, a logout for one."""
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError, ValueError):
            if os.stat(f"/proc/{name}").st_uid != os.geteuid():
                continue
            with open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
            *start, _run, keep, _beginning, token, _end = words
            # Whoever started it may have had another runtime directory.
            if keep != os.fsencode(state.keep) or not start[-1].endswith(SCRIPT):
                continue
            return here(name, token.decode("ascii"))
    return None


def unreachable(holder: Holder, error: OSError) -> errors.HolderUnreachable:
    """The error for a holder that lives and cannot be joined."""
    return errors.HolderUnreachable(
        f"pid {holder.pid}, which holds your mounts, cannot be joined: {strerror(error)}",
        errno=error.errno,
        hint="run it outside of this user namespace, or give this place a state of its own with `--state-dir DIR`",
    )


def _pid_namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino
