"""The closed sets that the benchmark speaks in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Operation(StrEnum):
    """What is done first to a file that only a lower has."""

    WRITE = "write"
    TRUNCATE = "truncate"
    APPEND = "append"
    CHMOD = "chmod"
    CHOWN = "chown"
    SETXATTR = "setxattr"
    UTIME = "utime"
    LINK = "link"
    RENAME = "rename"
    UNLINK = "unlink"
    MMAP = "mmap"

    @property
    def opens(self) -> bool:
        """Whether the file is opened and written; the others are one system call on its name."""
        return self in {Operation.WRITE, Operation.TRUNCATE, Operation.APPEND, Operation.MMAP}


class Cache(StrEnum):
    """Whether the lower file's data is in the page cache when the clock starts."""

    WARM = "warm"
    COLD = "cold"


class Content(StrEnum):
    """What the files hold: incompressible bytes, zeros that take blocks, or a hole of the full size."""

    RANDOM = "random"
    ZEROS = "zeros"
    SPARSE = "sparse"


class Privilege(StrEnum):
    """How the run may mount."""

    ROOT = "root"
    USER_NAMESPACE = "user namespace"


class DataPath(StrEnum):
    """What the kernel did with the file's data, found out after the clock stopped.

    COPIED: blocks of its own. CLONED: extents shared with the lower (reflink). METADATA: a metacopy file without
    data. NONE: no data to move (truncated, a file that is one hole, or
    only a whiteout).
    """

    COPIED = "copied"
    CLONED = "cloned"
    METADATA = "metadata only"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Settings:
    """Option names and values in a fixed order; an object in JSON."""

    pairs: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return ",".join(f"{key}={value}" for key, value in self.pairs)

    def get(self, name: str) -> str | None:
        """The value of *name*, or None."""
        return dict(self.pairs).get(name)
