"""One look at the machine: every process and every mount table, which all questions are then asked of."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Self

from ovlctl.engines.cgroups import Membership, container_of_process
from ovlctl.kernel import idmap
from ovlctl.kernel.mount_namespaces import MountNamespace, census
from ovlctl.kernel.tasks import Task, tasks
from ovlctl.ops.who.answer import Command, Keeper, Process
from ovlctl.ops.who.locations import Lookup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ovlctl.kernel.holders import Holder
    from ovlctl.kernel.mounts import Mount


class Scene:
    """What there is at one moment.

    Args:
        but_not: Processes that do not count, such as the one that asks and is about to end.
        moved: Whether this process moved itself into its present namespaces, so that whoever reads the answer is not
            in them.
    """

    def __init__(self, but_not: frozenset[int] = frozenset(), *, moved: bool = False) -> None:
        self.moved = moved
        found = tasks()
        self.tasks: tuple[Task, ...] = tuple(task for task in found.tasks if task.pid not in but_not)
        self.unreadable = found.unreadable
        self.but_not = but_not
        self._namespace_of = {(task.pid, task.tid): task.namespace for task in found.tasks}
        everything = census(found.tasks)
        self.namespaces = everything.namespaces
        self.complete, self.unread = everything.complete, everything.unread
        self.own = everything.namespaces[0]
        self._by_inode = {each.inode: each for each in everything.namespaces}
        self._lookups: dict[int, Lookup] = {}
        self._containers: dict[int, Membership | None] = {}

    def __enter__(self) -> Self:
        """Nothing is open yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the namespaces looked into."""
        for each in self._lookups.values():
            each.close()

    def mounts(self) -> Iterator[tuple[MountNamespace, Mount]]:
        """Every mount of every namespace that could be read."""
        for namespace in self.namespaces:
            for mount in namespace.mounts or ():
                yield namespace, mount

    def lookup(self, namespace: MountNamespace) -> Lookup:
        """How paths lead in *namespace*."""
        if namespace.inode not in self._lookups:
            self._lookups[namespace.inode] = Lookup(namespace, own=namespace is self.own)
        return self._lookups[namespace.inode]

    def container(self, namespace: MountNamespace) -> Membership | None:
        """The container that *namespace* belongs to; the own one belongs to none."""
        if namespace is self.own:
            return None
        return next(filter(None, (self._container(task.pid) for task in namespace.tasks)), None)

    def _container(self, pid: int) -> Membership | None:
        if pid not in self._containers:
            self._containers[pid] = container_of_process(pid)
        return self._containers[pid]

    def entering(self, namespace: MountNamespace) -> Command | None:
        """The command that the words of another one are put after to run it in *namespace*; None, there is no way."""
        if namespace is self.own and not self.moved:
            return ()
        door = self._door(namespace)
        return None if door is None else ("nsenter", *door)

    def _door(self, namespace: MountNamespace) -> Command | None:
        for task in namespace.tasks:
            proc = task.proc
            if task.pid in self.but_not:
                continue
            if self.moved or (os.geteuid() != 0 and _user_namespace(proc) not in {None, _user_namespace("/proc/self")}):
                # Whoever owns a user namespace may enter it, and by that the mounts that belong to it.
                return (f"--user={proc}/ns/user", f"--mount={proc}/ns/mnt", "--preserve-credentials")
            return (f"--mount={proc}/ns/mnt",)
        for bound in namespace.bound:
            holder = self._by_inode[bound.namespace]
            if holder is self.own and not self.moved:
                return (f"--mount={bound.mount_point}",)
            if holder.tasks:
                return (f"--mount={holder.tasks[0].proc}/root{bound.mount_point}",)
        others = (opened for opened in namespace.opened if opened.pid not in self.but_not)
        return next((_through(opened.pid, opened.tid, opened.fd) for opened in others), None)

    def ending(self, namespace: MountNamespace, mount: Mount, home: MountNamespace) -> Command | None:
        """The command that ends a copy of a mount.

        A namespace of a user namespace apart has the mounts of *home* locked: they end with its processes only, as the
        root directory of a container does.
        """
        apart = self._apart(namespace, home)
        if mount.mount_point != "/" and not apart:
            return self.unmounting(namespace, mount)
        container = self.container(namespace)
        if container is not None:
            return container.stop
        pids = sorted({task.pid for task in namespace.tasks} - self.but_not)
        return ("kill", *map(str, pids)) if apart and pids else None

    @staticmethod
    def _apart(namespace: MountNamespace, home: MountNamespace) -> bool:
        """Whether nobody in *namespace* is in a user namespace of *home*; mount_namespaces(7), locked mounts."""
        theirs, ours = ({_user_namespace(task.proc) for task in each.tasks} - {None} for each in (namespace, home))
        return bool(theirs and ours) and theirs.isdisjoint(ours)

    def unmounting(self, namespace: MountNamespace, mount: Mount) -> Command | None:
        """The command that ends *mount* of *namespace*; None, there is no way."""
        entering = self.entering(namespace)
        if entering is None:
            return None
        table = namespace.mounts or ()
        topped = any(each.parent_id == mount.mount_id and each.mount_id != mount.mount_id for each in table)
        return (*entering, "umount", *(("-R",) if topped else ()), mount.mount_point)

    def keepers(self, namespace: MountNamespace) -> tuple[Keeper, ...]:
        """What keeps *namespace* besides its processes."""
        found: list[Keeper] = []
        for bound in namespace.bound:
            entering = self.entering(self._by_inode[bound.namespace])
            release = None if entering is None else (*entering, "umount", bound.mount_point)
            found.append(
                Keeper(path=bound.mount_point, pid=None, command=None, namespace=bound.namespace, release=release)
            )
        for opened in namespace.opened:
            proc = f"/proc/{opened.pid}" if opened.tid == opened.pid else f"/proc/{opened.pid}/task/{opened.tid}"
            if opened.pid not in self.but_not:
                found.append(
                    Keeper(
                        path=f"{proc}/fd/{opened.fd}",
                        pid=opened.pid,
                        command=name_of(opened.pid),
                        namespace=self._namespace_of.get((opened.pid, opened.tid)),
                        release=self._ending(opened.pid, {"fd"}),
                    )
                )
        return tuple(found)

    def processes(self, holders: Iterable[Holder]) -> tuple[Process, ...]:
        """*holders* put together by process."""
        by_pid: dict[int, list[Holder]] = {}
        for holder in holders:
            by_pid.setdefault(holder.pid, []).append(holder)
        return tuple(self._process(pid, holds) for pid, holds in sorted(by_pid.items()))

    def _process(self, pid: int, holds: list[Holder]) -> Process:
        return Process(
            pid=pid,
            user=self._user_of(pid),
            command=holds[0].name,
            container=self._container(pid),
            holds=tuple(holds),
            release=self._ending(pid, {str(hold.kind) for hold in holds}),
        )

    def _ending(self, pid: int, kinds: set[str]) -> Command | None:
        if pid in self._ancestors and kinds == {"cwd"}:
            # Nobody wants to kill the shell that he types into.
            return ("cd", "/")
        return None if pid in {1, os.getpid()} else ("kill", str(pid))

    def _user_of(self, pid: int) -> str:
        import pwd

        try:
            uid = os.stat(f"/proc/{pid}").st_uid
        except OSError:
            return "?"
        # Whoever reads the answer is outside, and goes by the ids there.
        uid = idmap.outside(idmap.Kind.UID, uid) if self.moved else uid
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return str(uid)

    @cached_property
    def _ancestors(self) -> set[int]:
        found: set[int] = set()
        pid = os.getpid()
        while pid > 1 and pid not in found:
            found.add(pid)
            pid = _parent(pid)
        return found

    @cached_property
    def listed(self) -> Mapping[int, Mount]:
        """Every mount of every table by its id."""
        return {mount.mount_id: mount for _, mount in self.mounts()}


def _through(pid: int, tid: int, fd: int) -> Command:
    return (f"--mount=/proc/{pid}/fd/{fd}" if pid == tid else f"--mount=/proc/{pid}/task/{tid}/fd/{fd}",)


def _user_namespace(proc: str) -> int | None:
    with suppress(OSError):
        return os.stat(f"{proc}/ns/user").st_ino
    return None


def _parent(pid: int) -> int:
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
        # After the name in parentheses, which may hold anything: state, ppid; proc_pid_stat(5).
        return int(file.read().rpartition(b")")[2].split()[1])
    return 0


def name_of(pid: int) -> str | None:
    """The name of a process; None when it is gone."""
    with suppress(OSError), open(f"/proc/{pid}/comm", "rb") as file:
        return os.fsdecode(file.read().removesuffix(b"\n"))
    return None
