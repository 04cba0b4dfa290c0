"""What an explanation says of a path: pure values, which every front end puts into its own words."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.kernel.bootcache import Answer
from ovlctl.ops.explain.terms import Data
from ovlctl.overlay.resolution import Outcome

if TYPE_CHECKING:
    from ovlctl.kernel.object_users import Use
    from ovlctl.ops.explain.terms import (
        Act,
        Because,
        DeviceOf,
        Donor,
        Ground,
        Known,
        LinkFate,
        Remark,
        Staleness,
        Stays,
        Through,
        Verdict,
    )
    from ovlctl.overlay.marks import HandleRecord
    from ovlctl.overlay.object_marks import Marks
    from ovlctl.overlay.resolution import Candidate, Place, Resolution, Unreadable
    from ovlctl.overlay.resolution import Verdict as Fate
    from ovlctl.overlay.tree import Attributes, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Hider:
    """Why a layer has no part in a directory on the way to a path.

    Attributes:
        path: The directory.
        verdict: What became of the layer's directory of that name.
        by: What is in its place, or ends the search before it: a whiteout, an opaque directory, a file, a redirect.
    """

    path: str
    verdict: Fate
    by: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerLook:
    """What one layer has at the path.

    Attributes:
        candidate: What it is and what became of it.
        marks: Its marks; None when there is nothing, or they could not be read.
        target: Where a symbolic link points.
        origin: The lower's object, of those at hand, that its mark ``origin`` names.
        errno: Why marks or target could not be read; 0 for nothing of the kind.
        of_index: Whether this is no layer but the index of the upper.
        hider: What hides the directory that it lies in, when that is why it does not count.
    """

    candidate: Candidate
    marks: Marks | None = None
    target: str | None = None
    origin: Place | None = None
    errno: int = 0
    of_index: bool = False
    hider: Hider | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """What stands on the way to the path, and is no directory.

    Attributes:
        resolution: Of that object, or of the name that does not exist.
        target: Where it points, when it is a symbolic link.
        instead: The path with its symbolic links replaced by what they lead to, as the kernel would follow them from
            the root of the merged view; None when they lead nowhere.
    """

    resolution: Resolution
    target: str | None = None
    instead: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InodeStory:
    """The numbers that an object goes by.

    Law 5: ``ino`` and ``dev`` are measured through the mount, predicted, or unknown, and ``known`` says which.

    Attributes:
        ino: st_ino of the merged object.
        dev: Its st_dev, when measured.
        known: How *ino* is known.
        predicted: What st_ino follows from the layers; None when that cannot be told.
        donor: Whose number it is.
        device_of: What st_dev is; None when it cannot be told.
        nlink: st_nlink of the merged object.
        after_copy_up: Whether *ino* stays with the first change; None when there is no such change to come.
        copy_up_because: Why.
        after_remount: Whether *ino*, after that change if it comes, is there again with the next mount.
        remount_because: Why.
        links: What becomes of its other names.
    """

    ino: int | None
    dev: int | None = None
    known: Known
    predicted: int | None = None
    donor: Donor
    device_of: DeviceOf | None
    nlink: int
    after_copy_up: Stays | None
    copy_up_because: Because | None
    after_remount: Stays
    remount_because: Because
    links: LinkFate


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one change would do to the upper, and what it would cost.

    Attributes:
        act: The change.
        errno: What the kernel would answer for reasons of the overlay; 0 when it would work. Permissions of whoever
            asks, quotas and full disks are not looked at.
        copies_object: Whether the object itself comes into the upper.
        data: What happens to its data.
        copies_bytes: Bytes that the kernel writes into the upper as data, in steps of at most a MiB that leave holes
            out; 0 where they are cloned; None when it cannot be told.
        at_most: No more than that many, where *copies_bytes* is None.
        reflink: Whether data are cloned instead of copied; NO where there are none to move.
        parents: The directories that come into the upper first, topmost first; of a rename those of the old name.
        whiteout: Whether a whiteout stays in the upper, at the old name.
        elsewhere_errno: Of a rename into another directory; *errno* is that of one within its directory.
        remarks: What else is to be said.
    """

    act: Act
    errno: int = 0
    copies_object: bool = False
    data: Data = Data.NONE
    copies_bytes: int | None = 0
    at_most: int | None = None
    reflink: Answer = Answer.NO
    parents: tuple[str, ...] = ()
    whiteout: bool = False
    elsewhere_errno: int = 0
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A process that has the file, or what it was copied from, open or mapped.

    Attributes:
        use: How.
        through: By the merged view, or directly in a layer.
        staleness: What follows from it.
    """

    use: Use
    through: Through
    staleness: Staleness


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Who would not see a change.

    Attributes:
        found: Them.
        unreadable: Processes that may not be looked into.
        root_sees_more: Whether somebody else may look into some of those.
    """

    found: tuple[User, ...]
    unreadable: tuple[int, ...]
    root_sees_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelWord:
    """The kernel's own answer through the mount, beside ours.

    Attributes:
        verdict: Whether both are the same.
        ground: By what.
        errno: What lstat(2) through the mount gave; None when it was not asked.
        attributes: What it said.
        record: Whose object the kernel says it is.
    """

    verdict: Verdict
    ground: Ground
    errno: int | None = None
    attributes: Attributes | None = None
    record: HandleRecord | None = None


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Everything about one path of a stack.

    Attributes:
        path: From the root of the merged view, without a leading slash; ``""`` is the root.
        resolution: The answer, and the rule that decided.
        layers: What each layer has, topmost first.
        obstacle: What stands on the way, when the path leads through something that is no directory.
        inode: Its numbers; None when it does not exist.
        on_change: What each change would cost, in the order of :class:`Act`; empty when it does not exist.
        users: Who would not see a change of a regular file; None for anything else, and where nobody asked.
        kernel: What the kernel itself says.
        upper_fs: Type of the upper's file system; None without an upper, and where that cannot be told.
    """

    path: str
    resolution: Resolution
    layers: tuple[LayerLook, ...]
    obstacle: Obstacle | None
    inode: InodeStory | None
    on_change: tuple[Cost, ...]
    users: Users | None
    kernel: KernelWord
    upper_fs: str | None = None

    @property
    def exists(self) -> bool | None:
        """Whether the kernel finds it; None when neither the layers nor a mount tell."""
        if self.resolution.outcome is not Outcome.UNKNOWN:
            return self.resolution.exists
        if self.kernel.attributes is not None:
            return True
        return False if self.kernel.errno in {errno.ENOENT, errno.ENOTDIR} else None

    @property
    def kind(self) -> Kind | None:
        """What it is, when it exists."""
        return self.resolution.kind

    @property
    def nowhere(self) -> bool:
        """Whether no layer has anything there, and nothing hides it."""
        linked = self.obstacle is not None and self.obstacle.target is not None
        some = any(look.candidate.present for look in self.layers)
        unknown = self.resolution.outcome is Outcome.UNKNOWN
        return not (self.resolution.exists or linked or some or unknown)

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """What had to be known and could not be read."""
        return self.resolution.unreadable

    @property
    def partial(self) -> bool:
        """Whether something could not be read, or marks that may matter could not be seen."""
        return (
            not self.resolution.certain
            or self.resolution.outcome is Outcome.UNKNOWN
            or any(look.errno for look in self.layers)
        )
