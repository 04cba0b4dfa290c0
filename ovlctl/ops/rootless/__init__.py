"""Mounts without root: they live in a user and a mount namespace that one small process per user keeps.

A command that may not mount where it is moves itself into those namespaces, and from then on runs the very code that
root runs. Nobody else gets in: setns(2) asks for the same user. The process that keeps them ends with the last mount.

The lock ``run/holder.lock`` is what commands and holder agree by: whoever is at work in the namespaces shares it, the
holder wants it for itself before it ends. So a holder that was found alive under the lock stays alive.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note, literal, strerror
from ovlctl.kernel import idmap, mountinfo, namespaces
from ovlctl.kernel.namespaces import CLONE
from ovlctl.ops import records
from ovlctl.ops.rootless import registry, starting
from ovlctl.ops.state import State, locate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.rootless.registry import Holder

_LOCK = "holder.lock"


@dataclass(slots=True)
class Entered:
    """Where this process is now.

    Attributes:
        state: The state directories, as they were found before the move.
        moved: Whether it was moved.
        notes: What is worth saying about it, once.
        lock: The descriptor that keeps the holder from ending while this process is at work; None when there is none.
        token: What tells the namespaces from others, whose numbers are used again.
    """

    state: State
    moved: bool = False
    notes: list[Note] = field(default_factory=list)
    lock: int | None = None
    token: str = ""

    def settle(self) -> None:
        """See to it that what is mounted here is held, should the holder have been killed meanwhile.

        To be called by whoever mounted something, at the end.

        Raises:
            OvlError: when no holder could be started.
        """
        # Looked at without the lock first: a verb that only reads does not wait for one that mounts.
        if self.lock is None or not _held_mounts() or _lives(registry.read(self.state)):
            return
        with self.state.locked():
            if not _lives(registry.read(self.state)):
                starting.start(self.state, token=self.token)

    def leave_lock(self) -> None:
        """Let the holder end with the last mount from now on, although this process goes on."""
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None


def join(state_dir: str | State | None = None) -> Entered:
    """Move this process to where this user's mounts are, if there are any; for good, as there is no way back.

    Root, and whoever may mount where they are, stay. Relative paths keep their meaning: the working directory is
    entered again by name. What the process mounts and unmounts from then on is what ``ovlctl`` commands of the same
    user see; while it lives, the holder lives.

    Args:
        state_dir: Whose mounts; None takes the user's own place.

    Raises:
        ManyThreads: the process has more than one thread.
        HolderUnreachable: there is a holder that cannot be joined from here.
        StateUnsafe, StateUnusable, StateLocked, RecordDamaged: the state cannot be trusted or used.
    """
    return _enter(state_dir, make=False)


def ensure(state_dir: str | State | None = None) -> Entered:
    """As :func:`join`, but where nothing holds this user's mounts a holder is started first.

    A program that mounts through the library without root calls it once, before it starts threads.

    Args:
        state_dir: Whose mounts; None takes the user's own place.

    Raises:
        NoUserNamespace, HolderFailed: when that cannot be done.
        NamespaceLeft: in a shell whose namespace was given up.
        OvlError: as for :func:`join`.

    Example:
        >>> ovlctl.ops.rootless.ensure()
        >>> mounted = ovlctl.mount(ovlctl.Stack(["/srv/app"]), allocate=ovlctl.KeptUpper())
    """
    return _enter(state_dir, make=True)


def trial(state_dir: str | State | None = None) -> Entered:
    """As :func:`join`, but where nothing holds this user's mounts the process gets a namespace that ends with it.

    For looking at what a mount would do.

    Raises:
        OvlError: as for :func:`ensure`.
    """
    entered = _enter(state_dir, make=False)
    if not namespaces.may_mount() and not _inside(registry.read(entered.state)):
        _new_namespaces()
        entered.moved = True
    return entered


def _enter(state_dir: str | State | None, *, make: bool) -> Entered:
    state = state_dir if isinstance(state_dir, State) else locate(state_dir)
    entered = Entered(state)
    stays = bool(namespaces.may_mount())
    if stays and namespaces.in_initial_user_namespace():
        return entered
    if make and not stays:
        _one_thread()
    # Before the move: afterwards other users' ids cannot be told from root's.
    state.check()
    make = make and (not stays or registry.own_mark() is not None)
    entered.lock = state.take_lock(_LOCK, make=make, shared=True)
    if entered.lock is None and not stays and registry.unnoted(state) is not None:
        entered.lock = state.take_lock(_LOCK, make=True, shared=True)
    if entered.lock is None:
        return entered
    holder = registry.read(state)
    if make and not stays and _inside(holder):
        raise errors.MissingCapability(
            "this process was started with --keep-id, and so may not mount where your mounts are",
            errno=errno.EPERM,
            hint="leave it, or start it without `--keep-id`",
        )
    if stays or _inside(holder):
        _stay(entered, holder, make=make)
    elif holder is None or not _moved_to(entered, holder):
        _without_holder(entered, make=make)
    return entered


def _stay(entered: Entered, holder: Holder | None, *, make: bool) -> None:
    """In a namespace where this process may mount, which can be the one held, or one that was held once."""
    if holder is not None and _inside(holder):
        entered.token = holder.token
        if make and not _lives(holder):
            with entered.state.locked():
                starting.start(entered.state, token=holder.token)
    elif not make:
        entered.leave_lock()
    elif holder is not None and _lives(holder):
        raise errors.NamespaceLeft(
            f"this shell's namespace was given up, and pid {holder.pid} holds your mounts in another one",
            hint="leave this shell first",
        )
    else:
        with entered.state.locked():
            starting.start(entered.state, token=(registry.own_mark() or "").partition(":")[2])


def _without_holder(entered: Entered, *, make: bool) -> None:
    """Nobody alive is noted as holder: start one, or only say what was lost."""
    state = entered.state
    with suppress(errors.StateUnusable), state.locked():
        now = registry.read(state)
        if not _lives(now) and (stray := registry.unnoted(state)) is not None:
            registry.write(state, stray)
            now = stray
        if now is not None:
            # Somebody else was quicker, or it was only forgotten, or not all that was in there has ended.
            if _moved_to(entered, now) or _moved_after(entered, now):
                return
            entered.notes += _lost(state, now)
            os.unlink(registry.path_of(state))
    if not make:
        entered.leave_lock()
        return
    with state.locked():
        now = registry.read(state)
        if now is not None and _moved_to(entered, now):
            return
        entered.notes += [*_ends_with_login(state), *_new_namespaces()]
        entered.moved = True
        entered.token = starting.start(state).token


def _new_namespaces() -> list[Note]:
    _one_thread()
    reason = idmap.unshare_as_root()
    try:
        namespaces.enter_slave_mounts()
    except OSError as error:
        raise namespaces.no_user_namespace("cannot mount in a new user namespace", error) from error
    if reason is not None:
        text = f"only your own ids are known in your mounts, others appear as nobody's: {literal(reason)}"
        return [Note(text)]
    return []


def _ends_with_login(state: State) -> Iterator[Note]:
    """Whether systemd removes the state, and with it uppers in memory, with the user's last session."""
    runtime = f"/run/user/{os.getuid()}"
    if os.path.commonpath((state.run, runtime)) != runtime or not os.path.isdir("/run/systemd/system"):
        return
    import pwd

    with suppress(KeyError):
        if not os.path.exists(f"/var/lib/systemd/linger/{pwd.getpwuid(os.getuid()).pw_name}"):
            text = (
                "systemd removes {} at your last logout, and with it the names of your mounts and uppers in memory; "
                "`loginctl enable-linger` keeps them"
            )
            yield Note(text, (state.run,))


def _moved_to(entered: Entered, holder: Holder) -> bool:
    fd = registry.opened(holder)
    if fd is None:
        return False
    _move(entered, fd, holder)
    return True


def _moved_after(entered: Entered, holder: Holder) -> bool:
    """Move to where *holder*, which is dead, was, if another process is there still; and start another holder there."""
    fd = registry.opened_other(holder)
    if fd is None:
        return False
    _move(entered, fd, holder)
    starting.start(entered.state, token=holder.token)
    entered.notes.append(
        Note(f"the process that held your mounts (pid {holder.pid}) was ended; another one holds them now")
    )
    return True


def _move(entered: Entered, fd: int, holder: Holder) -> None:
    """Move to the namespaces of the pidfd *fd*, and close it."""
    try:
        _one_thread()
        # Relative paths that nothing leads to any more must fail rather than lead somewhere else.
        where = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            name = None
            with suppress(FileNotFoundError):
                name = os.getcwd()
            namespaces.setns(fd, CLONE.NEWUSER | CLONE.NEWNS)
            entered.moved, entered.token = True, holder.token
            entered.notes += _back(name, where)
        finally:
            os.close(where)
    except OSError as error:
        raise registry.unreachable(holder, error) from error
    finally:
        os.close(fd)


def _back(name: str | None, where: int) -> Iterator[Note]:
    try:
        if name is not None:
            os.chdir(name)
            return
    except OSError as error:
        text = f"the working directory {{}} cannot be entered where your mounts are: {literal(strerror(error))}"
        yield Note(text, (name or "",))
    os.fchdir(where)


def _one_thread() -> None:
    count = len(os.listdir("/proc/self/task"))
    if count > 1:
        raise errors.ManyThreads(
            f"this process has {count} threads, and only one with a single thread can be moved to your mounts",
            errno=errno.EINVAL,
            hint="call `ovlctl.ops.rootless.ensure()` before any thread is started, or in a child process",
        )


def _lost(state: State, holder: Holder) -> Iterator[Note]:
    names = []
    for name in records.names(state):
        with suppress(errors.RecordDamaged):
            record = records.read(state, name)
            if record is not None and record.namespace == holder.mount_namespace:
                names.append(name)
    lost = f", and with it {literal(', '.join(names))}: `ovlctl umount NAME` clears what is left" if names else ""
    yield Note(f"the process that held your mounts (pid {holder.pid}) was ended{lost}")


def _inside(holder: Holder | None) -> bool:
    """Whether this process is in the mount namespace held already, perhaps as somebody who may not mount there."""
    if holder is None or holder.mount_namespace != namespaces.mount_namespace_id():
        return False
    return registry.own_mark() == holder.mark or _lives(holder)


def _lives(holder: Holder | None) -> bool:
    try:
        fd = None if holder is None else registry.opened(holder)
    except errors.HolderUnreachable:
        return True
    if fd is None:
        return False
    os.close(fd)
    return True


def _held_mounts() -> bool:
    return any(b" ovlctl:" in line for line in mountinfo.read_raw())
