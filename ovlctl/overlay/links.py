"""Names of one file: which are new, and which change although nothing is in the upper at them (index=on)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.overlay.index import merged_nlink
from ovlctl.overlay.marks import Mark
from ovlctl.overlay.merged import Entry, walk
from ovlctl.overlay.resolution import Place, Rule, Unreadable
from ovlctl.overlay.tree import Kind, join

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.resolution import Resolution
    from ovlctl.overlay.resolver import Resolver

_Inode = tuple[int, int]


class Links:
    """Names of the files of an upper.

    Args:
        above: The whole stack.
        below: Its lowers.
    """

    def __init__(self, above: Resolver, below: Resolver) -> None:
        self._above = above
        self._below = below
        self._groups: dict[_Inode, list[str]] | None = None
        self._firsts: dict[_Inode, str | None] = {}
        self._elsewhere: dict[str, set[str]] | None = None
        self._unread: Unreadable | None = None

    def first(self, found: Resolution) -> str | None:
        """Another name of a file in the upper that has no name *found* below: an older one, or the first of the new.

        None when *found* is itself the first, or the only one.

        Raises:
            OSError: The upper's root cannot be read.
        """
        attributes, upper = found.attributes, self._above.layers.upper
        if attributes is None or attributes.kind is Kind.DIRECTORY or attributes.nlink == 1 or upper is None:
            return None
        if found.stack[0].layer is not upper:
            return None
        if self._groups is None:
            self._groups = _groups(upper)
        inode = (attributes.dev, attributes.ino)
        if inode not in self._firsts:
            group = self._groups.get(inode, [])
            older = next((path for path in group if self._is_older(path)), None)
            # Alone, but for a name in the index, it is no link at all.
            self._firsts[inode] = found.path if len(group) == 1 else older or min(group, default=None, key=_components)
        first = self._firsts[inode]
        return None if first == found.path else first

    def elsewhere(self, directory: str) -> AbstractSet[str]:
        """Names in *directory* that are, or lead to, files of the index without being in the upper."""
        if self._elsewhere is None:
            self._elsewhere = self._led()
        return self._elsewhere.get(directory, set())

    def unread(self) -> Unreadable | None:
        """The index, when :meth:`elsewhere` was asked and could not read it; told once."""
        unread, self._unread = self._unread, None
        return unread

    def _led(self) -> dict[str, set[str]]:
        index = self._above.layers.index
        if index is None:
            return {}
        try:
            return _indexed(self._above) if _outstanding(self._above, index) else {}
        except OSError as error:
            # Overlayfs makes it without any permission: only root reads it.
            self._unread = Unreadable(place=Place(index, ""), errno=error.errno or 0)
            return {}

    def _is_older(self, path: str) -> bool:
        below = self._below.resolve(path)
        return below.exists and not below.is_directory


def _components(path: str) -> list[str]:
    return path.split("/")


def _groups(upper: Layer) -> dict[_Inode, list[str]]:
    groups: dict[_Inode, list[str]] = {}
    waiting = [""]
    while waiting:
        directory = waiting.pop()
        try:
            for child in upper.tree.scandir(directory):
                path = join(directory, child.name)
                if child.kind is Kind.DIRECTORY:
                    waiting.append(path)
                elif (found := upper.tree.lstat(path)) is not None and found.nlink > 1:
                    groups.setdefault((found.dev, found.ino), []).append(path)
        except OSError:
            if not directory:
                raise
            # What is in there is reported where it is compared.
            continue
    return {inode: sorted(paths, key=_components) for inode, paths in groups.items()}


def _outstanding(above: Resolver, index: Layer) -> bool:
    """Whether a file in the index has a name that is in no upper directory. ovl_set_nlink_upper() in util.c."""
    mark = above.following.prefix + Mark.NLINK
    for child in index.tree.scandir(""):
        found = index.tree.lstat(child.name) if child.kind is not Kind.DIRECTORY else None
        value = index.tree.xattr(child.name, mark) if found is not None else None
        # One of the upper's own names is that in the index. A count by the lower's says nothing of the upper's.
        if found is not None and value is not None and merged_nlink(value, found.nlink, None) != found.nlink - 1:
            return True
    return False


def _indexed(above: Resolver) -> dict[str, set[str]]:
    names: dict[str, set[str]] = {}
    for entry in walk(above):
        if isinstance(entry, Entry) and entry.resolution.rule is Rule.INDEXED:
            path = entry.resolution.path
            while path:
                parent, _, name = path.rpartition("/")
                names.setdefault(parent, set()).add(name)
                path = parent
    return names
