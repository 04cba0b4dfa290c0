"""All marks of one object of a layer, read through the Tree port.

The resolver reads only the marks that its next step depends on; this is for whoever shows or checks them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.kernel.bootcache import Answer
from ovlctl.overlay.habits import Habit, not_known
from ovlctl.overlay.marks import (
    ESCAPE,
    HandleRecord,
    Mark,
    Metacopy,
    Opaque,
    Prefix,
    Redirect,
    Whiteout,
    decode_handle,
    decode_metacopy,
    decode_opaque,
    decode_redirect,
)
from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.overlay.habits import Habits
    from ovlctl.overlay.tree import Attributes, Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What overlayfs recorded on one object. None or empty: no such mark.

    A mark on the wrong kind of object (``opaque`` on a file, ``metacopy`` on a directory) is shown all the same: the
    kernel ignores it.

    Attributes:
        readable: False when marks are in trusted.* and cannot be seen: then only ``whiteout`` DEVICE is certain.
        whiteout: Set only for what the kernel takes for one: a device 0:0, or an *empty* file with the mark, where it
            reads that.
        whiteout_mark: Whether the mark ``whiteout`` is there, on whatever object.
        origin: What it was copied up from.
        origin_raw: The value of ``origin``, also when it cannot be decoded.
        nlink: Such as ``U+0``: how the merged link count follows from the upper's or the lower's.
        protattr: Letters of inode flags that could not be set on the upper: ``a`` append, ``i`` immutable.
        upper: Of an index entry: the upper object it stands for.
        escaped: Marks of an overlay on top of this one, by name without this one's prefix: ``overlay.opaque``.
        unknown: Names of marks that are none of overlayfs's own.
        unread: Names of marks that newer kernels read and this one does not: ``whiteout``, ``opaque`` of the value x,
            escaped ones, and ``metacopy``, of which only the value does not count.
    """

    readable: bool = True
    whiteout: Whiteout | None = None
    whiteout_mark: bool = False
    opaque: Opaque | None = None
    redirect: Redirect | None = None
    metacopy: Metacopy | None = None
    origin: HandleRecord | None = None
    origin_raw: bytes | None = None
    impure: bool = False
    nlink: bytes | None = None
    uuid: bytes | None = None
    protattr: bytes | None = None
    upper: HandleRecord | None = None
    escaped: tuple[tuple[str, bytes], ...] = ()
    unknown: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Whether there is a mark at all."""
        return self != Marks(readable=self.readable)


def read_marks(tree: Tree, path: str, attributes: Attributes, prefix: Prefix, habits: Habits = not_known) -> Marks:
    """The marks of *path*, whose *attributes* are known.

    Args:
        tree: The layer.
        path: In the layer.
        attributes: From :meth:`Tree.lstat`.
        prefix: Where the stack keeps its marks.
        habits: Those of the kernel that is to read them.

    Raises:
        OSError: The attributes cannot be read (EACCES: user.* attributes need read permission).
    """
    own = [name for name in tree.xattr_names(path) if name.startswith(prefix)]
    found = {name.removeprefix(prefix): value for name in own if (value := tree.xattr(path, name)) is not None}
    return decode_marks(found, attributes, readable=prefix is Prefix.USER or tree.trusted, habits=habits)


def decode_marks(
    found: dict[str, bytes], attributes: Attributes, *, readable: bool = True, habits: Habits = not_known
) -> Marks:
    """The marks among extended attributes, given by name without the prefix."""
    unread = tuple(sorted(_unread(found, habits)))
    values = {mark: found.get(mark) for mark in Mark}
    origin, upper = values[Mark.ORIGIN], values[Mark.UPPER]
    opaque, redirect, metacopy = values[Mark.OPAQUE], values[Mark.REDIRECT], values[Mark.METACOPY]
    escaped = tuple(sorted((name, value) for name, value in found.items() if name.startswith(ESCAPE)))
    return Marks(
        readable=readable,
        whiteout=whiteout(attributes, marked=Mark.WHITEOUT in found and Mark.WHITEOUT not in unread),
        whiteout_mark=Mark.WHITEOUT in found,
        opaque=None if opaque is None else decode_opaque(opaque),
        redirect=None if redirect is None else decode_redirect(redirect),
        metacopy=None if metacopy is None else decode_metacopy(metacopy),
        origin=None if origin is None else decode_handle(origin),
        origin_raw=origin,
        impure=Mark.IMPURE in found,
        nlink=values[Mark.NLINK],
        uuid=values[Mark.UUID],
        protattr=values[Mark.PROTATTR],
        upper=None if upper is None else decode_handle(upper),
        escaped=escaped,
        unknown=tuple(sorted(name for name in found if name not in values and not name.startswith(ESCAPE))),
        unread=unread,
    )


def _unread(found: dict[str, bytes], habits: Habits) -> Iterator[str]:
    opaque = found.get(Mark.OPAQUE)
    holding = opaque is not None and decode_opaque(opaque) is Opaque.WHITEOUTS
    if (holding or Mark.WHITEOUT in found) and habits(Habit.XATTR_WHITEOUTS) is Answer.NO:
        yield from [Mark.OPAQUE] if holding else []
        yield from [Mark.WHITEOUT] if Mark.WHITEOUT in found else []
    if found.get(Mark.METACOPY) and habits(Habit.METACOPY_VALUES) is Answer.NO:
        yield Mark.METACOPY
    escaped = [name for name in found if name.startswith(ESCAPE)]
    if escaped and habits(Habit.ESCAPES) is Answer.NO:
        yield from escaped


def whiteout(attributes: Attributes, *, marked: bool) -> Whiteout | None:
    """Whether an object is a whiteout: a character device 0:0, or an empty regular file that is *marked* as one."""
    if attributes.kind is Kind.CHARACTER and attributes.rdev == 0:
        return Whiteout.DEVICE
    return Whiteout.XATTR if marked and attributes.kind is Kind.FILE and attributes.size == 0 else None
