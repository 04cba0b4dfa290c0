"""The inode story: whose number an object has, and whether it keeps it.

Source: ovl_getattr(), ovl_map_dev_ino() and ovl_hash_bylower() in fs/overlayfs/inode.c. What is said here was seen on
ext4, xfs, btrfs and tmpfs, alone and in pairs (tests/ops/explain/test_inodes.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl.kernel.bootcache import Answer
from ovlctl.ops.explain.origins import Below, below, lost
from ovlctl.ops.explain.terms import Because, DeviceOf, Donor, Known, LinkFate, Stays
from ovlctl.ops.explain.values import InodeStory
from ovlctl.overlay.layers import Role
from ovlctl.overlay.options import Switch
from ovlctl.overlay.tree import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovlctl.ops.explain.file_systems import FileSystems
    from ovlctl.ops.explain.values import LayerLook
    from ovlctl.ops.reading import View
    from ovlctl.overlay.layers import Layer
    from ovlctl.overlay.resolution import Resolution
    from ovlctl.overlay.tree import Attributes

_NUMBER_BITS = 64
_Reason = tuple[Stays, Because]


def story(
    view: View, found: Resolution, looks: Sequence[LayerLook], seen: Attributes | None, file_systems: FileSystems
) -> InodeStory | None:
    """The numbers of *found*; None when it does not exist.

    Args:
        view: The stack.
        found: Resolved.
        looks: What each layer has there.
        seen: What lstat(2) through the mount says, when that is the same object.
        file_systems: The stack's.
    """
    if not found.exists or found.attributes is None:
        return None
    return _Story(view, found, looks, file_systems).told(seen)


class _Story:
    """One object's."""

    def __init__(self, view: View, found: Resolution, looks: Sequence[LayerLook], file_systems: FileSystems) -> None:
        self.view, self.found, self.file_systems = view, found, file_systems
        assert found.attributes is not None, "it exists"  # noqa: S101 -- for the type checker
        self.attributes = found.attributes
        self.layer: Layer = found.stack[0].layer
        self.in_upper = self.layer.role is Role.UPPER
        # The root of an upper is never taken for what lies below it: ovl_get_root().
        self.below: Below | None = below(view, found, looks) if self.in_upper and found.path else None
        # Why the kernel would not find it again, although we did.
        self.gone: Because | None = None
        if self.below is not None and not self.below.by_path:
            gone, why = self._lost(self.below.layer)
            self.gone = why if gone is Answer.YES else None
        marks = looks[0].marks if looks else None
        # It was copied up, or may have been where marks cannot be seen.
        self.may_be_copied = marks is None or not marks.readable or marks.origin_raw is not None
        self.is_directory = found.kind is Kind.DIRECTORY

    def told(self, seen: Attributes | None) -> InodeStory:
        donor, predicted, device_of = self._number()
        if donor is Donor.UNKNOWN and seen is not None:
            donor = Donor.UPPER if seen.ino == self.attributes.ino else Donor.LOWER
        after_copy_up = self._after_copy_up(donor)
        after_remount = self._after_remount(donor, predicted, seen)
        known = Known.MEASURED if seen is not None else Known.UNKNOWN if predicted is None else Known.PREDICTED
        return InodeStory(
            ino=predicted if seen is None else seen.ino,
            dev=None if seen is None else seen.dev,
            known=known,
            predicted=predicted,
            donor=donor,
            device_of=device_of,
            nlink=self.found.nlink if seen is None else seen.nlink,
            after_copy_up=None if after_copy_up is None else after_copy_up[0],
            copy_up_because=None if after_copy_up is None else after_copy_up[1],
            after_remount=after_remount[0],
            remount_because=after_remount[1],
            links=self._links(),
        )

    @property
    def _lends(self) -> bool:
        # Whether an object of the upper goes by the number of the lower's.
        if self.below is None or self.gone is not None:
            return False
        if self.view.subject.options.nfs_export is Switch.ON and not self.below.indexed:
            return False
        return self.below.indexed or self.is_directory or self.below.attributes.nlink == 1

    def _number(self) -> tuple[Donor, int | None, DeviceOf | None]:
        if not self.in_upper:
            return self._mapped(Donor.LOWER, self.layer, self.attributes.ino)
        if self.below is not None and self._lends:
            return self._mapped(Donor.LOWER, self.below.layer, self.below.attributes.ino)
        if self.below is None and self.may_be_copied and not self.is_directory and not self._certainly_lost:
            # Perhaps from something that we cannot open by its handle, and the kernel can.
            return Donor.UNKNOWN, None, None
        assert self.view.layers.upper is not None, "it is in there"  # noqa: S101 -- for the type checker
        return self._mapped(Donor.UPPER, self.view.layers.upper, self.attributes.ino)

    @property
    def _certainly_lost(self) -> bool:
        # As root we open handles as the kernel does, so that what we do not find it does not find.
        layers = self.view.layers.lowers
        return layers[0].tree.trusted or all(self._lost(layer)[0] is Answer.YES for layer in layers)

    def _lost(self, layer: Layer) -> tuple[Answer, Because]:
        return lost(self.view, layer, self.attributes.kind, self.file_systems)

    def _mapped(self, donor: Donor, layer: Layer, ino: int) -> tuple[Donor, int | None, DeviceOf | None]:
        # As ovl_map_dev_ino() does.
        one, mine = self.file_systems.one, self.file_systems.of(layer)
        if one is None or mine is None:
            return donor, None, None
        if one:
            return donor, ino, DeviceOf.OVERLAY
        if self.file_systems.xino and not self._too_big(ino):
            high = self.file_systems.number(mine) << (_NUMBER_BITS - self.file_systems.xino_bits + 1)
            return donor, ino | high, DeviceOf.OVERLAY
        if self.is_directory:
            return Donor.OWN, None, DeviceOf.OVERLAY
        return donor, ino, DeviceOf.PER_FILE_SYSTEM

    def _too_big(self, ino: int) -> bool:
        return bool(ino >> (_NUMBER_BITS - self.file_systems.xino_bits))

    def _after_copy_up(self, donor: Donor) -> _Reason | None:
        if self.in_upper or self.view.layers.upper is None:
            return None
        if donor is Donor.OWN:
            return self._passing
        if self.is_directory:
            return Stays.YES, Because.MERGED
        if self.attributes.nlink > 1 and not self._indexes:
            return Stays.NO, Because.HARD_LINK
        return Stays.YES, Because.INDEXED if self.attributes.nlink > 1 else Because.ORIGIN

    @property
    def _passing(self) -> _Reason:
        too_big = self.file_systems.xino
        return Stays.PERHAPS, Because.NUMBER_TOO_BIG if too_big else Because.DIRECTORY_WITHOUT_XINO

    @property
    def _indexes(self) -> bool:
        return self.file_systems.index or self.view.subject.options.nfs_export is Switch.ON

    def _after_remount(self, donor: Donor, predicted: int | None, seen: Attributes | None) -> _Reason:
        if donor is Donor.OWN:
            return self._passing
        if self.is_directory:
            return Stays.YES, self._own_reason(donor)
        if not self.in_upper:
            return self._copied_up_and_remounted()
        return self._remounted(donor, predicted, seen)

    def _own_reason(self, donor: Donor) -> Because:
        if not self.in_upper:
            return Because.LOWERS_OWN if self.view.layers.upper is None else Because.MERGED
        return Because.UPPERS_OWN if donor is Donor.UPPER else Because.MERGED

    def _copied_up_and_remounted(self) -> _Reason:
        if self.view.layers.upper is None:
            return Stays.YES, Because.LOWERS_OWN
        if self.attributes.nlink > 1:
            return (Stays.YES, Because.INDEXED) if self._indexes else (Stays.NO, Because.HARD_LINK)
        return _stays(*self._lost(self.layer))

    def _remounted(self, donor: Donor, predicted: int | None, seen: Attributes | None) -> _Reason:
        # Of a file that is in the upper already.
        own = self.attributes.ino
        if donor is Donor.UPPER:
            if seen is not None and predicted is not None and seen.ino != predicted:
                # The kernel remembers the copy-up; a new mount will not.
                return Stays.NO, self.gone or Because.ORIGIN_UNKNOWN
            return Stays.YES, Because.UPPERS_OWN
        if self.below is None:
            shows_own = seen is not None and seen.ino == own
            return (Stays.YES, Because.UPPERS_OWN) if shows_own else (Stays.UNKNOWN, Because.ORIGIN_UNKNOWN)
        if self.below.by_path:
            return Stays.YES, Because.INDEXED if self.below.indexed else Because.MERGED
        return _stays(*self._lost(self.below.layer))

    def _links(self) -> LinkFate:
        if self.is_directory or self.found.nlink < 2:  # noqa: PLR2004 -- one name is no hard link
            return LinkFate.SINGLE
        if self.in_upper or self.view.layers.upper is None:
            return LinkFate.NONE_TO_COME
        return LinkFate.KEPT if self._indexes else LinkFate.BROKEN


def _stays(gone: Answer, why: Because) -> _Reason:
    return {Answer.YES: Stays.NO, Answer.NO: Stays.YES, Answer.UNKNOWN: Stays.UNKNOWN}[gone], why
