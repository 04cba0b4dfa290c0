"""A layer of an image as a tree, for the resolver and all above it."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

from ovlctl.oci.content import File
from ovlctl.overlay.tree import Child, Kind, Look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Set as AbstractSet

    from ovlctl.kernel.handles import FileHandle
    from ovlctl.oci.content import Content
    from ovlctl.oci.nodes import Node
    from ovlctl.overlay.tree import Attributes

_NODES = {Kind.CHARACTER, Kind.BLOCK, Kind.FIFO, Kind.SOCKET}


class LayerTree:
    """See :class:`~ovlctl.overlay.tree.Tree`.

    Every mark can be seen, whoever asks: they are no attributes of a file system.

    Args:
        root: Of what was unpacked.
        content: Of the archive.
        hides_below: Whether nothing below this layer counts.
    """

    trusted = True

    def __init__(self, root: Node, content: Content, *, hides_below: bool = False) -> None:
        self._root = root
        # The directory asked for last: names are looked up one after the other.
        self._parent: tuple[str, Node] = ("", root)
        self._content = content
        self.hides_below = hides_below

    def lstat(self, path: str) -> Attributes | None:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        found = self._find(path)
        return None if found is None else found.attributes

    def scandir(self, path: str) -> Iterator[Child]:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        names = self._the(path).names
        if names is None:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        for name, node in names.items():
            kind = node.attributes.kind
            yield Child(name, None if kind in _NODES or node.trouble else kind)

    @contextmanager
    def looking(self, directory: str) -> Iterator[Callable[[str], Look | None]]:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        inside = self._the(directory)

        def look(name: str) -> Look | None:
            found = inside.find(name)
            return None if found is None else Look(found.attributes, tuple(sorted(found.xattrs or ())))

        yield look

    def entries(self, path: str) -> Iterator[tuple[str, Attributes | OSError]]:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        names = self._the(path).names
        if names is None:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        for name, node in names.items():
            yield name, OSError(node.trouble, os.strerror(node.trouble), name) if node.trouble else node.attributes

    def marked(self, path: str, marks: AbstractSet[str]) -> Iterator[tuple[str, Attributes | OSError, bool]]:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        inside = self._the(path)
        for name, attributes in self.entries(path):
            if isinstance(attributes, OSError):
                yield name, attributes, True
            else:
                node = inside.find(name) if attributes.kind is Kind.FILE else None
                yield name, attributes, node is not None and not marks.isdisjoint(node.xattrs or ())

    def readlink(self, path: str) -> str:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        found = self._the(path)
        if found.attributes.kind is not Kind.SYMLINK:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        return found.target

    def xattr_names(self, path: str) -> tuple[str, ...]:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        found = self._the(path).xattrs
        return tuple(sorted(found)) if found else ()

    def xattr(self, path: str, name: str) -> bytes | None:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        found = self._the(path).xattrs
        return found.get(name) if found else None

    def open(self, path: str) -> BinaryIO:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        found = self._the(path)
        if found.attributes.kind is not Kind.FILE:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        return cast("BinaryIO", File(self._content, found.pieces, found.attributes.size))

    def descriptor(self, path: str) -> int | None:
        """None: nothing in an archive has one."""
        self.open(path).close()
        return None

    def by_handle(self, kind: int, handle: bytes) -> Attributes | None:  # noqa: ARG002 -- those of the port
        """None: nothing in an archive has a file handle."""
        return None

    def handle(self, path: str) -> FileHandle | None:
        """None: nothing in an archive has a file handle."""
        self._the(path)
        return None

    def _find(self, path: str) -> Node | None:
        cut = path.rfind("/")
        parent = path[:cut] if cut > 0 else ""
        if parent != self._parent[0]:
            directory = self._root.find(parent)
            if directory is None:
                return None
            self._parent = (parent, directory)
        return self._parent[1].find(path[cut + 1 :])

    def _the(self, path: str) -> Node:
        found = self._find(path)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return found
