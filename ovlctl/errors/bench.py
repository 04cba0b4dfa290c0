"""The benchmark: OVL-E080 to E086."""

from __future__ import annotations

from ovlctl.errors.base import UnsupportedError, UsageError


class NotEnoughSpace(UnsupportedError):
    """The run would not fit on the file system."""

    code = "OVL-E080"


class ToolMissing(UnsupportedError):
    """A program that the run needs, such as mkfs.xfs, is not installed."""

    code = "OVL-E081"


class UnlikeRuns(UsageError):
    """Two results were measured under different conditions."""

    code = "OVL-E082"


class NoCopyUp(UnsupportedError):
    """A sample that should have copied up did not; its time means nothing."""

    code = "OVL-E083"


class ResultUnreadable(UsageError):
    """A file is not a result of bench-copyup."""

    code = "OVL-E084"


class RunTooLong(UsageError):
    """The run as asked would take far longer than allowed."""

    code = "OVL-E086"
