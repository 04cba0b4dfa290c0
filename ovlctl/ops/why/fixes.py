"""What to do about a cause, in the words of mount(8) where ovlctl's own checks speak of ovlctl's options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ovlctl import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ovlctl.errors import OvlError

#: The fix for an error of ovlctl's checks; ``{0}`` and so on are its paths, in the order the check gives them.
_FOR_A_LINE: Mapping[type[OvlError], str] = {
    errors.UpperReadOnly: "`mount -o remount,rw {1}`, or take upperdir and workdir on a writable file system",
    errors.UpperOnOverlay: "take upperdir and workdir on ext4, xfs, btrfs or tmpfs: `mount -t tmpfs tmpfs DIR`, then "
    "`mkdir DIR/upper DIR/work`",
    errors.NoLower: "add `lowerdir=DIR` to the options",
    errors.OneLowerWithoutUpper: "add `upperdir=U,workdir=W`, or a second lower: `lowerdir={0}:DIR`",
    errors.OnlyDataLowers: "put an ordinary lower first: `lowerdir=DIR::DATA`",
    errors.UpperWithoutWork: "`mkdir {0}.work`, and add `workdir={0}.work`",
    errors.WorkWithoutUpper: "add `upperdir=DIR`, or leave out `workdir`",
    errors.WorkOnOtherMount: "`mkdir {0}.work`, and use it as `workdir`",
    errors.WorkOverlapsUpper: "`mkdir {1}.work`, and use it as `workdir`",
    errors.TooManyLowers: "merge some of them, or use the merged view of one overlay as a lower of another",
    errors.UpperInUse: "`umount {1}` first, or use directories of its own",
    errors.LowerInUse: "use the merged view {1} as the lower, or `umount {1}` first",
    errors.UpperOfOtherLower: "use the lower it was first mounted with, a fresh upperdir and workdir, or `index=off`",
    errors.IndexOfOtherUpper: "use a fresh workdir, or `index=off`",
    errors.MetacopyNeedsRedirect: "leave `redirect_dir` out, or write `redirect_dir=on`",
    errors.NfsExportNeedsIndex: "leave out `index=off`, or write `index=on`",
    errors.NfsExportExcludesMetacopy: "leave out `nfs_export=on` or `metacopy=on`",
    errors.NfsExportWithoutUpper: "add `redirect_dir=nofollow`, or an upper",
    errors.UserxattrNeedsNofollow: "leave `redirect_dir` out, or mount as root without `userxattr`",
    errors.UserxattrExcludesMetacopy: "leave out `metacopy=on`, or mount as root without `userxattr`",
    errors.OptionNeedsUpper: "add `upperdir=U,workdir=W`, or leave the option out",
    errors.VolatileExcludesFsync: "leave out one of `volatile` and `fsync=`; the last one would win",
    errors.NeedsTrustedXattr: "leave the option out, or mount as root; without root add `userxattr`",
    errors.LayerWithoutHandles: "leave the option out, or take layers on a file system with file handles",
    errors.UpperFileSystemPoor: "take upperdir and workdir on ext4, xfs, btrfs or tmpfs",
    errors.TargetOccupied: "`umount {0}` first, or choose another target",
    errors.MissingCapability: "`sudo` the command, or mount in a user namespace: `unshare -Urm`, with `userxattr`",
    errors.PathMissing: "`mkdir -p {0}`, or correct the name",
    errors.NotADirectory: "name a directory",
    errors.AccessDenied: "`ls -ld {0}` shows who may; `namei -l {0}` does for every directory above it",
    errors.LowerIsUpper: "use a directory of its own for each",
    errors.OverlappingLayers: "use directories side by side, none inside another",
}
#: These checks name one path more when the other overlay is in this namespace's mount table.
_NEEDS_SECOND = frozenset({errors.UpperInUse, errors.LowerInUse})
_ELSEWHERE = "`ovlctl who {0}` looks for it in every mount namespace; it may live until its last user ends"

#: Found by ovlctl's checks, yet the kernel mounts, with something missing or something lost.
_MOUNTS_ALL_THE_SAME = frozenset(
    {
        errors.WorkWithoutUpper,
        errors.UpperFileSystemPoor,
        errors.WorkHoldsFiles,
        errors.WorkTreeTooDeep,
        errors.SubvolumeMismatch,
        errors.LayerWithoutHandles,
        errors.OptionNeedsUpper,
        errors.NfsExportWithoutUpper,
        errors.VolatileExcludesFsync,
        errors.TargetOccupied,
        errors.WeakerThanAsked,
    }
)
#: Refused with index=on only; otherwise the kernel warns in its log.
_WITH_INDEX_ONLY = frozenset({errors.UpperInUse, errors.LowerInUse})


def in_words_of_mount(error: OvlError) -> OvlError:
    """*error* of a check with a hint for somebody who types mount(8) commands."""
    kind = type(error)
    hint = _FOR_A_LINE.get(kind)
    if kind in _NEEDS_SECOND and len(error.paths) == 1:
        hint = _ELSEWHERE
    if hint is None:
        return error
    return kind(error.template, *error.paths, hint=hint, errno=error.errno, kernel=error.kernel)


def kernel_refuses(error: OvlError, *, index: bool) -> bool:
    """Whether the kernel answers *error* with an errno, rather than mount something weaker or harmful.

    Args:
        error: As a check yields it.
        index: Whether index=on is in force.
    """
    kind = type(error)
    if kind in _WITH_INDEX_ONLY:
        return index
    if kind is errors.OptionsTooLong:
        # mount(2) cuts and goes on; fsconfig(2) refuses.
        return error.errno is not None
    return kind not in _MOUNTS_ALL_THE_SAME
