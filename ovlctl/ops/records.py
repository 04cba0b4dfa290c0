"""The record of one mount: what was asked, what ovlctl made for it, and how far it came.

A record is written before anything happens (the intent) and completed after. It is a label on the mount table,
never the truth about it: a record without its mount is stale, a mount without record is still a mount.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ovlctl import errors
from ovlctl.errors import literal, strerror
from ovlctl.ops.api import Api
from ovlctl.ops.state import State, sync_directory, write_atomically
from ovlctl.overlay.options import Options
from ovlctl.overlay.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

_FORMAT = 1


class Phase(StrEnum):
    """How far a mount came; every phase but MOUNTED means that something is under way or was interrupted."""

    MOUNTING = "mounting"
    MOUNTED = "mounted"
    UNMOUNTING = "unmounting"


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
        with open(path, encoding="ascii") as file:
            record = _from_json(json.load(file))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise errors.StateUnusable(f"cannot read {{}}: {strerror(error)}", path, errno=error.errno) from error
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


def path_of(state: State, name: str) -> str:
    """Where the record *name* is kept."""
    return os.path.join(state.records, name + ".json")


def stack_to_json(stack: Stack) -> dict[str, Any]:
    """*stack* as JSON values; undecodable bytes stay surrogates, which json writes and reads as escapes."""
    return {
        "lowers": list(stack.lowers),
        "data_only": list(stack.data_only),
        "upper": stack.upper,
        "work": stack.work,
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
        [_typed(path, str) for path in _typed(data["lowers"], list)],
        data_only=[_typed(path, str) for path in _typed(data["data_only"], list)],
        upper=_typed(data["upper"], str, type(None)),
        work=_typed(data["work"], str, type(None)),
        options=options,
    )


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
        "target": record.target,
        "made": list(record.made),
        "tmpfs": record.tmpfs,
        "tmpfs_size": record.tmpfs_size,
        "namespace": record.namespace,
        "boot": record.boot,
        "mount_id": record.mount_id,
        "api": record.api,
        "reason": record.reason,
        "discard": record.discard,
    }


def _from_json(data: Any) -> Record:
    if _typed(data, dict)["format"] != _FORMAT:
        message = f"format {data['format']}"
        raise ValueError(message)
    return Record(
        name=_typed(data["name"], str),
        phase=Phase(data["phase"]),
        stack=stack_from_json(_typed(data["stack"], dict)),
        target=_typed(data["target"], str),
        made=tuple(_typed(path, str) for path in _typed(data["made"], list)),
        tmpfs=_typed(data["tmpfs"], str, type(None)),
        tmpfs_size=_typed(data["tmpfs_size"], int, type(None)),
        namespace=_typed(data["namespace"], int),
        boot=_typed(data["boot"], str),
        mount_id=_typed(data["mount_id"], int, type(None)),
        api=None if data["api"] is None else Api(data["api"]),
        reason=_typed(data["reason"], str),
        discard=_typed(data["discard"], bool),
    )
