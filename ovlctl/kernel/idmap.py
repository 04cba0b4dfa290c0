"""Which ids a user namespace knows: user_namespaces(7), subuid(5), newuidmap(1)."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ovlctl.errors import strerror
from ovlctl.kernel.namespaces import CLONE, no_user_namespace, unshare, write_at_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class Kind(StrEnum):
    """Users or groups, by the name that the kernel and the programs use."""

    UID = "uid"
    GID = "gid"


@dataclass(frozen=True, slots=True)
class Extent:
    """*count* ids that start at *inside* in a user namespace and at *outside* in the one above it."""

    inside: int
    outside: int
    count: int

    def __str__(self) -> str:
        """A line of uid_map, and three arguments of newuidmap(1)."""
        return f"{self.inside} {self.outside} {self.count}"


def extents(kind: Kind, pid: int | str = "self") -> tuple[Extent, ...]:
    """The map of the user namespace of *pid*, its outside as this process sees it.

    /proc/PID/uid_map, user_namespaces(7).

    Raises:
        OSError: ENOENT, no such process.
    """
    with open(f"/proc/{pid}/{kind}_map", encoding="ascii") as file:
        return tuple(Extent(*map(int, line.split())) for line in file)


def outside(kind: Kind, number: int) -> int:
    """What the id *number* of this user namespace is called in the one above; itself when it is not mapped."""
    for extent in extents(kind):
        if extent.inside <= number < extent.inside + extent.count:
            return number - extent.inside + extent.outside
    return number


def overflow(kind: Kind) -> int:
    """The id that stands for all that a user namespace does not know; /proc/sys/kernel/overflowuid."""
    try:
        with open(f"/proc/sys/kernel/overflow{kind}", encoding="ascii") as file:
            return int(file.read())
    except OSError:
        return 65534


def known_owner(status: os.stat_result) -> tuple[int, int]:
    """Owner and group for chown(2) inside a user namespace: -1, which leaves them, where *status* has unknown ids.

    With a range of 65536 ids the number that stands for them is also that of an id, which is nobody in particular.
    """
    owner, group = status.st_uid, status.st_gid
    return -1 if owner == overflow(Kind.UID) else owner, -1 if group == overflow(Kind.GID) else group


def subordinate(kind: Kind, uid: int) -> tuple[Extent, ...]:
    """The ranges given to the user *uid* in /etc/subuid or /etc/subgid, to follow the user's own id as 1, 2, ...

    Source: subuid(5): lines ``NAME:START:COUNT`` or ``UID:START:COUNT``; others are passed over.
    """
    names = {str(uid)}
    with suppress(KeyError):
        names.add(pwd.getpwuid(uid).pw_name)
    found: list[Extent] = []
    inside = 1
    try:
        with open(f"/etc/sub{kind}", encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return ()
    for line in lines:
        owner, _, rest = line.partition(":")
        start, _, count = rest.partition(":")
        if owner in names and start.isdecimal() and count.isdecimal() and int(count) > 0:
            found.append(Extent(inside, int(start), int(count)))
            inside += int(count)
    return tuple(found)


def unshare_as_root() -> str | None:
    """Move this process into a user namespace of its own, as root of it, with the ids that its user was given.

    The user is 0 inside, the ranges of subuid(5) and subgid(5) follow, mapped by newuidmap(1) and newgidmap(1). Where
    that cannot be, only the user's own ids are mapped and setgroups(2) is given up. The process must have one thread.

    Returns:
        Why there are no ranges; None when there are.

    Raises:
        NoUserNamespace: The kernel or its settings forbid it; the message says which.
    """
    uid, gid = os.geteuid(), os.getegid()
    ranges = {kind: subordinate(kind, uid) for kind in Kind}
    programs = {kind: _program(f"new{kind}map") for kind in Kind}
    reason = None
    for kind in Kind:
        if not ranges[kind]:
            reason = reason or f"/etc/sub{kind} gives no range to uid {uid}"
        elif programs[kind] is None:
            reason = reason or f"new{kind}map(1) is not installed"

    def by_programs(pid: int) -> str | None:
        import subprocess

        for kind, own in ((Kind.UID, uid), (Kind.GID, gid)):
            words = " ".join(map(str, (Extent(0, own, 1), *ranges[kind]))).split()
            done = subprocess.run(
                [programs[kind] or "", str(pid), *words], capture_output=True, text=True, errors="replace", check=False
            )
            if done.returncode != 0:
                return " ".join(done.stderr.split()) or f"new{kind}map(1) ended with status {done.returncode}"
        return None

    if reason is None:
        reason = _mapped_from_outside(by_programs)
        if reason is None:
            return None
    else:
        _unshare_user()
    _map_own(uid, gid)
    return reason


def unshare_keeping_ids(uid: int, gid: int) -> None:
    """Move this process, root of a user namespace, into one below, in which its user has the ids *uid* and *gid*.

    All other ids that the present namespace knows keep their numbers, but those whose place was taken become 0. The
    mount namespace stays, and may not be changed from the new one. The process must have one thread.

    Raises:
        NoUserNamespace: The kernel or its settings forbid it.
    """
    kept = {Kind.UID: tuple(_swapped(extents(Kind.UID), uid)), Kind.GID: tuple(_swapped(extents(Kind.GID), gid))}

    def directly(pid: int) -> str | None:
        for kind in Kind:
            try:
                write_at_once(f"/proc/{pid}/{kind}_map", "".join(f"{extent}\n" for extent in kept[kind]).encode())
            except OSError as error:
                return f"{kind}_map: {strerror(error)}"
        return None

    reason = _mapped_from_outside(directly)
    if reason is not None:
        raise no_user_namespace(f"cannot keep the ids {uid} and {gid} ({reason})", OSError(0, ""))


def _swapped(known: Sequence[Extent], number: int) -> Iterator[Extent]:
    """A map in which 0 and *number* change places, and every other known id stays where it is."""
    places = sorted({0, number})
    yield Extent(number, 0, 1)
    for extent in known:
        start, end = extent.inside, extent.inside + extent.count
        if number != 0 and start <= number < end:
            yield Extent(0, number, 1)
        for place in places:
            if start <= place < end:
                if place > start:
                    yield Extent(start, start, place - start)
                start = place + 1
        if start < end:
            yield Extent(start, start, end - start)


def _mapped_from_outside(write: Callable[[int], str | None]) -> str | None:
    """Unshare the user namespace while a child that stays behind maps it with *write*; what it says went wrong."""
    parent = os.getpid()
    try:
        go_reader, go = os.pipe()
        answer, answer_writer = os.pipe()
        child = os.fork()
    except OSError as error:
        raise no_user_namespace("cannot start the process that maps the ids", error) from error
    if child == 0:
        text: str | None = "it was interrupted"
        try:
            os.close(go)
            os.close(answer)
            if os.read(go_reader, 1):
                text = write(parent)
                os.write(answer_writer, (text or "").encode("utf-8", "replace")[:2000])
                os._exit(0 if text is None else 1)
        except OSError as error:
            os.write(answer_writer, strerror(error).encode())
        finally:
            os._exit(1)
    os.close(go_reader)
    os.close(answer_writer)
    try:
        _unshare_user()
        os.write(go, b"!")
        with open(answer, "rb", closefd=False) as pipe:
            said = pipe.read().decode("utf-8", "replace")
    finally:
        os.close(go)
        os.close(answer)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return None if status == 0 else said or "the process that was to map the ids ended"


def _unshare_user() -> None:
    try:
        unshare(CLONE.NEWUSER)
    except OSError as error:
        raise no_user_namespace("cannot make a user namespace", error) from error


def _map_own(uid: int, gid: int) -> None:
    try:
        for kind, own in ((Kind.UID, uid), (Kind.GID, gid)):
            # One of them may be mapped already, when the program for the other one failed.
            if not extents(kind):
                if kind is Kind.GID:
                    # gid_map may only be written by a process without CAP_SETGID outside once setgroups is given up.
                    write_at_once("/proc/self/setgroups", b"deny")
                write_at_once(f"/proc/self/{kind}_map", str(Extent(0, own, 1)).encode())
    except OSError as error:
        raise no_user_namespace("cannot map this user into a new user namespace", error) from error


def _program(name: str) -> str | None:
    # An ordinary user's PATH need not hold it; shutil is not loaded for it.
    for directory in (*os.get_exec_path(), "/usr/bin", "/bin", "/usr/sbin"):
        path = os.path.join(directory, name)
        if os.path.isabs(path) and os.access(path, os.X_OK):
            return path
    return None
