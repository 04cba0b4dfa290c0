"""What ``who`` found, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovlctl.engines.cgroups import Membership
    from ovlctl.kernel.holders import Holder
    from ovlctl.kernel.mounts import Mount
    from ovlctl.ops.who.backing import Device
    from ovlctl.ops.who.locations import Relation

#: The words of one command; what a shell needs is added when it is shown.
Command = tuple[str, ...]


class Asked(StrEnum):
    """What was asked about."""

    MOUNT = "mount"
    LAYER = "layer"


class Role(StrEnum):
    """What a mount of the superblock is to the one asked about, or a layer to its overlay."""

    ITSELF = "itself"
    COPY = "copy"
    BIND = "bind"
    LOWER = "lower"
    DATA_ONLY = "data-only"
    UPPER = "upper"
    WORK = "work"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that holds something.

    Attributes:
        pid: Its id.
        user: Whose it is, a name or a number.
        command: Its name.
        container: The container it is in.
        holds: How, at least one way.
        release: What ends that; None for one that cannot be ended.
    """

    pid: int
    user: str
    command: str
    container: Membership | None
    holds: tuple[Holder, ...]
    release: Command | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A mount of the superblock asked about.

    Attributes:
        role: Itself, the same mount as another namespace has it, or a bind mount.
        mount: It.
        release: What ends it; None when there is no way to its namespace.
    """

    role: Role
    mount: Mount
    release: Command | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submount:
    """Another file system mounted on top.

    Attributes:
        mount: It.
        release: As for a copy.
    """

    mount: Mount
    release: Command | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """What keeps a namespace besides its processes.

    Attributes:
        path: The bind-mounted file, or what ``/proc`` calls the descriptor.
        pid: The process whose descriptor it is, else None.
        command: The name of that process.
        namespace: Inode number of the namespace where the file is mounted, or the process is.
        release: What ends it.
    """

    path: str
    pid: int | None
    command: str | None
    namespace: int | None
    release: Command | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One mount namespace.

    Attributes:
        namespace: Its inode number; None for processes whose namespace could not be read.
        own: Whether it is the one of whoever asks.
        pids: The processes in it.
        command: The name of the first of them.
        container: The container it belongs to.
        keepers: What keeps it, when no process does or besides them.
        copies: Mounts of the superblock in it.
        submounts: What is mounted on top of those.
        processes: The processes in it that hold something.
    """

    namespace: int | None
    own: bool
    pids: tuple[int, ...]
    command: str | None
    container: Membership | None
    keepers: tuple[Keeper, ...]
    copies: tuple[Copy, ...]
    submounts: tuple[Submount, ...]
    processes: tuple[Process, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedAs:
    """One way in which an overlay uses a directory.

    Attributes:
        role: As what.
        layer: The layer's path, as the mount table shows it.
        relation: Whether that is the directory asked about, lies inside it or above it.
    """

    role: Role
    layer: str
    relation: Relation


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An overlay that uses the directory or the merged view.

    Attributes:
        name: ovlctl's name for it.
        uses: How, at least one way.
        points: Its mount points with the namespace of each, the own namespace first.
        container: The container whose root directory it is.
        release: What ends it, one command for each mount point, or the one that stops the container.
    """

    name: str | None
    uses: tuple[UsedAs, ...]
    points: tuple[tuple[int, str], ...]
    container: Membership | None
    release: tuple[Command, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """An overlay that is in no table and lives in its holders: it was unmounted lazily.

    Attributes:
        mount_id: Its mount id.
        sure: Whether it is known to be the one asked about, or to use the directory; None when nothing tells.
        processes: Who holds it.
    """

    mount_id: int
    sure: bool | None
    processes: tuple[Process, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Who holds a mount or a layer.

    Attributes:
        asked: Which of them.
        path: The mount point or the directory.
        name: ovlctl's name for the stack, when it was asked about by that.
        groups: By mount namespace, the own one first; only those where something was found.
        users: Overlays that use it.
        lost: Overlays in no table.
        devices: Loop devices and swap files on it.
        in_use: Whether the kernel says that a live overlay writes to the directory or works in it; None when it was
            not asked or may not be.
        unreadable: Ids of the processes that may not be looked into.
        unread: Namespaces that could not be read.
        complete: Whether the kernel listed all namespaces.
    """

    asked: Asked
    path: str
    name: str | None
    groups: tuple[Group, ...]
    users: tuple[User, ...]
    lost: tuple[Lost, ...]
    devices: tuple[Device, ...]
    in_use: bool | None
    unreadable: tuple[int, ...]
    unread: int
    complete: bool

    @property
    def held(self) -> bool:
        """Whether anybody was found, or the kernel says that somebody is there."""
        return bool(
            self.users
            or self.devices
            or self.in_use
            or any(each.sure for each in self.lost)
            or any(_holding(group) for group in self.groups)
        )

    @property
    def partial(self) -> bool:
        """Whether somebody may have been missed for lack of permission."""
        return bool(self.unreadable or self.unread)


def _holding(group: Group) -> bool:
    return bool(group.processes or group.submounts or any(copy.role is not Role.ITSELF for copy in group.copies))
