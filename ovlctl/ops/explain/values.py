"""What an explanation says of a path: pure values, which every front end puts into its own words."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ovlctl.kernel.bootcache import Answer
from ovlctl.overlay.resolution import Outcome

if TYPE_CHECKING:
    from ovlctl.kernel.object_users import Use
    from ovlctl.overlay.marks import HandleRecord
    from ovlctl.overlay.object_marks import Marks
    from ovlctl.overlay.resolution import Candidate, Place, Resolution, Unreadable
    from ovlctl.overlay.tree import Attributes, Kind


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
    """

    candidate: Candidate
    marks: Marks | None = None
    target: str | None = None
    origin: Place | None = None
    errno: int = 0
    of_index: bool = False


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


class Known(StrEnum):
    """Where a number comes from."""

    MEASURED = "measured"
    PREDICTED = "predicted"
    UNKNOWN = "unknown"


class Donor(StrEnum):
    """Whose inode number a merged object has.

    ``OWN`` is one that the overlay makes up while the object is in use.
    """

    UPPER = "upper"
    LOWER = "lower"
    OWN = "own"


class DeviceOf(StrEnum):
    """What st_dev of a merged object is: the overlay's own, or a pseudo device per file system of the layers."""

    OVERLAY = "overlay"
    PER_FILE_SYSTEM = "per-file-system"


class Stays(StrEnum):
    """Whether a number stays; ``PERHAPS``: only as long as the kernel remembers the object."""

    YES = "yes"
    NO = "no"
    PERHAPS = "perhaps"
    UNKNOWN = "unknown"


class Because(StrEnum):
    """Why a number stays or changes.

    ``ORIGIN``: the upper's file keeps the handle of what it was copied from. ``UPPERS_OWN``: it is the upper's number
    already. ``MERGED``: the directory below is found by its path. ``HARD_LINK``: without an index a copied-up name of
    several becomes a file of its own.
    """

    ORIGIN = "origin"
    UPPERS_OWN = "uppers-own"
    LOWERS_OWN = "lowers-own"
    MERGED = "merged"
    INDEXED = "indexed"
    HARD_LINK = "hard-link"
    DIRECTORY_WITHOUT_XINO = "directory-without-xino"
    NUMBER_TOO_BIG = "number-too-big"
    NO_HANDLES = "no-handles"
    NO_UUID = "no-uuid"
    SAME_UUID = "same-uuid"
    NO_RIGHT_TO_HANDLES = "no-right-to-handles"
    NO_MARK_POSSIBLE = "no-mark-possible"
    ORIGIN_UNKNOWN = "origin-unknown"
    FILE_SYSTEM_UNKNOWN = "file-system-unknown"


class LinkFate(StrEnum):
    """What the first change does to the other names of a hard link."""

    SINGLE = "single"
    KEPT = "kept"
    BROKEN = "broken"
    NONE_TO_COME = "none-to-come"


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


class Act(StrEnum):
    """A change: opening for writing, changing metadata, renaming, removing."""

    WRITE = "write"
    CHMOD = "chmod"
    RENAME = "rename"
    UNLINK = "unlink"


class Data(StrEnum):
    """What happens to the data of a file.

    ``METADATA``: the upper gets a file without data, which stay below.
    """

    NONE = "none"
    COPIED = "copied"
    CLONED = "cloned"
    METADATA = "metadata"


class Remark(StrEnum):
    """What has to be known about a change."""

    READ_ONLY = "read-only"
    IN_UPPER = "in-upper"
    DATA_ONLY_MISSING = "data-only-missing"
    LINKED_FROM_INDEX = "linked-from-index"
    COPIED_FOR_THE_INDEX = "copied-for-the-index"
    FOLLOWS_LINK = "follows-link"
    COPIES_LINK = "copies-link"
    IS_DIRECTORY = "is-directory"
    IS_ROOT = "is-root"
    OPENS_NO_LAYER = "opens-no-layer"
    NOT_EMPTY = "not-empty"
    NEEDS_REDIRECT_DIR = "needs-redirect-dir"
    REDIRECT_TOO_LONG = "redirect-too-long"
    NO_DATA = "no-data"
    BREAKS_LINK = "breaks-link"
    WITHOUT_METACOPY = "without-metacopy"
    UNREADABLE = "unreadable"
    PERHAPS_NOT_EMPTY = "perhaps-not-empty"


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


class Through(StrEnum):
    """Which way a process has come to a file."""

    MERGED = "merged"
    LAYER = "layer"


class Staleness(StrEnum):
    """What a process that has a file mapped or open sees of changes.

    ``WILL_MISS``: it will not see the first change. ``MAY_MISS``: it does not see what was changed, if it came before
    the copy-up. ``MISSES``: its pages are those of the file that was copied up. ``NEVER``: it has the layer's own file,
    and never sees what happens in the upper. ``BLOCKS``: it runs the file as its program, and as long as it does the
    file cannot be opened for writing (ETXTBSY).
    """

    WILL_MISS = "will-miss"
    MAY_MISS = "may-miss"
    MISSES = "misses"
    NEVER = "never"
    BLOCKS = "blocks"


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
    """

    found: tuple[User, ...]
    unreadable: tuple[int, ...]


class Verdict(StrEnum):
    """What comparing with the kernel gave."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    NOT_CHECKABLE = "not-checkable"


class Ground(StrEnum):
    """What a verdict rests on, or why there is none."""

    HANDLE = "handle"
    ABSENCE = "absence"
    ERROR = "error"
    NOT_MOUNTED = "not-mounted"
    MOUNTED_OVER = "mounted-over"
    THROUGH_LINK = "through-link"
    NOT_REACHABLE = "not-reachable"
    NO_ANSWER = "no-answer"
    NO_HANDLES = "no-handles"
    CHANGING = "changing"
    NOT_CERTAIN = "not-certain"
    UNSEEN_MARKS = "unseen-marks"
    OTHER_OBJECT = "other-object"
    OTHER_OUTCOME = "other-outcome"
    OTHER_KIND = "other-kind"
    OTHER_SIZE = "other-size"


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
        users: Who would not see a change of a regular file; None for anything else.
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
