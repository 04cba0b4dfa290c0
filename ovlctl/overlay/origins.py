"""What objects of an upper were copied up from, where the kernel refuses one that is of another kind.

Source: ovl_check_origin() in fs/overlayfs/namei.c of Linux 5.10, which is called for whatever is no directory, with any
options.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.kernel.bootcache import Answer
from ovlctl.overlay.habits import Habit
from ovlctl.overlay.layers import Role
from ovlctl.overlay.marks import Mark, Prefix, known_record
from ovlctl.overlay.resolution import Place
from ovlctl.overlay.tree import Kind, join

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.overlay.layers import Following, Layers
    from ovlctl.overlay.tree import Attributes

    Entry = tuple[str, Attributes | OSError, bool]


class Origins:
    """The marks ``origin`` of an upper.

    Args:
        layers: The stack's.
        following: The settings of the mount.
    """

    def __init__(self, layers: Layers, following: Following) -> None:
        self._following = following
        # They are followed into whatever layer is a lower.
        self._lowers = (*layers.lowers, *layers.data)

    def refused(self, place: Place, attributes: Attributes) -> bool:
        """Whether the kernel gives EIO for an object since its ``origin`` leads to one of another kind.

        Args:
            place: The object, in any layer.
            attributes: Of it.

        Raises:
            OSError: The mark cannot be read.
        """
        if place.layer.role is not Role.UPPER or attributes.kind is Kind.DIRECTORY or self._following.blind:
            return False
        tree, prefix = place.layer.tree, self._following.prefix
        if prefix is Prefix.TRUSTED and not tree.trusted:
            return False
        if self._following.habits(Habit.ORIGIN_KINDS) is not Answer.YES:
            return False
        record = known_record(tree.xattr(place.path, prefix + Mark.ORIGIN))
        if record is None:
            return False
        try:
            found = (layer.tree.by_handle(record.type, record.handle) for layer in self._lowers)
            origin = next((each for each in found if each is not None), None)
        except PermissionError:
            # Handles are for root to open.
            return False
        return origin is not None and origin.kind is not attributes.kind

    def may_be_refused(self, place: Place, attributes: Attributes) -> bool:
        """The same, for who asks the resolver then: also true where the mark cannot be read."""
        try:
            return self.refused(place, attributes)
        except OSError:
            return True

    def marking(self, directory: Place, entries: Iterator[Entry]) -> Iterator[Entry]:
        """What is in a directory of a layer, from :meth:`Tree.marked`, where what may be refused is marked, too."""
        if directory.layer.role is not Role.UPPER:
            yield from entries
            return
        for name, found, marked in entries:
            place = Place(directory.layer, join(directory.path, name))
            yield name, found, marked or (not isinstance(found, OSError) and self.may_be_refused(place, found))
