"""Layers written by hand, with marks that the kernel would never write, and what a mount of them says."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ovlctl.kernel.mount import MNT, umount2
from ovlctl.ops.kernel_habits import habits
from ovlctl.ops.ladder import mount_stack
from ovlctl.overlay.layers import Following, Layer, Layers, Role, open_layers
from ovlctl.overlay.marks import Prefix
from ovlctl.overlay.memory_tree import MemoryTree, Thing
from ovlctl.overlay.options import Flag, Switch, stated
from ovlctl.overlay.resolver import Resolver
from ovlctl.overlay.stack import Stack
from ovlctl.overlay.tree import Attributes, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ovlctl.overlay.options import Options

_FORMATS = {
    Kind.CHARACTER: stat.S_IFCHR,
    Kind.BLOCK: stat.S_IFBLK,
    Kind.FIFO: stat.S_IFIFO,
}
_OVERLAY_HANDLE = 0xF8


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One object of a layer.

    Attributes:
        marks: By name without the prefix.
        xattrs: Others, by full name.
    """

    kind: Kind = Kind.FILE
    mode: int = 0o644
    content: bytes = b""
    target: str = "nowhere"
    rdev: int = 0
    marks: Mapping[str, bytes] = field(default_factory=dict)
    xattrs: Mapping[str, bytes] = field(default_factory=dict)

    def can_have_marks(self, prefix: Prefix) -> bool:
        """Whether the kernel lets it have them: user.* is for files and directories only. xattr(7)."""
        return prefix is Prefix.TRUSTED or self.kind in {Kind.FILE, Kind.DIRECTORY}

    def thing(self, prefix: Prefix) -> Thing:
        """The same for a tree in memory."""
        marks = {prefix + name: value for name, value in self.marks.items()} if self.can_have_marks(prefix) else {}
        attributes = Attributes(kind=self.kind, mode=self.mode, rdev=self.rdev, size=len(self.content))
        return Thing(
            attributes=attributes, content=self.content, target=self.target, xattrs={**marks, **dict(self.xattrs)}
        )


def file(content: bytes = b"", **marks: bytes) -> Made:
    """A regular file."""
    return Made(content=content, marks=marks)


def directory(**marks: bytes) -> Made:
    """A directory."""
    return Made(kind=Kind.DIRECTORY, mode=0o755, marks=marks)


def whiteout() -> Made:
    """A character device 0:0."""
    return Made(kind=Kind.CHARACTER, mode=0)


def link(target: str) -> Made:
    """A symbolic link."""
    return Made(kind=Kind.SYMLINK, mode=0o777, target=target)


def write_layer(base: str, layer: Mapping[str, Made], prefix: Prefix = Prefix.TRUSTED) -> str:
    """Write *layer* to disk below the new directory *base*; parents that are missing are made."""
    os.mkdir(base)
    for path in sorted(layer, key=lambda path: path.count("/")):
        _write(os.path.join(base, path) if path else base, layer[path], prefix)
    return base


def _write(path: str, made: Made, prefix: Prefix) -> None:
    with _within_reach(path) as reached:
        _write_at(reached, made, prefix)


@contextmanager
def _within_reach(path: str) -> Iterator[str]:
    """*path*, in a directory that is made, as a path that no system call finds too long."""
    here = os.open("/", os.O_PATH)
    *above, name = path.strip("/").split("/")
    for parent in above:
        with suppress(FileExistsError):
            os.mkdir(parent, dir_fd=here)
        here, previous = os.open(parent, os.O_PATH, dir_fd=here), here
        os.close(previous)
    yield f"/proc/self/fd/{here}/{name}"
    os.close(here)


def _write_at(path: str, made: Made, prefix: Prefix) -> None:
    if made.kind is Kind.DIRECTORY:
        os.makedirs(path, exist_ok=True)
    elif made.kind is Kind.SYMLINK:
        os.symlink(made.target, path)
    elif made.kind is Kind.SOCKET:
        with socket.socket(socket.AF_UNIX) as new:
            new.bind(path)
    elif made.kind is Kind.FILE:
        with open(path, "wb") as opened:
            opened.write(made.content)
    else:
        os.mknod(path, _FORMATS[made.kind] | 0o600, made.rdev)
    if made.kind is not Kind.SYMLINK:
        os.chmod(path, made.mode)
    marks = {prefix + name: value for name, value in made.marks.items()} if made.can_have_marks(prefix) else {}
    for name, value in {**marks, **made.xattrs}.items():
        os.setxattr(path, name, value, follow_symlinks=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A stack to be written and mounted: layers topmost first."""

    lowers: tuple[Mapping[str, Made], ...]
    options: Options
    upper: Mapping[str, Made] | None = None
    data: tuple[Mapping[str, Made], ...] = ()

    @property
    def prefix(self) -> Prefix:
        """Where its marks are."""
        return Prefix.USER if self.options.userxattr is Flag.YES else Prefix.TRUSTED

    def in_memory(self) -> Resolver:
        """A resolver for the same layers in memory."""

        def layer(role: Role, index: int, things: Mapping[str, Made]) -> Layer:
            tree = MemoryTree({path: made.thing(self.prefix) for path, made in things.items()})
            return Layer(role=role, index=index, directory=f"{role}{index}", tree=tree)

        layers = Layers(
            upper=None if self.upper is None else layer(Role.UPPER, 0, self.upper),
            lowers=tuple(layer(Role.LOWER, at, things) for at, things in enumerate(self.lowers)),
            data=tuple(layer(Role.DATA, at, things) for at, things in enumerate(self.data)),
        )
        return resolver(layers, self.options)

    def write(self, base: str, prefix: Prefix | None = None) -> Stack:
        """Write every layer below *base*, with marks where the options have them, or where *prefix* says."""
        prefix, upper, work = prefix or self.prefix, None, None
        if self.upper is not None:
            upper, work = write_layer(f"{base}/upper", self.upper, prefix), f"{base}/work"
            os.mkdir(work)
        return Stack(
            [write_layer(f"{base}/lower{at}", layer, prefix) for at, layer in enumerate(self.lowers)],
            data_only=[write_layer(f"{base}/data{at}", layer, prefix) for at, layer in enumerate(self.data)],
            upper=upper,
            work=work,
            options=self.options,
        )


@contextmanager
def mounted(stack: Stack, point: str) -> Iterator[str]:
    """Mount *stack* at *point*, which is made."""
    os.makedirs(point, exist_ok=True)
    mount_stack(stack, point)
    try:
        yield point
    finally:
        umount2(point, MNT(0))


@contextmanager
def resolving(stack: Stack) -> Iterator[Resolver]:
    """A resolver for *stack* as ovlctl would mount it."""
    told = stated(stack.options, trusted_xattrs=True)
    with open_layers(stack, index=told.index is Switch.ON) as layers:
        yield Resolver(layers, Following.of(told, habits=habits))


def resolver(layers: Layers, options: Options) -> Resolver:
    """A resolver for open layers."""
    told = stated(options, trusted_xattrs=True)
    return Resolver(layers, Following.of(told, habits=habits))


@contextmanager
def new_directory(parent: str) -> Iterator[str]:
    """A directory that goes afterwards."""
    with tempfile.TemporaryDirectory(dir=parent) as made:
        yield made


@dataclass(frozen=True, slots=True)
class Seen:
    """What a mount says of a name.

    Attributes:
        errno: Of lstat(2); all else is empty then.
        read_errno: Of open(2) for a regular file.
    """

    errno: int = 0
    kind: Kind | None = None
    mode: int = 0
    owner: tuple[int, int] = (0, 0)
    size: int = 0
    nlink: int = 0
    rdev: int = 0
    mtime_ns: int = 0
    content: bytes | None = None
    read_errno: int = 0
    target: str = ""
    xattrs: tuple[tuple[str, bytes], ...] = ()


def seen(path: str) -> Seen:
    """What the kernel says of *path*."""
    try:
        found = Attributes.of(os.lstat(path))
    except OSError as error:
        return Seen(errno=error.errno or 0)
    content, read_errno = None, 0
    if found.kind is Kind.FILE:
        try:
            with open(path, "rb") as opened:
                content = opened.read()
        except OSError as error:
            read_errno = error.errno or 0
    return Seen(
        kind=found.kind,
        mode=found.mode,
        owner=(found.uid, found.gid),
        # A directory's is what its file system likes, and a merged one has several.
        size=found.size if found.kind is not Kind.DIRECTORY else 0,
        nlink=found.nlink,
        rdev=found.rdev,
        mtime_ns=found.mtime_ns,
        content=content,
        read_errno=read_errno,
        target=os.readlink(path) if found.kind is Kind.SYMLINK else "",
        xattrs=tuple(
            (name, os.getxattr(path, name, follow_symlinks=False))
            for name in sorted(os.listxattr(path, follow_symlinks=False))
        ),
    )
