"""Whether a directory can hold a fresh upper and its work, and whether it can be a lower.

An upper is called usable when what a file system must have for a merged view without flaws is there: a mount that is
writable, files that can be changed and deleted, directories that can be replaced. What it merely lacks in speed or in
extras is a loss, no obstacle. Causes come in the order in which the kernel meets them.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.errors import Note, literal
from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.inode_flags import FS_FL
from ovlctl.ops.doctor.catalogue import finding
from ovlctl.ops.doctor.values import Ability
from ovlctl.ops.preflight import kernel_limits, upper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.kernel.probes import DirectoryFeatures
    from ovlctl.ops.doctor.values import Finding, Reply
    from ovlctl.ops.preflight.places import Place

#: Refusals that say nothing about the file system but that it is full.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
#: File systems whose own way to compare names overlayfs refuses (ovl_dentry_weird); for kernels that cannot be asked.
_WEIRD = frozenset({"vfat", "msdos", "exfat", "hfs", "hfsplus", "hpfs", "affs", "adfs", "efivarfs", "autofs"})
#: File systems that no remount makes writable (an overlay that is read-only has no upper).
_NEVER_WRITABLE = frozenset({"overlay", "squashfs", "erofs", "iso9660", "cramfs", "romfs"})

MORE_BYTES = "make room: `df` shows how full it is"
MORE_INODES = "remove files: `df -i` shows how many there are"


@dataclass(frozen=True, slots=True, kw_only=True)
class Untried:
    """Why nothing could be tried in a directory.

    Attributes:
        reason: In words.
        errno: What the kernel said, when it was asked.
    """

    reason: str
    errno: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was found out about a directory.

    Attributes:
        place: Where it is.
        tried: What could be tried in it, or why nothing could.
        free_bytes: Left for this user; None for no limit.
        free_inodes: As above.
        flags: Of its inode.
        local: No network or FUSE file system.
        depth: How many overlays stand on each other here.
        readable: Whether this user may list and enter it.
        trusted: Whether this user's mounts use trusted xattrs.
        as_upper: What the kernel says to it as an upper.
        as_lower: What the kernel says to it as a lower.
    """

    place: Place
    tried: DirectoryFeatures | Untried
    free_bytes: int | None
    free_inodes: int | None
    flags: FS_FL
    local: bool
    depth: int
    readable: bool
    trusted: bool
    as_upper: Reply
    as_lower: Reply


def verdicts(facts: Facts) -> Iterator[Finding]:
    """The two verdicts."""
    no = next(_against_upper(facts), None)
    if no is not None:
        yield finding(Ability.UPPER, Answer.NO, no, fix=writable_again(facts))
    else:
        unknown = _unknown(facts)
        words = "a fresh upper and work here would do" if unknown is None else unknown
        yield finding(Ability.UPPER, Answer.YES if unknown is None else Answer.UNKNOWN, words)
    no = next(_against_lower(facts), None)
    answer = Answer.YES if no is None else Answer.NO
    yield finding(Ability.LOWER, answer, "this directory, or one in it, would do" if no is None else no)


def writable_again(facts: Facts) -> Note | None:
    """What lets this user make something in the directory, when that is all it takes."""
    if not isinstance(facts.tried, Untried):
        full = dict(facts.tried.refusals).get("data") in FULL
        return Note(MORE_BYTES) if full else None
    if FS_FL.IMMUTABLE in facts.flags or FS_FL.APPEND in facts.flags:
        return Note("sudo chattr -i -a {}", (facts.place.path,))
    mount = facts.place.mount
    if (mount.read_only or mount.sb_read_only) and mount.fs_type not in _NEVER_WRITABLE:
        return Note("sudo mount -o remount,rw {}", (mount.mount_point,))
    if facts.tried.errno in {errno.EACCES, errno.EPERM} and os.geteuid() != 0:
        return Note("use a directory of your own, such as one in your home, or run as root")
    if facts.tried.errno in FULL:
        return Note(MORE_INODES if facts.free_inodes == 0 else MORE_BYTES)
    return None


def _against_any(facts: Facts, reply: Reply) -> Iterator[Note]:
    for problem in kernel_limits.refused_file_systems([facts.place]):
        yield problem.note
    if reply.answer is Answer.NO:
        yield Note(f"the kernel refuses it: {literal(reply.reason)}")
    elif reply.answer is Answer.UNKNOWN:
        if facts.place.mount.fs_type in _WEIRD:
            kind = literal(facts.place.mount.fs_type)
            yield Note(f"{kind} compares names in a way that overlayfs refuses")
        if FS_FL.CASEFOLD in facts.flags:
            yield Note("it folds case, which overlayfs refuses")
    elif FS_FL.CASEFOLD in facts.flags:
        # Kernels that take it look at the other layers, too.
        yield Note("it folds case: overlayfs takes it only with layers that all do so")


def _against_upper(facts: Facts) -> Iterator[Note]:
    for problem in upper.obstacles(facts.place, facts.place):
        yield problem.note
    yield from _against_any(facts, facts.as_upper)
    if isinstance(facts.tried, Untried):
        yield Note(literal(facts.tried.reason))
        return
    features = facts.tried
    prefix, kept = ("trusted", features.trusted_xattr) if facts.trusted else ("user", features.user_xattr)
    lacks = (
        (features.data, "files in it cannot be written"),
        (features.whiteout, "no whiteout can be made in it, so nothing could be deleted"),
        (kept, f"it keeps no {prefix}.overlay.* xattrs, so opaque directories would be lost"),
        (features.d_type, "its directories do not tell types, so deleted files would still be listed"),
    )
    for answer, words in lacks:
        if answer is Answer.NO:
            yield Note(words)
    if dict(features.refusals).get("data") in FULL:
        yield Note("it is full, so files cannot be written")
    if not facts.local and features.rename_whiteout is Answer.NO:
        yield Note("overlayfs takes no upper on a remote file system without RENAME_WHITEOUT")


def _unknown(facts: Facts) -> str | None:
    """What an upper must have and could not be found out."""
    features = facts.tried
    if isinstance(features, Untried):
        return None  # which speaks against it
    kept = features.trusted_xattr if facts.trusted else features.user_xattr
    asked = {"writing files": features.data, "whiteouts": features.whiteout, "xattrs": kept, "d_type": features.d_type}
    open_questions = [name for name, answer in asked.items() if answer is Answer.UNKNOWN]
    return f"not to be found out: {', '.join(open_questions)}" if open_questions else None


def _against_lower(facts: Facts) -> Iterator[Note]:
    if not facts.readable:
        yield Note("this user may not read it")
    yield from _against_any(facts, facts.as_lower)
    for problem in kernel_limits.nesting([facts.place]):
        yield problem.note
