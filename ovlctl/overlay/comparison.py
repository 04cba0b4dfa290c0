"""Two objects of merged views compared: what differs, and how sure that is.

Law 5: equality of content is proved (both are one object, both are empty, or both were read), or it is taken from size
and modification time and said to be so. A different size proves different content.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Self

from ovlctl.kernel.bootcache import Answer
from ovlctl.overlay.change import Field
from ovlctl.overlay.habits import Habit
from ovlctl.overlay.marks import ESCAPE, Prefix
from ovlctl.overlay.tree import Kind, is_hole

if TYPE_CHECKING:
    from ovlctl.overlay.layers import Following
    from ovlctl.overlay.resolution import Place, Resolution
    from ovlctl.overlay.tree import Attributes

_ACLS = {"system.posix_acl_access", "system.posix_acl_default"}
_DEVICES = {Kind.CHARACTER, Kind.BLOCK}
_PIECE = 1 << 20


class Difference(NamedTuple):
    """What differs between two objects of one kind.

    Attributes:
        fields: What; without ``TIMES`` of directories, which is in *times*.
        times: Whether the modification times differ.
        proved: See :class:`~ovlctl.overlay.change.Change`.
    """

    fields: tuple[Field, ...]
    times: bool
    proved: bool | None


class Object(NamedTuple):
    """One object of a merged view, as far as it is compared.

    Attributes:
        place: The object that gives type, mode, owner, times and extended attributes.
        nlink: st_nlink through the merge.
        data: Where its content is; None when it has none.
        xattr_names: Those of *place*, when they are known.
    """

    place: Place
    attributes: Attributes
    nlink: int
    data: Place | None
    xattr_names: tuple[str, ...] | None = None

    @classmethod
    def of(cls, found: Resolution) -> Self:
        """Of something that exists."""
        assert found.attributes is not None, "it exists"  # noqa: S101 -- for the type checker
        return cls(found.stack[0], found.attributes, found.nlink, found.data)


def compare(above: Object, below: Object, followings: tuple[Following, Following], *, read: bool) -> Difference:
    """Compare two objects of one kind.

    Args:
        above: The one that is asked about.
        below: The one it is compared with.
        followings: The settings of both, which decide which attributes are marks.
        read: Compare content by reading it where nothing else proves it.

    Raises:
        OSError: A link, an attribute or the content cannot be read.
    """
    one, other = above.attributes, below.attributes
    fields, proved = _content(above, below, followings, read=read)
    times = one.mtime_ns != other.mtime_ns
    if one.mode != other.mode:
        fields.append(Field.MODE)
    if one.uid != other.uid or one.gid != other.gid:
        fields.append(Field.OWNER)
    if times and one.kind is not Kind.DIRECTORY:
        fields.append(Field.TIMES)
    fields += _attributes(above, below, followings)
    if above.nlink != below.nlink and one.kind is not Kind.DIRECTORY:
        fields.append(Field.LINKS)
    return Difference(tuple(fields), times, proved)


def _content(
    above: Object, below: Object, followings: tuple[Following, Following], *, read: bool
) -> tuple[list[Field], bool | None]:
    one, other = above.attributes, below.attributes
    if one.kind is Kind.FILE:
        equal, proved = _same_content(above, below, followings, read=read)
        size = [] if one.size == other.size else [Field.SIZE]
        return (size if equal else [Field.CONTENT, *size]), proved
    if one.kind is Kind.SYMLINK and _target(above.place) != _target(below.place):
        return [Field.TARGET], None
    if one.kind in _DEVICES and one.rdev != other.rdev:
        return [Field.DEVICE], None
    return [], None


def visible_attributes(place: Place, following: Following, names: tuple[str, ...] | None = None) -> dict[str, bytes]:
    """The extended attributes that the merged view shows of an object: without marks, escaped ones unescaped.

    Law: the result is what listxattr(2) and getxattr(2) give through a mount.

    Args:
        place: The object.
        following: The settings of the mount.
        names: Of its attributes, when they are known.

    Raises:
        OSError: They cannot be read.
    """
    shown: dict[str, bytes] = {}
    for name in place.layer.tree.xattr_names(place.path) if names is None else names:
        seen = _seen_as(name, following) if name.startswith(following.prefix) else name
        value = None if seen is None else place.layer.tree.xattr(place.path, name)
        if seen is not None and value is not None:
            shown[seen] = value
    return shown


def _seen_as(mark: str, following: Following) -> str | None:
    # ovl_can_list() and ovl_xattr_escape_name() in fs/overlayfs/xattrs.c.
    escaped = following.prefix + ESCAPE
    if not mark.startswith(escaped) or following.habits(Habit.ESCAPES) is Answer.NO:
        return None
    return following.prefix + mark.removeprefix(escaped)


def _attributes(above: Object, below: Object, followings: tuple[Following, Following]) -> list[Field]:
    one = visible_attributes(above.place, followings[0], above.xattr_names)
    other = visible_attributes(below.place, followings[1], below.xattr_names)
    if one == other:
        return []
    differing = {name for name in (*one, *other) if one.get(name) != other.get(name)}
    acl = differing & _ACLS
    return [*([Field.XATTRS] if differing - acl else []), *([Field.ACL] if acl else [])]


def _same_content(
    above: Object, below: Object, followings: tuple[Following, Following], *, read: bool
) -> tuple[bool, bool]:
    # Of two files: whether their content is taken for equal, and whether that was proved.
    one, other = _data(above), _data(below)
    if one is None or other is None or above.data is None or below.data is None:
        return False, False
    if one.size != other.size:
        return False, True
    if one.size == 0 or _one_object(above.data, below.data, one, other):
        return True, True
    if read:
        return _read_alike(above.data, below.data, [*map(_unseen, (above.data, below.data), followings)]), True
    return above.attributes.mtime_ns == below.attributes.mtime_ns, False


def _data(found: Object) -> Attributes | None:
    """Of the object that has the content: what a metadata-only file itself says of it may be wrong."""
    data = found.data
    if data is None or data is found.place:
        return found.attributes if data is not None else None
    return data.layer.tree.lstat(data.path)


def _one_object(here: Place, there: Place, one: Attributes, other: Attributes) -> bool:
    # Objects in memory have no number.
    return here == there or (one.ino != 0 and (one.dev, one.ino) == (other.dev, other.ino))


def _unseen(place: Place, following: Following) -> bool:
    # Whether it may have a mark that this process cannot see.
    return following.prefix is Prefix.TRUSTED and not following.blind and not place.layer.tree.trusted


def _read_alike(one: Place, other: Place, unseen: list[bool]) -> bool:
    # Of one size. Where both have a hole nothing is read: a file may be a hole of 8 EiB.
    with one.layer.tree.open(one.path) as here, other.layer.tree.open(other.path) as there:
        if (unseen[0] and is_hole(here)) or (unseen[1] and is_hole(there)):
            raise PermissionError(errno.EACCES, "only root sees whether its content is elsewhere")
        at = 0
        while True:
            starts = [start for opened in (here, there) if (start := _next_data(opened, at)) is not None]
            if not starts:
                return True
            at = min(starts)
            here.seek(at)
            there.seek(at)
            piece = here.read(_PIECE)
            if _exactly(there, len(piece) or 1) != piece:
                return False
            if not piece:
                return True
            at += len(piece)


def _next_data(opened: BinaryIO, at: int) -> int | None:
    """Where data go on; None for a hole to the end. A sparse file of many exabytes has little to read."""
    try:
        return os.lseek(opened.fileno(), at, os.SEEK_DATA)
    except OSError as error:
        # No file of the kernel's, or a file system that knows no holes: all may be data.
        return None if error.errno == errno.ENXIO else at


def _exactly(opened: BinaryIO, size: int) -> bytes:
    # An unbuffered file may give less than it has.
    pieces = bytearray()
    while len(pieces) < size and (piece := opened.read(size - len(pieces))):
        pieces += piece
    return bytes(pieces)


def _target(place: Place) -> str:
    return place.layer.tree.readlink(place.path)
