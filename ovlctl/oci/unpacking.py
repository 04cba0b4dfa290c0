"""What the entries of a layer's archive come to, as an overlay layer: names cleaned, links joined, whiteouts as marks.

Rules, of the OCI image specification (layer.md) and, where it is silent, of containerd and umoci:

- ``.wh.NAME`` hides NAME of the layers below; ``.wh..wh..opq`` hides all names that the layers below have in that
  directory. Neither hides anything of its own layer, wherever in the archive it stands. So a whiteout of NAME next to
  an entry NAME says that what is here does not go on what is below: a directory becomes opaque. (Where the
  whiteout comes after the entry, umoci keeps the entry, as the specification says, and containerd removes it.)
- ``.wh..wh.*`` otherwise is what aufs kept for itself, and is left out. ``.wh.`` alone, ``.wh..`` and ``.wh...`` hide
  no name: the layer is refused, as containerd does.
- ``trusted.overlay.*`` attributes in an archive are no marks of ours: they are escaped (``trusted.overlay.overlay.*``),
  as umoci does. A character device 0:0 in it is a whiteout, since it is one to the kernel wherever a layer is unpacked.
- Names count from the root of the image: a leading slash says nothing, ``..`` does not lead out of it.
- An entry takes the place of an earlier one of the same name, unless both are directories: then it is told of the
  directory anew.
- A parent that no entry gives is what the layers below have there. If they have a symbolic link, or this layer has,
  then the entry is where that leads within the image. If they have nothing, it is a directory, 0755, of root.
- Below a file no runtime can make anything: the layer is refused. So it is with names longer than 255 bytes.
- A hard link to a name that the layer itself does not have is an object that cannot be known from this layer
  (``ENOLINK``): runtimes copy the lower layer's file up for it.
"""

from __future__ import annotations

import errno
import os
from collections import Counter, deque
from typing import TYPE_CHECKING, NamedTuple

from ovlctl.oci.nodes import MADE_UP, Node
from ovlctl.oci.tar import DamagedError
from ovlctl.overlay.marks import ESCAPE, Mark, Prefix
from ovlctl.overlay.tree import ARCHIVE, Attributes, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ovlctl.oci.tar import Entry

    #: What the merged view of the layers below has at a path; None for nothing, or nothing that counts for a parent.
    Below = Callable[[str], "Beneath | None"]


_PREFIX = ".wh."
_OPAQUE = ".wh..wh..opq"
_AUFS = ".wh..wh."
_NO_NAMES = {"", ".", ".."}
_NAME_MAX = 255
_PATH_MAX = 4096
_MOST_LINKS = 255
_BLOCK = 512
_DIRECTORY_LINKS = 2
#: Memory that a layer may take, and what an object takes besides its name and attributes. Both are rough.
_ROOM = 2 << 30
_OBJECT = 600
_MOST_MAJOR, _MOST_MINOR = 1 << 12, 1 << 20


class Beneath(NamedTuple):
    """A directory or a symbolic link of the layers below.

    Attributes:
        target: Of a symbolic link.
        xattrs: Of a directory, as the merged view shows them.
    """

    attributes: Attributes
    xattrs: Mapping[str, bytes]
    target: str = ""


class Unpacked(NamedTuple):
    """A layer.

    Attributes:
        hides_below: Whether its root is opaque. The kernel merges roots whatever their marks, so that whoever makes a
            stack of it has to leave out what is below.
    """

    root: Node
    hides_below: bool


class TooLargeError(Exception):
    """The layer has more than would fit into memory."""


def unpack(entries: Iterable[Entry], below: Below, number: int) -> Unpacked:
    """What a layer holds.

    Args:
        entries: Of its archive.
        below: What is below.
        number: Of the layer: inode numbers are made from it.

    Raises:
        DamagedError: No runtime would unpack it.
        TooLargeError: It is too large to be read.
    """
    work = _Unpacking(below, number)
    for entry in entries:
        work.take(entry)
    return work.finished()


class _Whiteout(NamedTuple):
    directory: Node
    name: str
    attributes: Attributes


class _Unpacking:
    def __init__(self, below: Below, number: int) -> None:
        self._below = below
        self._number = number
        self._room = _ROOM
        self._has_links = False
        self._root = self._implied("")
        self._whiteouts: list[_Whiteout] = []
        self._opaque: list[Node] = []
        # The directory of the entry before: most have the same.
        self._last: tuple[list[str], Node] = ([], self._root)

    def take(self, entry: Entry) -> None:
        names = _names(entry.name)
        self._pay(entry)
        if not names:
            if entry.kind is not Kind.DIRECTORY:
                raise DamagedError("its root is no directory")
            self._replace(self._root, self._node(entry))
            return
        name = names.pop()
        if any(each.startswith(_AUFS) for each in names) or (name.startswith(_AUFS) and name != _OPAQUE):
            return
        if names != self._last[0]:
            self._last = (names, self._directory(names))
        directory = self._last[1]
        if name == _OPAQUE:
            self._opaque.append(directory)
        elif name.startswith(_PREFIX):
            self._whiteout(directory, name[len(_PREFIX) :], entry)
        else:
            self._put(directory, name, entry)

    def finished(self) -> Unpacked:
        for directory in self._opaque:
            _cut_off(directory)
        for whiteout in self._whiteouts:
            self._hide(whiteout)
        links = Counter(map(id, self._root.walk())) if self._has_links else {}
        for node in self._root.walk():
            if node.names is not None:
                inner = sum(child.names is not None for child in node.names.values())
                node.attributes = node.attributes._replace(nlink=_DIRECTORY_LINKS + inner)
            elif self._has_links and links[id(node)] != node.attributes.nlink:
                node.attributes = node.attributes._replace(nlink=links[id(node)])
        return Unpacked(self._root, self._root in self._opaque)

    def _ino(self) -> int:
        self._number += 1
        return self._number

    def _pay(self, entry: Entry) -> None:
        extra = sum(map(len, entry.xattrs.values())) if entry.xattrs else 0
        self._room -= _OBJECT + len(entry.name) + len(entry.target) + extra + 64 * len(entry.pieces)
        if self._room < 0:
            raise TooLargeError

    def _put(self, directory: Node, name: str, entry: Entry) -> None:
        assert directory.names is not None, "it is one"  # noqa: S101 -- for the type checker
        new = self._linked(entry) if entry.kind is None else self._node(entry)
        old = directory.names.get(name)
        if old is not None or new.attributes.kind is not Kind.FILE:
            # The place that was remembered may be gone, or elsewhere.
            self._last = ([], self._root)
        if old is not None and old.names is not None and new.names is not None:
            self._replace(old, new)
        else:
            directory.names[name] = new

    @staticmethod
    def _replace(old: Node, new: Node) -> None:
        old.attributes, old.xattrs, old.implied = new.attributes, new.xattrs, False

    def _whiteout(self, directory: Node, name: str, entry: Entry) -> None:
        if name in _NO_NAMES:
            raise DamagedError(f"the whiteout {_PREFIX + name!r} hides no name")
        attributes = Attributes(
            kind=Kind.CHARACTER,
            mode=0,
            uid=entry.uid,
            gid=entry.gid,
            ino=self._ino(),
            dev=ARCHIVE,
            mtime_ns=entry.mtime_ns,
        )
        self._whiteouts.append(_Whiteout(directory, name, attributes))

    @staticmethod
    def _hide(whiteout: _Whiteout) -> None:
        directory, name, attributes = whiteout
        assert directory.names is not None, "it is one"  # noqa: S101 -- for the type checker
        here = directory.names.get(name)
        if here is None:
            directory.names[name] = Node(attributes)
        elif here.names is not None:
            if here.implied:
                _make_up(here)
            _cut_off(here)

    def _node(self, entry: Entry) -> Node:
        kind, rdev = entry.kind, 0
        assert kind is not None, "it is no hard link"  # noqa: S101 -- for the type checker
        if kind is Kind.CHARACTER or kind is Kind.BLOCK:
            major, minor = entry.rdev
            if not (0 <= major < _MOST_MAJOR and 0 <= minor < _MOST_MINOR):
                raise DamagedError("there is no device of that number")
            rdev = os.makedev(major, minor)
        link = kind is Kind.SYMLINK
        attributes = Attributes(
            kind,
            0o777 if link else entry.mode,
            entry.uid,
            entry.gid,
            len(entry.target) if link else entry.size,
            1,
            self._ino(),
            ARCHIVE,
            rdev,
            sum(-(-piece.length // _BLOCK) for piece in entry.pieces),
            0,
            entry.mtime_ns,
        )
        xattrs = _escaped({os.fsdecode(name): value for name, value in (entry.xattrs or {}).items()})
        return Node(attributes, xattrs=xattrs, target=os.fsdecode(entry.target) if link else "", pieces=entry.pieces)

    def _linked(self, entry: Entry) -> Node:
        # A missing object stands for a link whose target is not in this layer.
        self._has_links = True
        target = self._existing(_names(entry.target))
        if target is None:
            return Node(Attributes(kind=Kind.FILE, mode=0), trouble=errno.ENOLINK)
        return target if target.names is None else Node(Attributes(kind=Kind.FILE, mode=0), trouble=errno.EPERM)

    def _existing(self, names: list[str]) -> Node | None:
        if not names:
            return self._root
        parent = self._directory(names[:-1], make=False).names
        return None if parent is None else parent.get(names[-1])

    def _directory(self, names: list[str], *, make: bool = True) -> Node:
        """The directory at a path, where symbolic links on the way lead; those that are missing are made."""
        trail: list[tuple[str, Node]] = []
        pending = deque(names)
        links = 0
        while pending:
            name = pending.popleft()
            if name in {"", "."}:
                continue
            if name == "..":
                del trail[-1:]
                continue
            here = trail[-1][1] if trail else self._root
            child, target = self._step(here, trail, name, make=make)
            if child is not None:
                trail.append((name, child))
                continue
            links += 1
            if links > _MOST_LINKS:
                raise DamagedError("symbolic links lead around in a circle")
            if target.startswith("/"):
                trail.clear()
            pending.extendleft(reversed(target.split("/")))
        return trail[-1][1] if trail else self._root

    def _step(self, here: Node, trail: list[tuple[str, Node]], name: str, *, make: bool) -> tuple[Node | None, str]:
        # The directory at a name in the last of *trail*, or where the symbolic link there leads.
        assert here.names is not None, "it is a directory"  # noqa: S101 -- for the type checker
        child = here.names.get(name)
        if child is None:
            child = self._implied("/".join([*(each for each, _ in trail), name]))
            if child.names is not None and make:
                here.names[name] = child
        if child.names is not None:
            return child, ""
        if child.attributes.kind is Kind.SYMLINK:
            return None, child.target
        raise DamagedError("an entry is below something that is no directory")

    def _implied(self, path: str) -> Node:
        # What a directory, or link, that no entry gives is by the layers below.
        self._room -= _OBJECT
        if self._room < 0:
            raise TooLargeError
        beneath = self._below(path)
        attributes = MADE_UP if beneath is None else beneath.attributes
        attributes = attributes._replace(ino=self._ino(), dev=ARCHIVE)
        if beneath is None:
            return Node(attributes, implied=True)
        return Node(attributes, xattrs=_escaped(beneath.xattrs), target=beneath.target, implied=True)


def _escaped(xattrs: Mapping[str, bytes]) -> dict[str, bytes] | None:
    if not xattrs:
        return None
    prefix = Prefix.TRUSTED
    return {
        prefix + ESCAPE + name.removeprefix(prefix) if name.startswith(prefix) else name: value
        for name, value in xattrs.items()
    }


def _make_up(directory: Node) -> None:
    directory.attributes, directory.xattrs = MADE_UP._replace(ino=directory.attributes.ino, dev=ARCHIVE), None


def _cut_off(directory: Node) -> None:
    # Nothing in it goes on what is below.
    for node in directory.walk():
        if node.implied and node is not directory:
            _make_up(node)
    directory.xattrs = {**(directory.xattrs or {}), Prefix.TRUSTED + Mark.OPAQUE: b"y"}


def _names(name: bytes) -> list[str]:
    """The components of a name, as path.Clean() of Go has them: from the root, ``..`` not leading out of it."""
    if len(name) > _PATH_MAX:
        raise DamagedError(f"a name has {len(name)} bytes")
    names: list[str] = []
    for each in os.fsdecode(name).split("/"):
        if each == "..":
            del names[-1:]
        elif each not in {"", "."}:
            names.append(each)
    if len(name) > _NAME_MAX and any(len(os.fsencode(each)) > _NAME_MAX for each in names):
        raise DamagedError(f"a name is longer than {_NAME_MAX} bytes")
    return names
