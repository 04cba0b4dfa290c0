"""Two objects of merged views compared: what differs, and how sure that is.

Law 5: equality of content is proved (both are one object, both are empty, or both were read), or it is taken from size
and modification time and said to be so. A different size proves different content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from ovlctl.overlay.change import Field
from ovlctl.overlay.marks import ESCAPE
from ovlctl.overlay.tree import Kind

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


def compare(above: Resolution, below: Resolution, followings: tuple[Following, Following], *, read: bool) -> Difference:
    """Compare two objects that exist and are of one kind.

    Args:
        above: The one that is asked about.
        below: The one it is compared with.
        followings: The settings of both, which decide which attributes are marks.
        read: Compare content by reading it where nothing else proves it.

    Raises:
        OSError: A link, an attribute or the content cannot be read.
    """
    one, other = above.attributes, below.attributes
    assert one is not None and other is not None, "both exist"  # noqa: S101, PT018 -- for the type checker
    fields, proved = _content(above, below, one, other, read=read)
    times = one.mtime_ns != other.mtime_ns
    if one.mode != other.mode:
        fields.append(Field.MODE)
    if (one.uid, one.gid) != (other.uid, other.gid):
        fields.append(Field.OWNER)
    if times and one.kind is not Kind.DIRECTORY:
        fields.append(Field.TIMES)
    fields += _attributes(above.stack[0], below.stack[0], followings)
    if one.kind is not Kind.DIRECTORY and above.nlink != below.nlink:
        fields.append(Field.LINKS)
    return Difference(tuple(fields), times, proved)


def _content(
    above: Resolution, below: Resolution, one: Attributes, other: Attributes, *, read: bool
) -> tuple[list[Field], bool | None]:
    if one.kind is Kind.FILE:
        equal, proved = _same_content(above, below, read=read)
        size = [] if one.size == other.size else [Field.SIZE]
        return ([*size] if equal else [Field.CONTENT, *size]), proved
    if one.kind is Kind.SYMLINK and _target(above.stack[0]) != _target(below.stack[0]):
        return [Field.TARGET], None
    if one.kind in _DEVICES and one.rdev != other.rdev:
        return [Field.DEVICE], None
    return [], None


def visible_attributes(place: Place, following: Following) -> dict[str, bytes]:
    """The extended attributes that the merged view shows of an object: without marks, escaped ones unescaped.

    Raises:
        OSError: They cannot be read.
    """
    names = place.layer.tree.xattr_names(place.path)
    shown: dict[str, bytes] = {}
    for name in names:
        value = None
        if not name.startswith(following.prefix) or name.startswith(following.prefix + ESCAPE):
            value = place.layer.tree.xattr(place.path, name)
        if value is not None:
            shown[name.replace(following.prefix + ESCAPE, following.prefix, 1)] = value
    return shown


def _attributes(above: Place, below: Place, followings: tuple[Following, Following]) -> list[Field]:
    one, other = visible_attributes(above, followings[0]), visible_attributes(below, followings[1])
    if one == other:
        return []
    differing = {name for name in (*one, *other) if one.get(name) != other.get(name)}
    acl = differing & _ACLS
    return [*([Field.XATTRS] if differing - acl else []), *([Field.ACL] if acl else [])]


def _same_content(above: Resolution, below: Resolution, *, read: bool) -> tuple[bool, bool]:
    # Of two files: whether their content is taken for equal, and whether that was proved.
    one, other = _data(above), _data(below)
    if one is not None and other is not None:
        if one.size != other.size:
            return False, True
        if one.size == 0 or _one_object(above.data, below.data, one, other):
            return True, True
        if read and above.data is not None and below.data is not None:
            return _read_alike(above.data, below.data), True
    times = [found.attributes.mtime_ns for found in (above, below) if found.attributes is not None]
    return one is not None and other is not None and times[0] == times[1], False


def _data(found: Resolution) -> Attributes | None:
    """Of the object that has the content: what a metadata-only file itself says of it may be wrong."""
    data = found.data
    if data is None or data is found.stack[0]:
        return found.attributes if data is not None else None
    return data.layer.tree.lstat(data.path)


def _one_object(here: Place | None, there: Place | None, one: Attributes, other: Attributes) -> bool:
    # Objects in memory have no number.
    return here == there or (one.ino != 0 and (one.dev, one.ino) == (other.dev, other.ino))


def _read_alike(one: Place, other: Place) -> bool:
    with one.layer.tree.open(one.path) as here, other.layer.tree.open(other.path) as there:
        while True:
            piece = here.read(_PIECE)
            if _exactly(there, len(piece) or 1) != piece:
                return False
            if not piece:
                return True


def _exactly(opened: BinaryIO, size: int) -> bytes:
    # An unbuffered file may give less than it has.
    pieces = bytearray()
    while len(pieces) < size and (piece := opened.read(size - len(pieces))):
        pieces += piece
    return bytes(pieces)


def _target(place: Place) -> str:
    return place.layer.tree.readlink(place.path)
