"""What the machine does to the merged view: one rule, one system call or the few that belong together."""

from __future__ import annotations

import os
import socket
import stat
from collections import Counter
from typing import TYPE_CHECKING, ClassVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from ovlctl.overlay.tree import Kind, join
from tests.overlay.machine import calls
from tests.overlay.machine.calls import Rename
from tests.overlay.machine.layers import attributes, contents, devices, modes, names, owners, values

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.overlay.machine.live import Live

# Which of the objects that are there: taken modulo their number.
_which = st.integers(0, 40)
_ANY = frozenset(Kind)
_DIRECTORY = frozenset({Kind.DIRECTORY})
_FILE = frozenset({Kind.FILE})
_NOT_DIRECTORY = _ANY - _DIRECTORY


class Rules(RuleBasedStateMachine):
    """The rules.

    Attributes:
        done: How often each rule did something, over all machines of a run.
        refused: How often the kernel refused it.
        live: The stack.
        held: Open files and directories, with the names they had.
        steps: How many this machine has taken.
    """

    done: ClassVar[Counter[str]] = Counter()
    refused: ClassVar[Counter[str]] = Counter()
    live: Live
    held: dict[int, str]
    steps: int

    def attempt(self, words: str, action: Callable[[], object]) -> None:
        """Do it; the kernel may refuse. *words* begin with the rule's name."""
        name = words.partition(" ")[0]
        self.steps += 1
        try:
            action()
        except OSError as error:
            self.refused[name] += 1
            note(f"  {words}: {error.strerror}")
        else:
            self.done[name] += 1
            note(f"  {words}")

    def pick(self, which: int, kinds: frozenset[Kind] = _ANY) -> str | None:
        """One of the objects of *kinds*, without the root unless directories are asked for; None without any."""
        found = self.live.objects()
        if kinds != _DIRECTORY:
            del found[""]
        fitting = sorted(path for path, kind in found.items() if kind in kinds)
        return fitting[which % len(fitting)] if fitting else None

    def new(self, which: int, name: str) -> str:
        """*name* in one of the directories."""
        return join(self.pick(which, _DIRECTORY) or "", name)

    # Content

    @rule(which=_which, name=names, content=contents)
    def create(self, which: int, name: str, content: bytes) -> None:
        """open(2) with O_CREAT; cuts what is there."""
        path = self.new(which, name)
        self.attempt(f"create {path!r}", lambda: self._write(path, os.O_CREAT | os.O_TRUNC, content))

    @rule(which=_which, name=names, content=contents)
    def create_nameless(self, which: int, name: str, content: bytes) -> None:
        """open(2) with O_TMPFILE, then link(2)."""
        path = self.new(which, name)
        directory = self.live.path(path.rpartition("/")[0])
        self.attempt(
            f"create-nameless {path!r}",
            lambda: calls.link_a_nameless_file(directory, self.live.path(path), content),
        )

    @rule(
        which=_which,
        how=st.sampled_from([0, os.O_APPEND, os.O_TRUNC]),
        content=contents,
        offset=st.sampled_from([0, 3, 70_000]),
    )
    def write(self, which: int, how: int, content: bytes, offset: int) -> None:
        """Write into the middle of a file, at its end or far behind it, or anew."""
        if (path := self.pick(which, _FILE)) is not None:
            self.attempt(f"write {path!r} {how:#o} at {offset}", lambda: self._write(path, how, content, offset))

    @rule(which=_which, content=contents)
    def write_mapped(self, which: int, content: bytes) -> None:
        """Write through a shared mapping."""
        if (path := self.pick(which, _FILE)) is not None:
            self.attempt(f"write-mapped {path!r}", lambda: calls.write_through_a_map(self.live.path(path), content))

    @rule(which=_which, size=st.sampled_from([0, 2, 5000, 100_000]))
    def truncate(self, which: int, size: int) -> None:
        """Cut a file, or extend it by a hole."""
        if (path := self.pick(which, _FILE)) is not None:
            self.attempt(f"truncate {path!r} {size}", lambda: os.truncate(self.live.path(path), size))

    def _write(self, path: str, how: int, content: bytes, offset: int = 0) -> None:
        descriptor = os.open(self.live.path(path), os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | how, 0o640)
        try:
            os.lseek(descriptor, offset, os.SEEK_SET)
            os.write(descriptor, content)
        finally:
            os.close(descriptor)

    # Metadata

    @rule(which=_which, mode=modes)
    def chmod(self, which: int, mode: int) -> None:
        """Other permissions."""
        if (path := self.pick(which, _ANY - {Kind.SYMLINK})) is not None:
            self.attempt(f"chmod {path!r} {mode:#o}", lambda: os.chmod(self.live.path(path), mode))

    @rule(which=_which, uid=owners, gid=owners)
    def chown(self, which: int, uid: int, gid: int) -> None:
        """lchown(2)."""
        if (path := self.pick(which)) is not None:
            self.attempt(f"chown {path!r} {uid}:{gid}", lambda: os.lchown(self.live.path(path), uid, gid))

    @rule(which=_which, mtime_ns=st.sampled_from([0, 1, 1_000_000_000_123_456_789]))
    def utime(self, which: int, mtime_ns: int) -> None:
        """utimensat(2)."""
        if (path := self.pick(which)) is not None:
            self.attempt(
                f"utime {path!r} {mtime_ns}",
                lambda: os.utime(self.live.path(path), ns=(5, mtime_ns), follow_symlinks=False),
            )

    @rule(which=_which, name=attributes, value=values)
    def setxattr(self, which: int, name: str, value: bytes) -> None:
        """lsetxattr(2), overlayfs's own names included, which it escapes."""
        if (path := self.pick(which)) is not None:
            self.attempt(
                f"setxattr {path!r} {name}={value[:9]!r}",
                lambda: os.setxattr(self.live.path(path), name, value, follow_symlinks=False),
            )

    @rule(which=_which)
    def removexattr(self, which: int) -> None:
        """lremovexattr(2), of one that is there."""
        there = [
            (path, name)
            for path in sorted(self.live.objects())
            for name in os.listxattr(self.live.path(path), follow_symlinks=False)
        ]
        if there:
            path, name = there[which % len(there)]
            self.attempt(
                f"removexattr {path!r} {name}",
                lambda: os.removexattr(self.live.path(path), name, follow_symlinks=False),
            )

    @rule(which=_which, kind=st.sampled_from(["access", "access", "default"]), mask=st.integers(0, 7))
    def set_acl(self, which: int, kind: str, mask: int) -> None:
        """An access control list; later chmods change its mask, and what is made below inherits the default one."""
        if (path := self.pick(which, _DIRECTORY if kind == "default" else _ANY - {Kind.SYMLINK})) is not None:
            self.attempt(
                f"set-acl {path!r} {kind} {mask}",
                lambda: os.setxattr(self.live.path(path), f"system.posix_acl_{kind}", calls.acl(mask)),
            )

    # Names

    @rule(which=_which, name=names, mode=modes)
    def mkdir(self, which: int, name: str, mode: int) -> None:
        """A new directory."""
        path = self.new(which, name)
        self.attempt(f"mkdir {path!r}", lambda: os.mkdir(self.live.path(path), mode))

    @rule(which=_which, name=names, to=st.sampled_from(["a", "../c", "/etc"]))
    def symlink(self, which: int, name: str, to: str) -> None:
        """A new symbolic link."""
        path = self.new(which, name)
        self.attempt(f"symlink {path!r}", lambda: os.symlink(to, self.live.path(path)))

    @rule(
        which=_which,
        name=names,
        kind=st.sampled_from([stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK]),
        device=devices,
    )
    def mknod(self, which: int, name: str, kind: int, device: int) -> None:
        """A new special file."""
        path = self.new(which, name)
        self.attempt(f"mknod {path!r} {stat.filemode(kind)[0]}", lambda: self._mknod(path, kind, device))

    @rule(which=_which, where=_which, name=names)
    def link(self, which: int, where: int, name: str) -> None:
        """One name more."""
        if (old := self.pick(which, _NOT_DIRECTORY)) is not None:
            path = self.new(where, name)
            self.attempt(
                f"link {old!r} {path!r}",
                lambda: os.link(self.live.path(old), self.live.path(path), follow_symlinks=False),
            )

    @rule(which=_which, where=_which, name=names, how=st.sampled_from([Rename.PLAIN, Rename.NOREPLACE]))
    def rename(self, which: int, where: int, name: str, how: Rename) -> None:
        """renameat2(2); what comes from a lower leaves a whiteout."""
        self._rename(self.pick(which), self.new(where, name), how)

    @rule(which=_which, where=_which, name=names)
    def rename_directory(self, which: int, where: int, name: str) -> None:
        """The same for directories, of which there are fewer."""
        self._rename(self.pick(which, _DIRECTORY), self.new(where, name), Rename.PLAIN)

    @rule(which=_which, other=_which)
    def exchange(self, which: int, other: int) -> None:
        """renameat2(2) with RENAME_EXCHANGE."""
        self._rename(self.pick(which), self.pick(other), Rename.EXCHANGE)

    @rule(which=_which)
    def unlink(self, which: int) -> None:
        """One name less."""
        if (path := self.pick(which, _NOT_DIRECTORY)) is not None:
            self.attempt(f"unlink {path!r}", lambda: os.unlink(self.live.path(path)))

    @rule(which=_which, mode=modes)
    def replace_directory(self, which: int, mode: int) -> None:
        """Remove a directory with what is in it, and make it again."""
        if path := self.pick(which, _DIRECTORY):
            self.attempt(f"replace-directory {path!r}", lambda: self._replace(path, mode))

    @rule(which=_which)
    def rmdir(self, which: int) -> None:
        """An empty directory less."""
        if path := self.pick(which, _DIRECTORY):
            self.attempt(f"rmdir {path!r}", lambda: os.rmdir(self.live.path(path)))

    def _mknod(self, path: str, kind: int, device: int) -> None:
        if kind == stat.S_IFSOCK:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(self.live.path(path))
        else:
            os.mknod(self.live.path(path), kind | 0o640, device)

    def _rename(self, old: str | None, new: str | None, how: Rename) -> None:
        if old and new:
            self.attempt(
                f"rename {old!r} {new!r} {how.name}",
                lambda: calls.rename(self.live.path(old), self.live.path(new), how),
            )

    def _replace(self, path: str, mode: int) -> None:
        for below, directories, files in os.walk(self.live.path(path), topdown=False):
            for name in (*files, *directories):
                gone = os.path.join(below, name)
                (os.rmdir if stat.S_ISDIR(os.lstat(gone).st_mode) else os.unlink)(gone)
        os.rmdir(self.live.path(path))
        os.mkdir(self.live.path(path), mode)

    # Files that stay open

    @rule(which=_which, how=st.sampled_from([os.O_RDONLY, os.O_RDWR]))
    def hold(self, which: int, how: int) -> None:
        """Open a file or a directory and keep it so."""
        if (path := self.pick(which, _FILE | _DIRECTORY)) is not None:
            self.attempt(f"hold {path!r} {how:#o}", lambda: self._hold(path, how))

    @rule(which=_which)
    def unlink_held(self, which: int) -> None:
        """Open a file, and take its name away."""
        if (path := self.pick(which, _FILE)) is not None:
            self.attempt(f"unlink-held {path!r}", lambda: self._unlink_held(path))

    @rule(which=_which, content=contents)
    def write_held(self, which: int, content: bytes) -> None:
        """Write into an open file, which may have no name any more."""
        if self.held:
            descriptor = sorted(self.held)[which % len(self.held)]
            self.attempt(f"write-held {self.held[descriptor]!r}", lambda: os.pwrite(descriptor, content, 2))

    @rule(which=_which, mode=modes)
    def chmod_held(self, which: int, mode: int) -> None:
        """Change the mode of an open file, which may have been opened before it was copied up."""
        if self.held:
            descriptor = sorted(self.held)[which % len(self.held)]
            self.attempt(f"chmod-held {self.held[descriptor]!r}", lambda: os.fchmod(descriptor, mode))

    def _hold(self, path: str, how: int) -> None:
        self.held[os.open(self.live.path(path), how | os.O_NOFOLLOW)] = path

    def _unlink_held(self, path: str) -> None:
        self._hold(path, os.O_RDWR)
        os.unlink(self.live.path(path))

    def let_go(self) -> None:
        """Close every open file."""
        for descriptor in self.held:
            os.close(descriptor)
        self.held.clear()
