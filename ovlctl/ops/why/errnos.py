"""When a message has nothing but an errno: what it can mean at a mount of an overlay, and what tells them apart."""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.ops.why.values import Candidate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ovlctl.errors import OvlError

#: The likeliest first, by how often they stand behind reports of users.
CAUSES: Mapping[int, tuple[type[OvlError], ...]] = {
    errno.EINVAL: (
        errors.UpperOnOverlay,
        errors.WorkOnOtherMount,
        errors.UpperFileSystemPoor,
        errors.OptionUnknown,
        errors.UpperWithoutWork,
        errors.StackTooDeep,
        errors.OptionsTooLong,
        errors.LayerFileSystemRefused,
        errors.VolatileLeftover,
        errors.LowerdirMalformed,
        errors.WorkOverlapsUpper,
        errors.OneLowerWithoutUpper,
        errors.UpperReadOnly,
        errors.LowerHoldsMounts,
        errors.MetacopyNeedsRedirect,
        errors.TooManyLowers,
        errors.NotADirectory,
        errors.NoLower,
        errors.OnlyDataLowers,
        errors.UserxattrNeedsNofollow,
        errors.UserxattrExcludesMetacopy,
        errors.NfsExportNeedsIndex,
        errors.NfsExportExcludesMetacopy,
    ),
    errno.ELOOP: (errors.OverlappingLayers, errors.LayerTwice, errors.LowerIsUpper),
    errno.EBUSY: (errors.UpperInUse, errors.LowerInUse, errors.TargetOccupied),
    errno.ESTALE: (errors.UpperOfOtherLower, errors.IndexOfOtherUpper, errors.OriginMisleads),
    errno.ENOENT: (errors.PathMissing,),
    errno.ENOTDIR: (errors.NotADirectory,),
    errno.EACCES: (errors.AccessDenied, errors.MissingCapability),
    errno.EPERM: (errors.MissingCapability, errors.NeedsTrustedXattr),
    errno.ENODEV: (errors.OverlayMissing,),
    errno.EROFS: (errors.UpperReadOnly,),
    errno.ENOMEM: (errors.UpperWithoutWork,),  # before 6.5
    errno.EXDEV: (errors.SubvolumeMismatch,),
    errno.ENAMETOOLONG: (errors.OptionsTooLong,),
    errno.E2BIG: (errors.OptionsTooLong,),
}

#: What the words of a mount alone would have told.
DECIDED_BY_WORDS = frozenset(
    {
        errors.UpperWithoutWork,
        errors.OptionsTooLong,
        errors.LowerdirMalformed,
        errors.OneLowerWithoutUpper,
        errors.MetacopyNeedsRedirect,
        errors.TooManyLowers,
        errors.NoLower,
        errors.OnlyDataLowers,
        errors.UserxattrNeedsNofollow,
        errors.UserxattrExcludesMetacopy,
        errors.NfsExportNeedsIndex,
        errors.NfsExportExcludesMetacopy,
    }
)

#: How to find out whether it is this one.
_DISTINCTIONS: Mapping[type[OvlError], str] = {
    errors.UpperOnOverlay: "`findmnt -T UPPER` shows `overlay`; the kernel's log says `not supported as upperdir`",
    errors.WorkOnOtherMount: "`findmnt -T UPPER` and `findmnt -T WORK` show different lines",
    errors.UpperFileSystemPoor: "`findmnt -T UPPER` shows nfs, fuse, vfat, 9p, or xfs made with ftype=0",
    errors.OptionUnknown: "the kernel's log says `Unknown parameter` or `unrecognized mount option`",
    errors.UpperWithoutWork: "the options have `upperdir=` and no `workdir=`",
    errors.StackTooDeep: "`findmnt -T LOWER` shows an overlay whose lowers lie on an overlay",
    errors.OptionsTooLong: "the options have more than 4095 bytes; with mount(8) 2.39 or newer one value more than 255",
    errors.LayerFileSystemRefused: "the kernel's log says `not supported`: proc, autofs, or case folding",
    errors.VolatileLeftover: "WORK/work/incompat exists",
    errors.LowerdirMalformed: "`lowerdir=` begins or ends with a colon, or has three in a row",
    errors.WorkOverlapsUpper: "WORK is UPPER, or one lies inside the other",
    errors.OneLowerWithoutUpper: "there is one lower and no `upperdir=`",
    errors.UpperReadOnly: "`findmnt -T UPPER` shows `ro`",
    errors.LowerHoldsMounts: "it is a user namespace, and `findmnt -R LOWER` shows mounts below the lower",
    errors.MetacopyNeedsRedirect: "the options have `metacopy=on` and `redirect_dir=` something else than on",
    errors.TooManyLowers: "there are more than 500 lowers",
    errors.OverlappingLayers: "one of the layers lies inside another: compare `realpath` of each",
    errors.LayerTwice: "`realpath` of two lowers is the same; an image with a layer twice does that",
    errors.LowerIsUpper: "`realpath` of a lower is that of the upper or the work directory",
    errors.UpperInUse: "the kernel's log says `upperdir is in-use`; `ovlctl who UPPER` names the other overlay",
    errors.LowerInUse: "the kernel's log says `lowerdir is in-use`; `ovlctl who LOWER` names the other overlay",
    errors.TargetOccupied: "`findmnt TARGET` shows something mounted",
    errors.UpperOfOtherLower: "the kernel's log says `failed to verify upper root origin`",
    errors.IndexOfOtherUpper: "the kernel's log says `failed to verify index dir`; WORK/index exists",
    errors.OriginMisleads: "it is a name within the merged view, not the mount; the log says `failed to get inode`",
    errors.MissingCapability: "`id -u` is not 0, or the container lacks CAP_SYS_ADMIN (`capsh --print`)",
    errors.NeedsTrustedXattr: "it is a user namespace, and the options have metacopy, redirect_dir or verity",
    errors.AccessDenied: "`namei -l PATH` shows a directory that may not be searched, or SELinux logged a denial",
    errors.OverlayMissing: "`grep overlay /proc/filesystems` prints nothing",
    errors.PathMissing: "`ls -ld` of a layer or the target fails",
    errors.BadUsage: "the command has no `-t overlay`",
    errors.SubvolumeMismatch: "upper and work are in different btrfs subvolumes: `stat -c %d` of them differs",
    errors.NotADirectory: "`stat -c %F` of a layer or the target is no directory",
    errors.NoLower: "there is no `lowerdir=`",
    errors.OnlyDataLowers: "`lowerdir=` begins with `::`, or there are `datadir+=` only",
    errors.UserxattrNeedsNofollow: "the options have `userxattr` and `redirect_dir=` something else than nofollow",
    errors.UserxattrExcludesMetacopy: "the options have `userxattr` and `metacopy=on`",
    errors.NfsExportNeedsIndex: "the options have `nfs_export=on` and `index=off`",
    errors.NfsExportExcludesMetacopy: "the options have `nfs_export=on` and `metacopy=on`",
    errors.WeakerThanAsked: "the mount is there, and `findmnt` shows less than was asked for",
}

_NUMBER = re.compile(r"(?:errno[ =:]{1,3}|os error |Os \{ code: |\[Errno |err=-?)(\d{1,3})\b", re.IGNORECASE)
_WORDS: Mapping[str, int] = {
    **{os.strerror(number).lower(): number for number in CAUSES},
    "stale nfs file handle": errno.ESTALE,
}
_SYMBOL = re.compile(r"\b(" + "|".join(errno.errorcode[number] for number in CAUSES) + r")\b")


def of_text(line: str) -> int | None:
    """The errno that a line speaks of: in words, as a symbol, or as a number the way Go, Rust and C print it."""
    low = line.lower()
    spoken = [(low.rfind(words), number) for words, number in _WORDS.items() if words in low]
    if spoken:
        # Wrapped errors end with the one that came first.
        return max(spoken)[1]
    symbol = _SYMBOL.search(line)
    if symbol is not None:
        return next(number for number in CAUSES if errno.errorcode[number] == symbol[1])
    number = _NUMBER.search(line)
    return int(number[1]) if number is not None and int(number[1]) in CAUSES else None


def candidates(causes: tuple[type[OvlError], ...]) -> tuple[Candidate, ...]:
    """*causes* with what would tell them apart."""
    return tuple(Candidate(cause=cause, distinction=_DISTINCTIONS.get(cause, "")) for cause in causes)
