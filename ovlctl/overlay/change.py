"""What an upper does to the lowers at a path, as values: named tuples, because hundreds of thousands are made."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ovlctl.overlay.resolution import Place
    from ovlctl.overlay.tree import Kind


class ChangeKind(StrEnum):
    """What became of a path.

    ``ADDED`` and ``DELETED`` say that one side has nothing there. ``MODIFIED`` is other content (of a file, a symbolic
    link or a device), ``METADATA`` the same content with other attributes. ``REPLACED`` is another type, or a
    directory that shows nothing of the one below. ``RENAMED`` was somewhere else below, as a redirect says.
    ``LINKED`` is a new name of a file that has another one. ``UNCHANGED`` was copied up and is equal to what it hides.
    """

    ADDED = "added"
    MODIFIED = "modified"
    METADATA = "metadata"
    DELETED = "deleted"
    REPLACED = "replaced"
    RENAMED = "renamed"
    LINKED = "linked"
    UNCHANGED = "copied-up-unchanged"


class Field(StrEnum):
    """What differs: ``TIMES`` is the modification time, ``LINKS`` the number of names."""

    KIND = "kind"
    CONTENT = "content"
    SIZE = "size"
    TARGET = "target"
    DEVICE = "device"
    MODE = "mode"
    OWNER = "owner"
    TIMES = "times"
    XATTRS = "xattrs"
    ACL = "acl"
    LINKS = "links"


class Change(NamedTuple):
    """One changed path.

    Attributes:
        path: From the root of the merged view.
        change: What became of it.
        kind: What it is; of something deleted, what it was.
        fields: What differs, where both sides have it.
        bytes: Size of a regular file, of a deleted one the size it had; None for all else.
        old_path: Where it was (RENAMED), or another name of the file (LINKED).
        proved: Whether equal content was proved by reading it, or differing content by reading or by size. False: it
            is taken from size and time. None where content was not in question.
        above: The object that is seen now; None for what was deleted.
        below: The object that it is compared with; None for what was added.
    """

    path: str
    change: ChangeKind
    kind: Kind
    fields: tuple[Field, ...] = ()
    bytes: int | None = None
    old_path: str | None = None
    proved: bool | None = None
    above: Place | None = None
    below: Place | None = None

    @property
    def differs(self) -> bool:
        """Whether something is different at all."""
        return self.change is not ChangeKind.UNCHANGED
