"""Which processes have one object open or mapped: one look at /proc for a few objects at once.

Nothing is asked of a file system before the kernel's own notes (the inode number in fdinfo and maps) say that it may be
the object, so that a hung network file system cannot mislead or delay. Not seen: processes hidden by hidepid=2,
descriptors in flight over a socket, files of io_uring.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence


class UseKind(StrEnum):
    """How a process uses an object."""

    FD = "fd"
    MAP = "map"
    EXE = "exe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """An object that is looked for.

    Attributes:
        dev: st_dev as stat(2) gives it.
        ino: st_ino.
        superblocks: Major and minor numbers that maps may show for it: of the superblock, and of *dev*.
        numbers: Inode numbers that the kernel's notes may show for it, where that is not st_ino alone; None for any.
        paths: Paths under which maps shows it, for who may not look at the mapped file itself.
        descriptors: Whether open descriptors are looked for, too.
    """

    dev: int
    ino: int
    superblocks: frozenset[tuple[int, int]]
    numbers: frozenset[int] | None
    paths: frozenset[str] = frozenset()
    descriptors: bool = True

    def may_be(self, number: int) -> bool:
        """Whether the kernel's notes may mean it by this inode number."""
        return self.numbers is None or number in self.numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One way in which one process uses an object.

    Attributes:
        sought: Position of the object among those looked for.
        pid: The process.
        name: Its name, as it calls itself.
        kind: How.
        path: Under which path, as /proc shows it.
        fd: The descriptor of an open file.
        mapped: First and last address of a mapping, and the offset in the file of the first byte there.
    """

    sought: int
    pid: int
    name: str
    kind: UseKind
    path: str
    fd: int | None = None
    mapped: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """What :func:`uses` found.

    Attributes:
        found: In the order of process ids.
        unreadable: Processes that may not be looked into.
    """

    found: tuple[Use, ...]
    unreadable: tuple[int, ...]


# start-end perms offset major:minor inode path; proc_pid_maps(5).
_MAP = re.compile(
    rb"^(?P<start>[0-9a-f]+)-(?P<end>[0-9a-f]+) \S+ (?P<offset>[0-9a-f]+) "
    rb"(?P<major>[0-9a-f]+):(?P<minor>[0-9a-f]+) (?P<ino>\d+) +(?P<path>/.*)",
    re.MULTILINE,
)
_INO = re.compile(rb"^ino:\s*(\d+)$", re.MULTILINE)


def uses(objects: Sequence[Sought], *, but_not: Container[int] = ()) -> Uses:
    """Find who uses one of *objects*.

    Args:
        objects: What is looked for.
        but_not: Processes that do not count.
    """
    found: list[Use] = []
    unreadable: list[int] = []
    with os.scandir("/proc") as entries:
        pids = sorted(int(entry.name) for entry in entries if entry.name.isdecimal())
    for pid in pids:
        if pid in but_not:
            continue
        try:
            found += _uses_of(pid, objects)
        except PermissionError:
            unreadable.append(pid)
        except OSError:
            continue  # gone meanwhile, or a zombie, which has nothing open any more
    return Uses(found=tuple(found), unreadable=tuple(unreadable))


def _uses_of(pid: int, objects: Sequence[Sought]) -> list[Use]:
    hits = [*_mappings(pid, objects)]
    if any(sought.descriptors for sought in objects):
        hits += _descriptors(pid, objects)
    if not hits:
        return []
    name = _name(pid)
    program = _identity(f"/proc/{pid}/exe")
    found = []
    for at, kind, path, fd, mapped in hits:
        sought = objects[at]
        runs = kind is UseKind.MAP and program == (sought.dev, sought.ino)
        found.append(
            Use(
                sought=at,
                pid=pid,
                name=name,
                kind=UseKind.EXE if runs else kind,
                path=path,
                fd=fd,
                mapped=mapped,
            )
        )
    return found


_Hit = tuple[int, UseKind, str, int | None, tuple[int, int, int] | None]


def _mappings(pid: int, objects: Sequence[Sought]) -> Iterator[_Hit]:
    with open(f"/proc/{pid}/maps", "rb") as file:
        content = file.read()
    seen: set[tuple[int, bytes]] = set()
    for match in _MAP.finditer(content):
        device = (int(match["major"], 16), int(match["minor"], 16))
        number = int(match["ino"])
        for at, sought in enumerate(objects):
            if device not in sought.superblocks or not sought.may_be(number) or (at, match["path"]) in seen:
                continue
            # maps pads addresses to eight digits, map_files does not.
            start, end = int(match["start"], 16), int(match["end"], 16)
            path = _mapped_path(f"/proc/{pid}/map_files/{start:x}-{end:x}", match["path"], sought)
            if path is not None:
                seen.add((at, match["path"]))
                yield at, UseKind.MAP, path, None, (start, end, int(match["offset"], 16))


def _mapped_path(link: str, raw: bytes, sought: Sought) -> str | None:
    # The path of a mapping that is of the object; None for one that is not.
    try:
        found = os.stat(link)
        return os.readlink(link) if (found.st_dev, found.st_ino) == (sought.dev, sought.ino) else None
    except FileNotFoundError:
        return None  # unmapped meanwhile
    except PermissionError:
        # map_files asks for CAP_CHECKPOINT_RESTORE. maps escapes newlines and does not escape its escapes.
        path = os.fsdecode(raw.replace(b"\\012", b"\n"))
        alone = sought.numbers is not None and not sought.paths
        return path if alone or path.removesuffix(" (deleted)") in sought.paths else None


def _descriptors(pid: int, objects: Sequence[Sought]) -> Iterator[_Hit]:
    directory = f"/proc/{pid}/fdinfo"
    for name in os.listdir(directory):
        number = _noted_number(f"{directory}/{name}")
        for at, sought in enumerate(objects):
            if not sought.descriptors or (number is not None and not sought.may_be(number)):
                continue
            link = f"/proc/{pid}/fd/{name}"
            if _identity(link) == (sought.dev, sought.ino):
                with suppress(OSError):
                    yield at, UseKind.FD, os.readlink(link), int(name), None


def _noted_number(path: str) -> int | None:
    # None before 5.15, whose fdinfo has no inode number: then every descriptor has to be asked.
    try:
        # os.open() and not open(): this is done for every descriptor of the machine.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1  # closed meanwhile
    try:
        match = _INO.search(os.read(fd, 4096))
    finally:
        os.close(fd)
    return None if match is None else int(match[1])


def _identity(link: str) -> tuple[int, int] | None:
    with suppress(OSError):
        found = os.stat(link)
        return found.st_dev, found.st_ino
    return None


def _name(pid: int) -> str:
    with suppress(OSError), open(f"/proc/{pid}/comm", "rb") as file:
        return os.fsdecode(file.read().removesuffix(b"\n"))
    return ""
