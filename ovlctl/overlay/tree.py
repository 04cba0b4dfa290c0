"""The one way from the model to files: a layer seen as a tree of objects.

Everything above (marks, resolver, listings, changes) asks a :class:`Tree` and nothing else, so that it runs alike on
live layers (:mod:`ovlctl.overlay.real_tree`), on trees that a test makes up (:mod:`ovlctl.overlay.memory_tree`) and on
archives. A path in a tree is relative to the layer's root, without ``.``, ``..`` and empty components; ``""`` is the
root. Names are str with surrogateescape.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ovlctl.kernel.handles import FileHandle


class Kind(StrEnum):
    """What an object is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    CHARACTER = "character"
    BLOCK = "block"
    FIFO = "fifo"
    SOCKET = "socket"

    @classmethod
    def of(cls, mode: int) -> Kind:
        """The kind that st_mode *mode* says."""
        return _KINDS[stat.S_IFMT(mode)]


_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHARACTER,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFSOCK: Kind.SOCKET,
}


#: The device of objects that are on none, such as those of an archive: their inode numbers tell one from another, and
#: are not those of a file system.
ARCHIVE = -1
_FORMAT = 0o170000
_PERMISSIONS = 0o7777


class Attributes(NamedTuple):
    """What lstat(2) says of an object; a named tuple, because a walk makes one of each object.

    Attributes:
        kind: Its type.
        mode: The permission bits, with set-user-ID, set-group-ID and sticky.
        dev: The device that *ino* counts for; ``ARCHIVE`` for none.
        rdev: Device number of a character or block device, else 0.
        blocks: Units of 512 bytes.
    """

    kind: Kind
    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    nlink: int = 1
    ino: int = 0
    dev: int = 0
    rdev: int = 0
    blocks: int = 0
    atime_ns: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """What *status* says."""
        return cls(
            _KINDS[status.st_mode & _FORMAT],
            status.st_mode & _PERMISSIONS,
            status.st_uid,
            status.st_gid,
            status.st_size,
            status.st_nlink,
            status.st_ino,
            status.st_dev,
            status.st_rdev,
            status.st_blocks,
            status.st_atime_ns,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )


class Child(NamedTuple):
    """A name in a directory; a named tuple, because a listing makes one of each name.

    Attributes:
        kind: What the directory itself says it is; None when only :meth:`Tree.lstat` can tell (devices, fifos,
            sockets).
    """

    name: str
    kind: Kind | None


class Look(NamedTuple):
    """What there is to see of an object without opening it.

    Attributes:
        xattr_names: As :meth:`Tree.xattr_names` gives them.
    """

    attributes: Attributes
    xattr_names: tuple[str, ...]


class Tree(Protocol):
    """A layer's objects. Never follows a symbolic link, never leaves the layer.

    Absence is None; every other trouble (no permission, a damaged disk, a mount point in the way) is the OSError of the
    system call, for the resolver to turn into a value.

    Law: a tree is only read.

    Attributes:
        trusted: Whether trusted.* attributes can be read here. Where they cannot, they look absent.
    """

    @property
    def trusted(self) -> bool:
        """Whether trusted.* attributes can be read here."""

    def lstat(self, path: str) -> Attributes | None:
        """The attributes of *path*; None when there is no such object, or when its name is too long to exist.

        Raises:
            OSError: EXDEV, a mount point lies in the way and what it covers cannot be seen; ENOTDIR, a parent is
                no directory; EACCES and all else.
        """

    def scandir(self, path: str) -> Iterator[Child]:
        """The names in the directory *path* in its own order, one at a time, without ``.`` and ``..``.

        Raises:
            OSError: At the first step or on the way.
        """

    def looking(self, directory: str) -> AbstractContextManager[Callable[[str], Look | None]]:
        """Look at names in *directory*, one after the other; that costs half as much as by their paths.

        What the block is given takes a name, and raises and returns None like :meth:`lstat`.

        Raises:
            OSError: The directory cannot be opened.
        """

    def entries(self, path: str) -> Iterator[tuple[str, Attributes | OSError]]:
        """Every name in the directory *path*, as :meth:`scandir`, with what :meth:`lstat` says; cheaper than both.

        A name that goes before it is looked at is left out; one that cannot be looked at comes with the error.

        Raises:
            OSError: The directory cannot be read, at the first step or on the way.
        """

    def marked(self, path: str, marks: AbstractSet[str]) -> Iterator[tuple[str, Attributes | OSError, bool]]:
        """As :meth:`entries`, with whether the name is a regular file that has one of the extended attributes *marks*.

        It is True also where that cannot be told. No attribute is asked for where *marks* is empty.

        Raises:
            OSError: As :meth:`entries`.
        """

    def readlink(self, path: str) -> str:
        """The target of the symbolic link *path*. Raises OSError."""

    def xattr_names(self, path: str) -> tuple[str, ...]:
        """The names of the extended attributes of *path*, sorted; empty where there can be none. Raises OSError."""

    def xattr(self, path: str, name: str) -> bytes | None:
        """The value of one extended attribute; None when it is not there. Raises OSError."""

    def open(self, path: str) -> BinaryIO:
        """The content of the regular file *path*, unbuffered; close it.

        Raises:
            OSError: EINVAL, it is not a regular file (which is not opened, not even for a moment).
        """

    def descriptor(self, path: str) -> int | None:
        """A descriptor of the regular file *path*, open for reading; None where there are none. Close it.

        Raises:
            OSError: As :meth:`open`.
        """

    def handle(self, path: str) -> FileHandle | None:
        """What its file system calls *path*; None where there are no file handles. Raises OSError."""

    def by_handle(self, kind: int, handle: bytes) -> Attributes | None:
        """The attributes of what the layer's file system calls *handle*, in the layer or not; None for nothing.

        Nothing else is learnt of it, and nothing is opened but a descriptor without rights (O_PATH).

        Raises:
            OSError: EPERM, no right to ask.
        """


def xattrs(tree: Tree, path: str) -> dict[str, bytes]:
    """Every extended attribute of *path* with its value. Raises OSError."""
    found = ((name, tree.xattr(path, name)) for name in tree.xattr_names(path))
    # Unprivileged on btrfs, trusted names are listed and have no value.
    return {name: value for name, value in found if value is not None}


def is_hole(content: BinaryIO) -> bool:
    """Whether an open file has nothing written, as a metadata-only file whose mark cannot be seen."""
    try:
        os.lseek(content.fileno(), 0, os.SEEK_DATA)
    except OSError as error:
        return error.errno == errno.ENXIO
    os.lseek(content.fileno(), 0, os.SEEK_SET)
    return False


def join(directory: str, name: str) -> str:
    """The path of *name* in *directory*."""
    return f"{directory}/{name}" if directory else name
