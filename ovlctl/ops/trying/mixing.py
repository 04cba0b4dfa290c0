"""What the stack's own upper has, put into the scratch upper before an action, so that the kernel finds it there.

On the scratch stack the own upper is the topmost lower. An object of it would be copied up there, where on the stack
itself it is changed in place. So the object, and the directories on the way to it, are copied into the scratch upper
first, while it is not mounted: with mode, owner, times, attributes and marks. Left out are marks that say how a layer
merges with those below: ``opaque`` and ``redirect`` of directories that go on merging with the own upper's, which has
them, and ``origin`` where there is an index, which would hold it against the own upper's object.

A directory that merges with nothing below the own upper is copied with all that is in it, and made opaque, because the
kernel renames and removes such a directory as it would a plain one.

What the own upper has is only read. A whiteout that hides nothing but an object of the own upper is the one thing that
the scratch upper has and the stack itself would not: steps say so (``only_here``).
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ovlctl.kernel import xattr
from ovlctl.kernel.copying import SourceError, clone_content, copy_content
from ovlctl.ops.trying.sights import data_bytes, parents, stands_in
from ovlctl.ops.trying.values import Action
from ovlctl.ops.workspace import remove_tree
from ovlctl.overlay.marks import Mark
from ovlctl.overlay.tree import Kind, join, xattrs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.reading import View
    from ovlctl.ops.trying.values import Wish
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.resolution import Resolution
    from ovlctl.overlay.tree import Attributes

MOST_BYTES = 64 << 20
"""How much data is copied for one wish, at most; data that can be cloned do not count."""

MOST_OBJECTS = 2000
"""How many objects of one directory are copied, at most."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NODES = {
    Kind.CHARACTER: stat.S_IFCHR,
    Kind.BLOCK: stat.S_IFBLK,
    Kind.FIFO: stat.S_IFIFO,
    Kind.SOCKET: stat.S_IFSOCK,
}
_MOVES = {Action.RENAME, Action.DELETE}


class TooMuch(Exception):
    """More than is copied for one wish."""


class Mixer:
    """Copies from the own upper into the scratch upper.

    Args:
        view: The scratch stack; its topmost lower is the own upper. Nobody may have the scratch upper mounted when
            something is copied.
        upper: The scratch upper.
        aside: A directory on its file system, to make things in first.
        index: Whether the scratch mount has an index.
    """

    def __init__(self, view: View, upper: str, aside: str, *, index: bool) -> None:
        self._view, self._upper, self._aside = view, upper, aside
        self._own: Layer = view.layers.lowers[0]
        self._prefix = view.subject.following.prefix
        self._index = index
        self._bytes = self._objects = 0

    def has(self, path: str) -> bool:
        """Whether the object at *path* is the own upper's."""
        found = self._view.resolver.resolve(path)
        return found.exists and found.stack[0].layer is self._own

    def stands_in(self, path: str) -> bool:
        """See :func:`ovlctl.ops.trying.sights.stands_in`."""
        return stands_in(self._view, path, self._own)

    def needed(self, wish: Wish) -> tuple[str, ...]:
        """The paths to be copied for *wish*, each after the directories that it lies in; of READ none."""
        if wish.action is Action.READ:
            return ()
        to = wish.to if wish.action in {Action.RENAME, Action.LINK} else None
        every = dict.fromkeys(
            each for path in filter(None, (wish.path, to)) for each in (*parents(path), path) if self._is_own(each)
        )
        return tuple(every)

    def copy(self, path: str, *, whole: bool) -> None:
        """Put the own upper's object at *path* into the scratch upper.

        Args:
            path: From :meth:`needed`.
            whole: Of a directory that merges with nothing below: with all that is in it.

        Raises:
            TooMuch: It is too large; nothing is left of it.
            OSError: It cannot be read, or not be made by this user; nothing is left of it.
        """
        place = self._place(path)
        attributes = self._own.tree.lstat(place)
        if attributes is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        self._bytes = self._objects = 0
        new = os.path.join(self._aside, "new")
        try:
            with _opened(self._aside) as aside:
                if attributes.kind is Kind.DIRECTORY and whole and self._is_apart(path):
                    self._tree(place, aside, "new", attributes, drop=frozenset())
                    xattr.set(new, self._prefix + Mark.OPAQUE, b"y")
                else:
                    self._one(place, aside, "new", attributes, drop=self._left_out(attributes))
                with _below(self._upper, path) as (directory, name):
                    times = os.fstat(directory)
                    os.rename("new", name, src_dir_fd=aside, dst_dir_fd=directory)
                    os.utime(directory, ns=(times.st_atime_ns, times.st_mtime_ns))
        finally:
            remove_tree(new)

    def _is_own(self, path: str) -> bool:
        found = self._view.resolver.resolve(path)
        if found.exists:
            return found.stack[0].layer is self._own
        # A whiteout of the own upper, which the kernel would replace.
        first = next((seen for seen in found.candidates if seen.present), None)
        return first is not None and first.place.layer is self._own and self._is_reachable(found)

    def _is_reachable(self, found: Resolution) -> bool:
        return self._view.resolver.resolve(found.path.rpartition("/")[0]).is_directory

    def _place(self, path: str) -> str:
        found = self._view.resolver.resolve(path, complete=True)
        return next((seen.place.path for seen in found.candidates if seen.place.layer is self._own), path)

    def _is_apart(self, path: str) -> bool:
        """Whether the directory is made of the own upper alone, of the layers from there on."""
        return len(self._view.resolver.resolve(path).stack) == 1

    def _left_out(self, attributes: Attributes) -> frozenset[str]:
        left = {Mark.REDIRECT, Mark.NLINK}
        if attributes.kind is Kind.DIRECTORY:
            left.add(Mark.OPAQUE)
        if self._index:
            left.add(Mark.ORIGIN)
        return frozenset(self._prefix + mark for mark in left)

    def _tree(self, place: str, directory: int, name: str, attributes: Attributes, *, drop: frozenset[str]) -> None:
        self._one(place, directory, name, attributes, drop=drop)
        if attributes.kind is not Kind.DIRECTORY:
            return
        with _opened(name, directory) as here:
            for child in self._own.tree.scandir(place):
                below = join(place, child.name)
                found = self._own.tree.lstat(below)
                if found is not None:
                    self._tree(below, here, child.name, found, drop=drop)
            os.utime(here, ns=(attributes.atime_ns, attributes.mtime_ns))

    def _one(self, place: str, directory: int, name: str, attributes: Attributes, *, drop: frozenset[str]) -> None:
        self._objects += 1
        if self._objects > MOST_OBJECTS:
            raise TooMuch
        if attributes.kind is Kind.DIRECTORY:
            os.mkdir(name, 0o700, dir_fd=directory)
        elif attributes.kind is Kind.SYMLINK:
            os.symlink(self._own.tree.readlink(place), name, dir_fd=directory)
        elif attributes.kind is Kind.FILE:
            self._content(place, directory, name)
        else:
            os.mknod(name, _NODES[attributes.kind] | 0o600, attributes.rdev, dir_fd=directory)
        self._attributes(place, directory, name, attributes, drop)

    def _content(self, place: str, directory: int, name: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        new = os.open(name, flags, 0o600, dir_fd=directory)
        try:
            with self._own.tree.open(place) as content:
                source = content.fileno()
                if clone_content(source, new):
                    return
                self._bytes += data_bytes(source)
                if self._bytes > MOST_BYTES:
                    raise TooMuch
                try:
                    copy_content(source, new)
                except SourceError as error:
                    raise OSError(error.errno, error.strerror, place) from error
        finally:
            os.close(new)

    def _attributes(self, place: str, directory: int, name: str, attributes: Attributes, drop: frozenset[str]) -> None:
        # In this order: changing the owner takes set-user-ID bits away, and an access control list changes the mode.
        os.chown(name, attributes.uid, attributes.gid, dir_fd=directory, follow_symlinks=False)
        target = f"/proc/self/fd/{directory}/{name}"
        for key, value in xattrs(self._own.tree, place).items():
            if key not in drop:
                xattr.set(target, key, value)
        if attributes.kind is not Kind.SYMLINK:
            os.chmod(name, attributes.mode, dir_fd=directory)
        os.utime(name, ns=(attributes.atime_ns, attributes.mtime_ns), dir_fd=directory, follow_symlinks=False)


def whole(wish: Wish, path: str) -> bool:
    """Whether *path* has to be copied with all that is in it for *wish*."""
    return wish.action in _MOVES and path in {wish.path, wish.to}


@contextmanager
def _opened(path: str, directory: int | None = None) -> Iterator[int]:
    descriptor = os.open(path, _DIRECTORY, dir_fd=directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _below(top: str, path: str) -> Iterator[tuple[int, str]]:
    """A descriptor of the directory that *path* lies in below *top*, and its name there. No link is followed."""
    *way, name = path.split("/")
    here = os.open(top, _DIRECTORY)
    try:
        for each in way:
            below = os.open(each, _DIRECTORY, dir_fd=here)
            os.close(here)
            here = below
        yield here, name
    finally:
        os.close(here)
