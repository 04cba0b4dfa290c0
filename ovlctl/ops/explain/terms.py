"""The closed sets that an explanation speaks in."""

from __future__ import annotations

from enum import StrEnum


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
    UNKNOWN = "unknown"


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
    WORK_ELSEWHERE = "work-elsewhere"


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
