"""What kernels differ in when they read marks. No version says so: :mod:`ovlctl.ops.kernel_habits` tries it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from ovlctl.kernel.bootcache import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    #: How a habit is asked for. Asking may take a mount, so it is put off until there is a mark that depends on it.
    Habits = Callable[["Habit"], Answer]


class Habit(StrEnum):
    """Something that some kernels do with marks and others do not.

    Where a habit is not known, what the newest kernels do is taken for the answer: all but the last two.

    Attributes:
        XATTR_WHITEOUTS: An empty regular file with the mark ``whiteout`` is a whiteout, and a directory with
            ``opaque=x`` holds such files (6.8, and 6.18, do so; 6.1 does not: both are nothing there).
        ESCAPES: Escaped marks are shown by the merged view, with one escape less, and copied up (6.18 does so; 6.1
            shows and copies none of them).
        METACOPY_VALUES: The value of ``metacopy`` is looked at, and one of one to three bytes is EIO (6.18 does so; for
            6.1 the mark is enough).
        REFUSES_FIRST: A redirect or ``metacopy`` on an object of the upper which the options do not follow is EPERM
            before the lowers are looked into, and one that leads from a lower to data-only layers is followed all the
            same (6.18 does so; 5.10 is silent where no lower has anything, and refuses the latter).
        ORIGIN_KINDS: A file or link of an upper whose ``origin`` leads to an object of another kind is EIO, with any
            options (5.10 does so; 6.18 looks away).
        LINK_MARKS: A fresh mount believes the mark ``nlink`` of a file that has one name in its lower, too. A kernel
            that does not takes the link count of the upper's file, in which the name in the index is one (6.18 does
            so, 7.3 does not). With nfs_export=on that are all files that were copied up, with index=on those whose
            lower lost its other names since.
    """

    XATTR_WHITEOUTS = "xattr-whiteouts"
    ESCAPES = "escapes"
    METACOPY_VALUES = "metacopy-values"
    REFUSES_FIRST = "refuses-first"
    ORIGIN_KINDS = "origin-kinds"
    LINK_MARKS = "link-marks"


def not_known(_habit: Habit) -> Answer:
    """The habits of no kernel in particular: of an image, or of another machine's."""
    return Answer.UNKNOWN
