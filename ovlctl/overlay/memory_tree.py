"""A layer that exists in memory only: for tests, and for archives read once."""

from __future__ import annotations

import errno
import io
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from ovlctl.overlay.tree import Attributes, Child, Kind, Look, join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from ovlctl.kernel.handles import FileHandle

_NAME_MAX = 255
_NODES = {Kind.CHARACTER, Kind.BLOCK, Kind.FIFO, Kind.SOCKET}


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One object of a :class:`MemoryTree`.

    Attributes:
        attributes: Its kind, mode, owner and times; the size is that of *content* unless it says more (a sparse file).
        content: What a regular file holds.
        target: Where a symbolic link points.
        xattrs: Its extended attributes.
        trouble: The errno that every look at it gives, as for an object that may not be read; 0 for none.
    """

    attributes: Attributes
    content: bytes = b""
    target: str = ""
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    trouble: int = 0


class MemoryTree:
    """The tree made of *things*, by path; missing parent directories are made up (mode 0755).

    Args:
        things: Path to object; ``""`` is the root.
        trusted: Whether trusted.* attributes are to be seen.
    """

    def __init__(self, things: Mapping[str, Thing], *, trusted: bool = True) -> None:
        self._trusted = trusted
        self._things: dict[str, Thing] = {"": _directory(), **things}
        self._children: dict[str, list[str]] = {}
        for path in things:
            self._add(path)

    @property
    def trusted(self) -> bool:
        """Whether trusted.* attributes are to be seen."""
        return self._trusted

    def lstat(self, path: str) -> Attributes | None:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        if len(os.fsencode(path.rpartition("/")[2])) > _NAME_MAX:
            return None
        found = self._find(path)
        return None if found is None else found.attributes

    def scandir(self, path: str) -> Iterator[Child]:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        if self._the(path).attributes.kind is not Kind.DIRECTORY:
            raise _error(errno.ENOTDIR, path)
        for child in self._children.get(path, ()):
            kind = self._things[child].attributes.kind
            yield Child(child.rpartition("/")[2], None if kind in _NODES else kind)

    @contextmanager
    def looking(self, directory: str) -> Iterator[Callable[[str], Look | None]]:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        self._the(directory)

        def look(name: str) -> Look | None:
            path = join(directory, name)
            attributes = self.lstat(path)
            return None if attributes is None else Look(attributes, self.xattr_names(path))

        yield look

    def entries(self, path: str) -> Iterator[tuple[str, Attributes | OSError]]:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        for child in self.scandir(path):
            try:
                yield child.name, self._the(join(path, child.name)).attributes
            except OSError as error:
                yield child.name, error

    def marked(self, path: str, marks: AbstractSet[str]) -> Iterator[tuple[str, Attributes | OSError, bool]]:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        for name, attributes in self.entries(path):
            if isinstance(attributes, OSError):
                yield name, attributes, True
            else:
                has = attributes.kind is Kind.FILE and not marks.isdisjoint(self.xattr_names(join(path, name)))
                yield name, attributes, has

    def readlink(self, path: str) -> str:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        found = self._the(path)
        if found.attributes.kind is not Kind.SYMLINK:
            raise _error(errno.EINVAL, path)
        return found.target

    def xattr_names(self, path: str) -> tuple[str, ...]:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        return tuple(sorted(name for name in self._the(path).xattrs if self._visible(name)))

    def xattr(self, path: str, name: str) -> bytes | None:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        return self._the(path).xattrs.get(name) if self._visible(name) else None

    def open(self, path: str) -> BinaryIO:
        """See :class:`~ovlctl.overlay.tree.Tree`."""
        found = self._the(path)
        if found.attributes.kind is not Kind.FILE:
            raise _error(errno.EINVAL, path)
        return io.BytesIO(found.content.ljust(found.attributes.size, b"\0"))

    def descriptor(self, path: str) -> int | None:
        """None: nothing in memory has one."""
        self._the(path)
        return None

    def handle(self, path: str) -> FileHandle | None:
        """None: nothing in memory has a file handle."""
        self._the(path)
        return None

    def by_handle(self, kind: int, handle: bytes) -> Attributes | None:  # noqa: ARG002 -- as the port has it
        """None: nothing in memory has a file handle."""
        return None

    def _visible(self, name: str) -> bool:
        return self._trusted or not name.startswith("trusted.")

    def _find(self, path: str) -> Thing | None:
        found = self._things.get(path)
        if found is None:
            parent = path.rpartition("/")[0]
            above = self._things[""] if not path else self._find(parent)
            if above is not None and above.attributes.kind is not Kind.DIRECTORY:
                raise _error(errno.ENOTDIR, path)
        elif found.trouble:
            raise _error(found.trouble, path)
        return found

    def _the(self, path: str) -> Thing:
        found = self._find(path)
        if found is None:
            raise _error(errno.ENOENT, path)
        return found

    def _add(self, path: str) -> None:
        # Enter *path* into its parent, and the parent into its own.
        while path:
            parent = path.rpartition("/")[0]
            siblings = self._children.setdefault(parent, [])
            if path not in siblings:
                siblings.append(path)
            if parent in self._things:
                return
            self._things[parent] = _directory()
            path = parent


def _directory() -> Thing:
    return Thing(attributes=Attributes(kind=Kind.DIRECTORY, mode=0o755))


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
