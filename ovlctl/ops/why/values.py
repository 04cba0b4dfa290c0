"""What an explanation is made of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ovlctl.errors import Note, OvlError
    from ovlctl.overlay.stack import Stack


class Kind(StrEnum):
    """What was given to be explained.

    COMMAND: a mount(8) command. FSTAB: a line of /etc/fstab. MOUNTED: a line that shows a live mount (mountinfo,
    /proc/mounts, findmnt, mount). TEXT: messages, with or without any of these among them.
    """

    COMMAND = "command"
    FSTAB = "fstab"
    MOUNTED = "mounted"
    TEXT = "text"


class Certainty(StrEnum):
    """How sure a finding is.

    CERTAIN: the text says so, or this machine was looked at and it is so. LIKELY: the text allows several causes.
    """

    CERTAIN = "certain"
    LIKELY = "likely"


class Verdict(StrEnum):
    """What the kernel does with a mount that has the problem."""

    REFUSES = "refuses"
    MOUNTS = "mounts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One of several possible causes.

    Attributes:
        cause: Its class.
        distinction: What would tell it from the others.
    """

    cause: type[OvlError]
    distinction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One cause.

    Attributes:
        error: The cause with its paths and the fix, in the words of what was given.
        certainty: How sure it is.
        evidence: The piece of text that says so; None when it was seen on this machine.
        verdict: What the kernel makes of it; None when it has happened already.
        candidates: For a likely one, all that it could be, the likeliest (which is *error*) first.
    """

    error: OvlError
    certainty: Certainty
    evidence: str | None = None
    verdict: Verdict | None = None
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A mount of an overlay as somebody wrote it down.

    Attributes:
        stack: Layers with the escapes of overlayfs undone, options as written.
        target: The mount point as written.
        data: The option string that mount(8) would pass to the kernel.
        read_only: Whether ``ro`` was asked for.
        makes_target: Whether mount(8) would make a missing target.
        by_root: Whether the command starts with sudo or the like.
        faults: What is wrong with the words themselves.
        cautions: What is legal and will surprise.
    """

    stack: Stack
    target: str | None
    data: str
    read_only: bool = False
    makes_target: bool = False
    by_root: bool = False
    faults: tuple[OvlError, ...] = ()
    cautions: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What was understood and what was found.

    Attributes:
        kind: What was given.
        line: The mount that it is about, when there is one.
        findings: The causes, the surest first.
        cautions: What is no cause and worth saying.
        here: Whether this machine was looked at; False when the mount is of another one and only words could be read.
    """

    kind: Kind
    line: Line | None
    findings: tuple[Finding, ...]
    cautions: tuple[Note, ...]
    here: bool = True
