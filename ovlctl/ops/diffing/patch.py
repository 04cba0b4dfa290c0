"""Changes as a patch that git-apply(1) and, where all is text, patch(1) take.

Law: ``git apply`` turns the regular files and symbolic links of the lower view into those of the merged view: content,
existence, and whether a file may be executed. What a patch has no words for (owners, other permissions, extended
attributes, devices, fifos, sockets; empty directories and times are not even missed) is counted.

The format is git's: documentation of git-diff, "Generating patch text with -p", and git-apply. A file counts as binary
with a NUL byte among its first 8000, as in git, and when it is large: comparing lines takes time with their square.
"""

from __future__ import annotations

import errno
import os
from base64 import b85encode
from difflib import diff_bytes, unified_diff
from hashlib import sha1
from typing import TYPE_CHECKING, NamedTuple
from zlib import compress

from ovlctl.overlay.change import Change, ChangeKind, Field
from ovlctl.overlay.merged import Entry, walk
from ovlctl.overlay.resolution import Unreadable
from ovlctl.overlay.tree import Kind, is_hole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ovlctl.ops.diffing import Pair
    from ovlctl.ops.reading.troubles import Troubles
    from ovlctl.overlay.resolution import Resolution
    from ovlctl.overlay.resolver import Resolver

#: Larger texts are patched like binary files.
TEXT_BYTES = 256 << 10
#: Larger files are not in the patch: git wants their sums and their compressed content in one piece.
FILE_BYTES = 256 << 20
_GIT_LOOKS_AT = 8000
_LINE = 52
_EXECUTABLE = 0o100
_PATCHED = {Kind.FILE, Kind.SYMLINK}
_UNSAID = {Field.MODE, Field.OWNER, Field.XATTRS, Field.ACL, Field.DEVICE}
_NOTHING = "0" * 40


class _Version(NamedTuple):
    """A file or symbolic link as git sees it."""

    mode: str
    content: bytes

    @property
    def sum(self) -> str:
        return sha1(b"blob %d\0%b" % (len(self.content), self.content), usedforsecurity=False).hexdigest()

    @property
    def text(self) -> bool:
        return len(self.content) <= TEXT_BYTES and b"\0" not in self.content[:_GIT_LOOKS_AT]


class Patch:
    """Writes patches.

    Args:
        pair: What is compared.
        troubles: Takes what could not be read.

    Attributes:
        unsaid: How many changes a patch has no words for.
        too_large: Paths of files that are too large for one.
    """

    def __init__(self, pair: Pair, troubles: Troubles) -> None:
        self._pair = pair
        self._troubles = troubles
        self.unsaid = 0
        self.too_large: list[str] = []

    def pieces(self, changes: Iterable[Change]) -> Iterator[bytes]:
        """The patch for *changes*, told without renames, a file a piece."""
        for change in changes:
            if not change.differs:
                continue
            if change.change is ChangeKind.DELETED:
                yield from self._deleted(change)
                continue
            if change.change is ChangeKind.REPLACED and change.kind is not Kind.DIRECTORY:
                # What was in a directory there follows as deleted, and would be too late.
                yield from self._below(change)
            yield from self._file(change)

    def _deleted(self, change: Change) -> Iterator[bytes]:
        # Of a directory every file: a patch knows no directories.
        if self._pair.above.resolve(change.path.rpartition("/")[0]).is_directory:
            yield from self._below(change)

    def _below(self, change: Change) -> Iterator[bytes]:
        below = self._pair.below.resolve(change.path)
        for found in _files(self._pair.below, below, self._troubles):
            version = self._version(found)
            if version is not None:
                yield _patch(found.path, version, None)

    def _file(self, change: Change) -> Iterator[bytes]:
        above = self._version(self._pair.above.resolve(change.path))
        below = self._pair.below.resolve(change.path)
        if change.change is ChangeKind.REPLACED or Field.KIND in change.fields:
            if change.kind is Kind.DIRECTORY and below.kind in _PATCHED:
                old = self._version(below)
                yield from () if old is None else (_patch(change.path, old, None),)
                return
            below_version = None
        else:
            below_version = self._version(below) if below.exists and below.kind in _PATCHED else None
        if above is None:
            self.unsaid += change.kind is not Kind.DIRECTORY or not _UNSAID.isdisjoint(change.fields)
            return
        self.unsaid += not _UNSAID.isdisjoint(change.fields)
        if below_version == above:
            # Permissions that git does not know of, or a time.
            return
        yield _patch(change.path, below_version, above)

    def _version(self, found: Resolution) -> _Version | None:
        attributes = found.attributes
        if attributes is None or attributes.kind not in _PATCHED:
            return None
        place = found.data if attributes.kind is Kind.FILE else found.stack[0]
        if place is None:
            self._troubles.add(Unreadable(place=found.stack[0], errno=found.data_errno))
            return None
        try:
            if attributes.kind is Kind.SYMLINK:
                return _Version("120000", os.fsencode(place.layer.tree.readlink(place.path)))
            if attributes.size > FILE_BYTES:
                self.too_large.append(found.path)
                return None
            with place.layer.tree.open(place.path) as opened:
                if not found.certain and attributes.size and is_hole(opened):
                    raise PermissionError(errno.EACCES, "only root sees whether its content is elsewhere")
                content = opened.read()
        except OSError as error:
            self._troubles.add(Unreadable(place=place, errno=error.errno or 0))
            return None
        return _Version("100755" if attributes.mode & _EXECUTABLE else "100644", content)


def _files(resolver: Resolver, found: Resolution, troubles: Troubles) -> Iterator[Resolution]:
    """*found*, or the files and links below it."""
    if not found.is_directory:
        yield found
        return
    for entry in walk(resolver, found.path):
        if isinstance(entry, Entry):
            if entry.resolution.kind in _PATCHED:
                yield entry.resolution
        else:
            troubles.add(entry)


def _patch(path: str, old: _Version | None, new: _Version | None) -> bytes:
    """One file's part of a patch; None stands for its absence."""
    before, after = _quoted(b"a/", path), _quoted(b"b/", path)
    lines = [b"diff --git %b %b" % (before, after)]
    if old is None and new is not None:
        lines.append(b"new file mode " + new.mode.encode())
    elif new is None and old is not None:
        lines.append(b"deleted file mode " + old.mode.encode())
    elif old is not None and new is not None and old.mode != new.mode:
        lines += [b"old mode " + old.mode.encode(), b"new mode " + new.mode.encode()]
    sums = [_NOTHING if version is None else version.sum for version in (old, new)]
    if sums[0] != sums[1]:
        lines.append("index {}..{}".format(*sums).encode())
    contents = [b"" if version is None else version.content for version in (old, new)]
    head = b"\n".join(lines) + b"\n"
    if contents[0] == contents[1]:
        return head
    if all(version is None or version.text for version in (old, new)):
        names = (b"/dev/null" if old is None else before, b"/dev/null" if new is None else after)
        return head + b"".join(_hunks(contents[0], contents[1], *map(_ended, names)))
    return head + b"GIT binary patch\n" + _literal(contents[1]) + _literal(contents[0])


def _hunks(old: bytes, new: bytes, before: bytes, after: bytes) -> Iterator[bytes]:
    for line in diff_bytes(unified_diff, _lines(old), _lines(new), before, after):
        yield line
        if not line.endswith(b"\n"):
            yield b"\n\\ No newline at end of file\n"


def _lines(content: bytes) -> list[bytes]:
    # splitlines() would take a carriage return for an end, too.
    lines = [line + b"\n" for line in content.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _literal(content: bytes) -> bytes:
    """Content in git's way: compressed, in base 85, each line after a letter for its length."""
    packed = compress(content)
    lines = [b"literal %d\n" % len(content)]
    for at in range(0, len(packed), _LINE):
        piece = packed[at : at + _LINE]
        letter = len(piece) + (ord("A") - 1 if len(piece) <= 26 else ord("a") - 27)  # noqa: PLR2004 -- A-Z, then a-z
        lines.append(bytes([letter]) + b85encode(piece, pad=True) + b"\n")
    return b"".join(lines) + b"\n"


def _ended(name: bytes) -> bytes:
    # patch(1) and git take a name with a space to its end only when a tab follows.
    return name + b"\t" if b" " in name and not name.startswith(b'"') else name


_ESCAPES = {0x07: b"\\a", 0x08: b"\\b", 0x09: b"\\t", 0x0A: b"\\n", 0x0B: b"\\v", 0x0C: b"\\f", 0x0D: b"\\r"}
_ESCAPES |= {ord('"'): b'\\"', ord("\\"): b"\\\\"}


def _quoted(prefix: bytes, path: str) -> bytes:
    r"""A name as git writes it: in quotes with escapes of C, when it has bytes beyond printable ASCII."""
    raw = os.fsencode(path)
    # The range is that of printable ASCII.
    plain = all(0x20 <= byte < 0x7F and byte not in _ESCAPES for byte in raw)  # noqa: PLR2004
    if plain:
        return prefix + raw
    escaped = b"".join(
        _ESCAPES.get(byte) or (bytes([byte]) if 0x20 <= byte < 0x7F else b"\\%03o" % byte)  # noqa: PLR2004
        for byte in raw
    )
    return b'"' + prefix + escaped + b'"'
