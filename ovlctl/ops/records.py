"""The record of one mount: what was asked, what ovlctl made for it, and how far it came.

A record is written before anything happens (the intent) and completed after. It is a label on the mount table,
never the truth about it: a record without its mount is stale, a mount without record is still a mount.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TextIO, overload

from ovlctl import errors
from ovlctl.errors import literal, strerror
from ovlctl.kernel.statmount import mnt_id_unique
from ovlctl.ops.api import Api
from ovlctl.ops.state import State, sync_directory, write_atomically
from ovlctl.overlay.options import Options
from ovlctl.overlay.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

_FORMAT = 2


class Phase(StrEnum):
    """How far a mount came; every phase but MOUNTED means that something is under way or was interrupted."""

    MOUNTING = "mounting"
    MOUNTED = "mounted"
    REMOUNTING = "remounting"
    UNMOUNTING = "unmounting"


@dataclass(frozen=True, slots=True)
class Seen:
    """Which directory a path led to.

    Attributes:
        device: st_dev.
        inode: st_ino.
        mount_id: The kernel's unique id of the mount it lay on; None where the kernel tells none.
    """

    device: int
    inode: int
    mount_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One mount that ovlctl makes, has made or is ending.

    Attributes:
        name: The stack's name, unique among this user's records.
        phase: How far it came.
        stack: Resolved paths and the options asked for.
        target: The mount point.
        made: Directories that ovlctl made for this mount, outermost first; nothing else is ever removed.
        tmpfs: Mount point of the tmpfs that holds the upper, when ovlctl mounted one.
        tmpfs_size: Its size in bytes; None is the kernel's default of half the memory.
        namespace: Inode number of the mount namespace in which it was mounted.
        boot: The kernel's boot id at that time.
        mount_id: The kernel's unique mount id, once known.
        api: The rung taken, once known.
        reason: Why that rung.
        discard: Whether the unmounting under way shall remove what was made.
        origin: The stack file that declares it, an absolute path; None for one mounted by hand.
        began_ns: When the mount was begun, in nanoseconds of CLOCK_REALTIME: what a lower's ctime is later than was
            changed since.
        successor: During a remount the stack that is to take its place.
        clock_ns: How far CLOCK_REALTIME was ahead of CLOCK_BOOTTIME then, in nanoseconds: a difference now means that
            somebody set the clock.
        seen: What was found at each of ``stack.lowers`` and ``stack.data_only``, in this order; empty when unknown.
    """

    name: str
    phase: Phase
    stack: Stack
    target: str
    made: tuple[str, ...]
    tmpfs: str | None
    tmpfs_size: int | None
    namespace: int
    boot: str
    mount_id: int | None = None
    api: Api | None = None
    reason: str = ""
    discard: bool = False
    origin: str | None = None
    began_ns: int | None = None
    successor: Stack | None = None
    clock_ns: int | None = None
    seen: tuple[Seen, ...] = ()

    @property
    def source(self) -> str:
        """What the mount table shows as source of this mount."""
        return source_of(self.name)

    def at(self, phase: Phase) -> Record:
        """This record in another phase."""
        return replace(self, phase=phase)


def source_of(name: str) -> str:
    """The mount table's source for the stack *name*: it ties a mount to a record that a crash cut short."""
    return f"ovlctl:{name}"


def seen(stack: Stack) -> tuple[Seen, ...]:
    """What is there now at each of the lowers and data-only lowers of *stack*, for :attr:`Record.seen`.

    Raises:
        OSError: when one cannot be looked at.
    """
    return tuple(map(seen_at, (*stack.lowers, *stack.data_only)))


def seen_at(path: str) -> Seen:
    """What *path* leads to now.

    Raises:
        OSError: when it cannot be looked at.
    """
    status = os.stat(path)
    try:
        mount_id = mnt_id_unique(path)
    except errors.KernelLacks:
        mount_id = None
    return Seen(status.st_dev, status.st_ino, mount_id)


def clock_lead() -> int:
    """How far CLOCK_REALTIME is ahead of CLOCK_BOOTTIME, in nanoseconds, for :attr:`Record.clock_ns`."""
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """The kernel's random id of this boot."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def write(state: State, record: Record) -> None:
    """Make *record* the one of its name. The caller holds the lock."""
    write_atomically(path_of(state, record.name), json.dumps(_to_json(record), indent=1) + "\n")


def remove(state: State, name: str) -> None:
    """Forget the record *name*; one that is gone already is fine. The caller holds the lock.

    Raises:
        StateUnusable: when the file system says no.
    """
    path = path_of(state, name)
    try:
        os.unlink(path)
        sync_directory(state.records)
    except FileNotFoundError:
        return
    except OSError as error:
        raise errors.StateUnusable(f"cannot remove {{}}: {strerror(error)}", path, errno=error.errno) from error


def read(state: State, name: str) -> Record | None:
    """The record *name*, or None when there is none.

    A record is only a note: what it lets ovlctl remove lies below the state directory and bears its name (see
    :func:`ovlctl.ops.keeping.layout`), whatever is written in it.

    Raises:
        RecordDamaged: when it cannot be understood.
    """
    path = path_of(state, name)
    try:
        with open_plain(path) as file:
            record = _from_json(json.load(file))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise errors.RecordDamaged(f"the record {{}} cannot be read: {strerror(error)}", path) from error
    except (ValueError, KeyError, TypeError, errors.BadUsage) as error:
        hint = "compare with `findmnt -t overlay`, then remove the file"
        raise errors.RecordDamaged("the record {} cannot be understood", path, hint=hint) from error
    if record.name != name:
        raise errors.RecordDamaged(f"the record {{}} is one of {literal(ascii(record.name))}", path)
    return record


def names(state: State) -> Iterator[str]:
    """The names of all records, in order."""
    try:
        found = sorted(os.listdir(state.records))
    except FileNotFoundError:
        return
    except OSError as error:
        raise errors.StateUnusable(f"cannot read {{}}: {strerror(error)}", state.records, errno=error.errno) from error
    for name in found:
        if name.endswith(".json") and not name.startswith("."):
            yield name.removesuffix(".json")


def open_plain(path: str) -> TextIO:
    """Open a file that ovlctl wrote, and nothing that somebody put in its place.

    Raises:
        OSError: ELOOP for a link, EINVAL for a pipe, a device or a directory.
    """
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "not a plain file", path)
    return open(file, encoding="ascii")


def path_of(state: State, name: str) -> str:
    """Where the record *name* is kept."""
    return os.path.join(state.records, name + ".json")


def stack_to_json(stack: Stack) -> dict[str, Any]:
    """*stack* as JSON values."""
    return {
        "lowers": list(map(_portable, stack.lowers)),
        "data_only": list(map(_portable, stack.data_only)),
        "upper": _portable(stack.upper),
        "work": _portable(stack.work),
        "options": {key.name: value.value for key, value in stack.options.asked()},
    }


def stack_from_json(data: dict[str, Any]) -> Stack:
    """The inverse of :func:`stack_to_json`.

    Raises:
        KeyError, TypeError, ValueError: when *data* is something else.
    """
    options = Options()
    for key, value in _typed(data["options"], dict).items():
        options = options.with_value(key, _typed(value, str))
    return Stack(
        [_path(path) for path in _typed(data["lowers"], list)],
        data_only=[_path(path) for path in _typed(data["data_only"], list)],
        upper=None if data["upper"] is None else _path(data["upper"]),
        work=None if data["work"] is None else _path(data["work"]),
        options=options,
    )


@overload
def _portable(path: str) -> str: ...
@overload
def _portable(path: None) -> None: ...
def _portable(path: str | None) -> str | None:
    """*path* as UTF-8 whatever the locale is, its other bytes as surrogates, which json writes as escapes."""
    return None if path is None else os.fsencode(path).decode("utf-8", "surrogateescape")


def _path(text: Any) -> str:
    """The inverse of :func:`_portable`."""
    return os.fsdecode(_typed(text, str).encode("utf-8", "surrogateescape"))


def _typed(value: Any, *kinds: type) -> Any:
    if not isinstance(value, kinds):
        message = f"{value!r} is no {kinds[0].__name__}"
        raise TypeError(message)
    return value


def _to_json(record: Record) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "name": record.name,
        "phase": record.phase.value,
        "stack": stack_to_json(record.stack),
        "target": _portable(record.target),
        "made": list(map(_portable, record.made)),
        "tmpfs": _portable(record.tmpfs),
        "tmpfs_size": record.tmpfs_size,
        "namespace": record.namespace,
        "boot": record.boot,
        "mount_id": record.mount_id,
        "api": record.api,
        "reason": record.reason,
        "discard": record.discard,
        "origin": _portable(record.origin),
        "began_ns": record.began_ns,
        "successor": None if record.successor is None else stack_to_json(record.successor),
        "clock_ns": record.clock_ns,
        "seen": [[each.device, each.inode, each.mount_id] for each in record.seen],
    }


def _from_json(data: Any) -> Record:
    if _typed(data, dict)["format"] != _FORMAT:
        message = f"format {data['format']}"
        raise ValueError(message)
    return Record(
        name=_typed(data["name"], str),
        phase=Phase(data["phase"]),
        stack=stack_from_json(_typed(data["stack"], dict)),
        target=_path(data["target"]),
        made=tuple(map(_path, _typed(data["made"], list))),
        tmpfs=None if data["tmpfs"] is None else _path(data["tmpfs"]),
        tmpfs_size=_typed(data["tmpfs_size"], int, type(None)),
        namespace=_typed(data["namespace"], int),
        boot=_typed(data["boot"], str),
        mount_id=_typed(data["mount_id"], int, type(None)),
        api=None if data["api"] is None else Api(data["api"]),
        reason=_typed(data["reason"], str),
        discard=_typed(data["discard"], bool),
        origin=None if data["origin"] is None else _path(data["origin"]),
        began_ns=_typed(data["began_ns"], int, type(None)),
        successor=None if data["successor"] is None else stack_from_json(_typed(data["successor"], dict)),
        clock_ns=_typed(data["clock_ns"], int, type(None)),
        seen=tuple(map(_seen, _typed(data["seen"], list))),
    )


def _seen(data: Any) -> Seen:
    device, inode, mount_id = _typed(data, list)
    return Seen(_typed(device, int), _typed(inode, int), _typed(mount_id, int, type(None)))
