"""Where ovlctl keeps what it must not forget: records of mounts, and uppers that it made.

Two trees: *run* holds one record per live mount and is gone after a reboot, *keep* holds the uppers that ovlctl
made and kept. Both are private to their owner. Every change happens under one lock, and every file appears by
write, fsync and rename: at any instant a reader finds the old text or the new one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import strerror
from ovlctl.kernel.namespaces import in_initial_user_namespace
from ovlctl.ops.private import check_above, check_private, make_link, make_private

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How a directory that is being removed is called; no stack can have such a name.
DISCARDED = ".discarded-"

#: How a file that is being written is called.
_NEW = ".new-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: Seconds to wait for another ovlctl; a mount takes milliseconds.
PATIENCE = 30.0
# Who removes directories that are being made does so once.
_TRIES = 20


@dataclass(frozen=True, slots=True)
class State:
    """The two state directories of one user.

    Nothing is made by constructing one; :meth:`locked` makes them.

    Attributes:
        run: What ends with the boot.
        keep: What stays.
        link: A link to *run* that leads sessions with another XDG_RUNTIME_DIR there, too; None where that counts not.
    """

    run: str
    keep: str
    link: str | None = None

    @property
    def records(self) -> str:
        """Directory of the records, ``NAME.json`` each."""
        return os.path.join(self.run, "mounts")

    @property
    def bench(self) -> str:
        """The result of the benchmark that was kept to predict from."""
        return os.path.join(self.keep, "bench.json")

    def stack_dir(self, name: str, *, volatile: bool = False) -> str:
        """Where ovlctl makes directories for the stack *name*; *volatile* ones end with the boot."""
        return os.path.join(self.run if volatile else self.keep, "stacks", name)

    def kept_names(self) -> list[str]:
        """Names of all stacks that ovlctl made directories for, in order."""
        names: set[str] = set()
        for tree in (self.keep, self.run):
            names.update(name for name in _listing(os.path.join(tree, "stacks")) if _NAME.fullmatch(name))
        return sorted(names)

    def discarded(self) -> list[str]:
        """Directories that were moved aside to be removed, when something came between."""
        stacks = [os.path.join(tree, "stacks") for tree in (self.keep, self.run)]
        return [
            os.path.join(directory, name)
            for directory in stacks
            for name in _listing(directory)
            if name.startswith(DISCARDED)
        ]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the state for oneself; other processes of this user wait.

        Raises:
            StateUnsafe, StateUnusable: when the directories cannot be trusted or made.
            StateLocked: when somebody held the lock for half a minute.
        """
        lock = self.take_lock("lock", make=True)
        assert lock is not None, "it is made"  # noqa: S101 -- for the type checker
        try:
            sweep(self.records)
            yield
        finally:
            os.close(lock)

    def take_lock(self, name: str, *, make: bool, shared: bool = False) -> int | None:
        """A descriptor of the file *name* in ``run``, locked until it is closed.

        Args:
            name: The file's name.
            make: Make the directories and the file when they are missing, else give None.
            shared: Others may hold it too, if they also share.

        Raises:
            StateUnsafe, StateUnusable, StateLocked: as for :meth:`locked`.
        """
        path = os.path.join(self.run, name)
        flags = os.O_RDWR | os.O_CREAT if make else os.O_RDONLY
        while True:
            if make:
                self._make()
            try:
                # Not to wait for the other end of a pipe.
                lock = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
            except FileNotFoundError:
                if make:
                    # Whoever removed the directories since they were made will not do so for ever.
                    continue
                return None
            except OSError as error:
                message = f"cannot open the lock {{}}: {strerror(error)}"
                raise errors.StateUnusable(message, path, errno=error.errno) from error
            try:
                wait_for_lock(lock, path, shared=shared)
                if _is_at(lock, path):
                    return lock
            except BaseException:
                os.close(lock)
                raise
            # Removed by its last holder, with all that was there: see ovlctl.ops.rootless.holder.
            os.close(lock)

    def _make(self) -> None:
        """Make the directories, again where somebody removes them at the same time: see ovlctl.ops.rootless.holder."""
        places = self._directories()
        for left in reversed(range(_TRIES)):
            try:
                for directory in places:
                    make_private(directory, above=os.path.dirname(directory) not in places)
                if self.link is not None:
                    make_link(self.link, self.run)
            except errors.StateUnusable as error:
                if error.errno != errno.ENOENT or not left:
                    raise
            else:
                return

    def check(self) -> None:
        """Make sure that what is there can be trusted; what is not there is fine.

        Raises:
            StateUnsafe: when a directory belongs to somebody else or is open to others.
        """
        for place in {os.path.dirname(self.keep), os.path.dirname(self.run)}:
            check_above(place)
        for directory in self._directories():
            check_private(directory)

    @property
    def exists(self) -> bool:
        """Whether the directories have been made."""
        return all(map(os.path.isdir, self._directories()))

    def _directories(self) -> tuple[str, ...]:
        stacks = (os.path.join(tree, "stacks") for tree in (self.run, self.keep))
        # Without a runtime directory `run` lies inside `keep`.
        return (self.keep, self.run, self.records, *stacks)


def locate(override: str | None = None) -> State:
    """The state directories of this user.

    Args:
        override: A directory to hold both trees, as ``--state-dir`` gives it; without it the environment
            variable OVLCTL_STATE_DIR counts, then the user's own places, XDG_RUNTIME_DIR and XDG_STATE_HOME. What is
            mounted outlives the session that set them: as long as its *run* is there, it counts for all sessions.

    Raises:
        StateUnusable: when its path is relative to a working directory that is gone, or is no path.
    """
    override = override or os.environ.get("OVLCTL_STATE_DIR")
    if override:
        base = _real(override)
        return State(run=os.path.join(base, "run"), keep=os.path.join(base, "keep"))
    if os.geteuid() == 0 and in_initial_user_namespace():
        return State(run=os.path.realpath("/run/ovlctl"), keep=os.path.realpath("/var/lib/ovlctl"))
    # The mount table knows no symbolic links, and on some systems /home is one.
    home = _real(_absolute("XDG_STATE_HOME") or os.path.join(_home(), ".local/state"))
    keep = os.path.join(home, "ovlctl")
    link = os.path.join(keep, "live")
    with suppress(OSError):
        if os.stat(link).st_uid == os.geteuid():
            return State(run=os.path.realpath(link), keep=keep, link=link)
    runtime = _absolute("XDG_RUNTIME_DIR")
    run = os.path.join(_real(runtime), "ovlctl") if runtime else os.path.join(keep, "run")
    return State(run=run, keep=keep, link=link)


def _absolute(variable: str) -> str | None:
    """The path in *variable*; relative ones are invalid, says the XDG Base Directory Specification."""
    path = os.environ.get(variable, "")
    return path if os.path.isabs(path) else None


def _home() -> str:
    """The user's home directory, the same in a user namespace where the user is called 0."""
    home = os.environ.get("HOME")
    if home:
        return home
    import pwd

    from ovlctl.kernel.idmap import Kind, outside

    uid = os.getuid() if in_initial_user_namespace() else outside(Kind.UID, os.getuid())
    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError as error:
        hint = "set HOME, or choose a place with `--state-dir DIR` or OVLCTL_STATE_DIR"
        raise errors.StateUnusable(f"uid {uid} has no account and HOME is not set", hint=hint) from error


def _real(path: str) -> str:
    try:
        return os.path.realpath(path)
    except OSError as error:
        # A working directory that was removed.
        message = f"the state directory {{}} leads nowhere: {strerror(error)}"
        raise errors.StateUnusable(message, path, errno=error.errno) from error
    except ValueError as error:
        raise errors.StateUnusable("the path of the state directory holds a NUL byte") from error


def check_name(name: str) -> str:
    """*name*, when it can name a stack.

    Raises:
        BadUsage: otherwise.
    """
    if not _NAME.fullmatch(name):
        hint = "a name has 1 to 64 letters, digits, dots, dashes and underscores and starts with a letter or digit"
        raise errors.BadUsage("{} cannot name a stack", name, hint=hint)
    return name


def name_from(path: str) -> str:
    """A legal name made from the last part of *path*."""
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", os.path.basename(path)).strip("-._")
    return words[:48] or "stack"


def write_atomically(path: str, text: str) -> None:
    """Replace the file *path* by *text*: whatever interrupts this, the old or the new text is there.

    The caller holds the lock, so that nobody else writes in this directory.

    Raises:
        StateUnusable: when the file system says no.
    """
    directory = os.path.dirname(path)
    temporary = os.path.join(directory, _NEW + os.path.basename(path))
    try:
        sweep(directory)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        sync_directory(directory)
    except OSError as error:
        raise errors.StateUnusable(f"cannot write {{}}: {strerror(error)}", path, errno=error.errno) from error


def sweep(directory: str) -> None:
    """Remove what a killed :func:`write_atomically` left in *directory*, as far as it can be.

    The caller holds the lock.
    """
    for name in _listing(directory):
        if name.startswith(_NEW):
            with suppress(OSError):
                os.unlink(os.path.join(directory, name))


def sync_directory(path: str) -> None:
    """Make names in the directory *path* durable."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _listing(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise errors.StateUnusable(f"cannot read {{}}: {strerror(error)}", directory, errno=error.errno) from error


def _is_at(file: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.lstat(path))
    except FileNotFoundError:
        return False


def wait_for_lock(lock: int, path: str, patience: float = PATIENCE, *, shared: bool = False) -> None:
    """Take the lock of the open file *lock* for oneself, or with others who share it.

    Args:
        lock: A descriptor of *path*.
        path: For the message.
        patience: Seconds to wait.
        shared: Whether others may share it.

    Raises:
        StateLocked: when somebody held it for longer.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                message = f"another process has held a lock on {{}} for {patience:.0f} seconds"
                raise errors.StateLocked(message, path, hint="`lslocks` names it") from error
            time.sleep(0.005)
        except OSError as error:
            message = f"cannot lock {{}}: {strerror(error)}"
            hint = "choose a place on a local file system with `--state-dir DIR`"
            raise errors.StateUnusable(message, path, errno=error.errno, hint=hint) from error
        else:
            return
