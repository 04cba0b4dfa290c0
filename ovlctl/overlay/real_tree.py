"""A layer on disk, seen as the kernel sees it when the layer is part of an overlay.

The kernel looks a layer up through a private clone of its mount, without the mounts on top of its directories: what
lies *under* a mount point is part of the overlay, what is mounted there is not. (btrfs subvolumes are no mounts and are
followed.) With the right to do so the tree takes such a clone for itself, with open_tree(2), and so sees just what the
kernel sees. Without it a mount point is EXDEV: what it covers cannot be seen, and is not guessed.

Everything is looked up from one O_PATH descriptor of the layer's root that is opened once. Descriptors of directories
are kept in a small cache that all layers of a stack share, so that 500 layers of any depth need 500 and a few.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import OrderedDict
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, Self

from ovlctl.errors import KernelLacks
from ovlctl.kernel import handles, mountinfo, namespaces, xattr
from ovlctl.kernel.capabilities import Capability, has
from ovlctl.kernel.fscontext import OPEN_TREE, open_tree
from ovlctl.kernel.libc import AT_FDCWD
from ovlctl.kernel.openat2 import first_part, open_beneath
from ovlctl.overlay.tree import Attributes, Child, Kind, Look, join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Set as AbstractSet
    from types import TracebackType

    from ovlctl.kernel.handles import FileHandle

_GONE = {errno.ENOENT, errno.ENAMETOOLONG}
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW


class Descriptors:
    """Open directories of some trees, the least recently used closed first.

    Args:
        limit: The most that stay open.

    Attributes:
        trusted: Whether this process could read trusted.* attributes when the trees were opened.
    """

    def __init__(self, limit: int = 64) -> None:
        self._limit = limit
        self.trusted = has(Capability.CAP_SYS_ADMIN) and namespaces.in_initial_user_namespace()
        self._open: OrderedDict[tuple[int, str], int] = OrderedDict()
        #: How often one was added; as long as it stays, none was closed.
        self.additions = 0

    def get(self, tree: int, path: str) -> int | None:
        """The descriptor kept for *path* of the tree with root descriptor *tree*."""
        found = self._open.get((tree, path))
        if found is not None:
            self._open.move_to_end((tree, path))
        return found

    def keep(self, tree: int, path: str, descriptor: int) -> None:
        """Own *descriptor* from now on."""
        self._open[tree, path] = descriptor
        self.additions += 1
        if len(self._open) > self._limit:
            os.close(self._open.popitem(last=False)[1])

    def forget(self, tree: int) -> None:
        """Close every directory of *tree*."""
        for key in [key for key in self._open if key[0] == tree]:
            os.close(self._open.pop(key))


class RealTree:
    """The tree below a directory; a context manager that closes its descriptors.

    Args:
        directory: The layer's root. Symbolic links in this one path are followed, as mount(2) follows them.
        descriptors: Shared with the other layers of a stack.

    Attributes:
        cloned: Whether it looks through a clone of the mount, and so below mount points.

    Raises:
        OSError: The directory cannot be opened.
    """

    def __init__(self, directory: str, descriptors: Descriptors | None = None) -> None:
        self._descriptors = descriptors or Descriptors()
        self._root, self.cloned = _open_root(directory)
        # Without a clone, and with mounts below, every name must be asked for whether it is a mount point.
        self._guarded = not self.cloned and _has_submounts(self._root)
        # The attributes of the object asked about last; a path that no object has stands for none.
        self._named: tuple[str, tuple[str, ...]] = ("/", ())
        # The directory asked for last: names are looked up one after the other. Good until a descriptor is closed.
        self._parent: tuple[str, int, int] = ("/", -1, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open; the tree is of no use afterwards."""
        self._descriptors.forget(self._root)
        os.close(self._root)

    @property
    def trusted(self) -> bool:
        """Whether trusted.* attributes can be read: CAP_SYS_ADMIN in the initial user namespace. xattr(7)."""
        return self._descriptors.trusted

    def lstat(self, path: str) -> Attributes | None:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        try:
            if path and not self._guarded:
                directory, name = self._split(path)
                return Attributes.of(os.stat(name, dir_fd=directory, follow_symlinks=False))
            with self._object(path) as found:
                return Attributes.of(os.fstat(found))
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise

    def scandir(self, path: str) -> Iterator[Child]:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        directory, name = self._split(path)
        readable = _Closing(_quietly(directory, name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW))
        # os.scandir() reads through a duplicate of its own.
        with readable as descriptor, os.scandir(descriptor) as entries:
            for entry in entries:
                yield Child(entry.name, _kind(entry))

    @contextmanager
    def looking(self, directory: str) -> Iterator[Callable[[str], Look | None]]:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        # A descriptor of its own, which no other look at any tree closes.
        with _Closing(os.dup(self._directory(directory) if directory else self._root)) as here:
            place = f"/proc/self/fd/{here}/"

            def look(name: str) -> Look | None:
                try:
                    attributes = Attributes.of(os.stat(name, dir_fd=here, follow_symlinks=False))
                    return Look(attributes, tuple(os.listxattr(place + name, follow_symlinks=False)))
                except OSError as error:
                    if error.errno in _GONE:
                        return None
                    return self._look(join(directory, name))

            yield look if not self._guarded else lambda name: self._look(join(directory, name))

    def _look(self, path: str) -> Look | None:
        attributes = self.lstat(path)
        return None if attributes is None else Look(attributes, self.xattr_names(path))

    def entries(self, path: str) -> Iterator[tuple[str, Attributes | OSError]]:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        directory, name = self._split(path)
        readable = _Closing(_quietly(directory, name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW))
        with readable as descriptor, os.scandir(descriptor) as entries:
            for entry in entries:
                try:
                    yield entry.name, self._attributes(descriptor, entry)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    yield entry.name, error

    def marked(self, path: str, marks: AbstractSet[str]) -> Iterator[tuple[str, Attributes | OSError, bool]]:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        directory, name = self._split(path)
        readable = _Closing(_quietly(directory, name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW))
        with readable as descriptor, os.scandir(descriptor) as entries:
            place = f"/proc/self/fd/{descriptor}/"
            for entry in entries:
                try:
                    attributes = self._attributes(descriptor, entry)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    yield entry.name, error, True
                    continue
                if marks and attributes.kind is Kind.FILE:
                    try:
                        # Where something is mounted in the layer, names may lead onto it.
                        names = (
                            self._names(join(path, entry.name))
                            if self._guarded
                            else os.listxattr(place + entry.name, follow_symlinks=False)
                        )
                        yield entry.name, attributes, bool(names) and not marks.isdisjoint(names)
                    except OSError as error:
                        yield entry.name, attributes, error.errno != errno.ENOTSUP
                else:
                    yield entry.name, attributes, False

    def _attributes(self, directory: int, entry: os.DirEntry[str]) -> Attributes:
        if not self._guarded:
            return Attributes.of(entry.stat(follow_symlinks=False))
        with _Closing(open_beneath(directory, entry.name, os.O_PATH | os.O_NOFOLLOW)) as found:
            return Attributes.of(os.fstat(found))

    def readlink(self, path: str) -> str:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        directory, name = self._split(path)
        return os.readlink(name, dir_fd=directory)

    def xattr_names(self, path: str) -> tuple[str, ...]:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        if self._named[0] != path:
            self._named = (path, self._names(path))
        return self._named[1]

    def _names(self, path: str) -> tuple[str, ...]:
        try:
            if path and not self._guarded:
                directory, name = self._split(path)
                return tuple(sorted(os.listxattr(f"/proc/self/fd/{directory}/{name}", follow_symlinks=False)))
            with self._object(path) as found:
                return tuple(sorted(os.listxattr(f"/proc/self/fd/{found}")))
        except OSError as error:
            if error.errno == errno.ENOTSUP:
                return ()
            raise

    def xattr(self, path: str, name: str) -> bytes | None:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        with suppress(OSError):  # more names than fit into a list (E2BIG), or none that may be listed
            # Asking for the names costs less than being told for each mark that it is not there.
            if name not in self.xattr_names(path):
                return None
        if path and not self._guarded:
            directory, last = self._split(path)
            return xattr.get(f"/proc/self/fd/{directory}/{last}", name)
        with self._object(path) as found:
            try:
                return os.getxattr(f"/proc/self/fd/{found}", name)
            except OSError as error:
                if error.errno in {errno.ENODATA, errno.ENOTSUP}:
                    return None
                raise

    def open(self, path: str) -> BinaryIO:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        return open(self.descriptor(path), "rb", buffering=0)

    def descriptor(self, path: str) -> int:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        # As _object() does, without a context manager: `du` opens every file where data can be shared.
        found = self._located(path)
        try:
            if not stat.S_ISREG(os.fstat(found).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", path)
            # The very object just looked at, through its magic link: nothing can come in between.
            return _opened(f"/proc/self/fd/{found}")
        finally:
            os.close(found)

    def handle(self, path: str) -> FileHandle | None:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        directory, name = self._split(path)
        try:
            return handles.identifying_handle(name if path else "", directory)
        except OSError as error:
            if error.errno in {errno.EOPNOTSUPP, errno.EOVERFLOW, errno.EINVAL}:
                return None
            raise

    def by_handle(self, kind: int, handle: bytes) -> Attributes | None:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        try:
            with (
                _Closing(os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._root)) as root,
                _Closing(handles.open_by_handle_at(root, kind, handle)) as found,
            ):
                return Attributes.of(os.fstat(found))
        except OSError as error:
            if error.errno in {errno.ESTALE, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOENT}:
                return None
            raise

    @contextmanager
    def _object(self, path: str) -> Iterator[int]:
        # A descriptor of the object itself (O_PATH). The root is at hand, whoever may search it.
        if not path:
            yield self._root
            return
        with _Closing(self._located(path)) as found:
            yield found

    def _located(self, path: str) -> int:
        directory, name = self._split(path)
        if self.cloned and name != "..":
            # Nothing is mounted in a clone, so that one name leads nowhere else; openat(2) itself is sooner called.
            return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        return open_beneath(directory, name, os.O_PATH | os.O_NOFOLLOW)

    def _split(self, path: str) -> tuple[int, str]:
        # A descriptor of the directory that holds *path*, and the one name left to look up in it.
        cut = path.rfind("/")
        if cut < 0:
            return self._root, path or "."
        parent, descriptor, additions = self._parent
        if path[:cut] != parent or additions != self._descriptors.additions:
            parent = path[:cut]
            descriptor = self._directory(parent)
            self._parent = (parent, descriptor, self._descriptors.additions)
        return descriptor, path[cut + 1 :]

    def _directory(self, path: str) -> int:
        if (kept := self._descriptors.get(self._root, path)) is not None:
            return kept
        here, owned, rest = self._root, False, path
        while True:
            chunk, rest = first_part(rest)
            try:
                below = open_beneath(here, chunk, _DIRECTORY)
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
                # A symbolic link on the way: for an overlay, something that is no directory.
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from error
            finally:
                if owned:
                    os.close(here)
            here, owned = below, True
            if not rest:
                break
        self._descriptors.keep(self._root, path, here)
        return here


class _Closing:
    """A descriptor that is closed at the end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> int:
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _open_root(directory: str) -> tuple[int, bool]:
    # EPERM: no right to. EINVAL: of another mount namespace, or the mounts on it are locked. ENOSYS is KernelLacks.
    with suppress(OSError, KernelLacks):
        found = open_tree(AT_FDCWD, directory, OPEN_TREE.CLONE)
        if stat.S_ISDIR(os.fstat(found).st_mode):
            return found, True
        os.close(found)
    return os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), False


def _has_submounts(root: int) -> bool:
    prefix = os.readlink(f"/proc/self/fd/{root}").rstrip("/") + "/"
    return any(mount.mount_point.startswith(prefix) for mount in mountinfo.read("self"))


def _quietly(directory: int, name: str, flags: int) -> int:
    # Without touching the access time, where the kernel lets us.
    try:
        return open_beneath(directory, name, flags | os.O_NOATIME)
    except PermissionError:
        return open_beneath(directory, name, flags)


def _opened(magic_link: str) -> int:
    try:
        return os.open(magic_link, os.O_RDONLY | os.O_CLOEXEC | os.O_NOATIME)
    except PermissionError:
        return os.open(magic_link, os.O_RDONLY | os.O_CLOEXEC)


def _kind(entry: os.DirEntry[str]) -> Kind | None:
    # Most are files.
    if entry.is_file(follow_symlinks=False):
        return Kind.FILE
    if entry.is_dir(follow_symlinks=False):
        return Kind.DIRECTORY
    return Kind.SYMLINK if entry.is_symlink() else None
