"""Which options exclude or need which: the kernel's rules, known before it is asked.

Each rule was seen on a real mount; a test mounts every combination and compares. The kernel answers most of these
with a bare EINVAL and a line in a log that ordinary users cannot read; a few it answers by dropping the option.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.overlay.options import Flag, Fsync, RedirectDir, Switch, Uuid, Verity, Xino, stated
from ovlctl.overlay.stack import MAX_LOWERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.overlay.options import Options
    from ovlctl.overlay.stack import Stack


def conflicts(options: Options, *, has_upper: bool, trusted_xattrs: bool) -> Iterator[errors.OvlError]:
    """Every reason for which the kernel would refuse *options*.

    Args:
        options: What was asked.
        has_upper: Whether the stack has an upper.
        trusted_xattrs: False inside a user namespace.
    """
    told = stated(options, trusted_xattrs=trusted_xattrs)
    if told.userxattr is Flag.YES:
        yield from _userxattr(options)
    elif not trusted_xattrs:
        yield from _needs_trusted(told)
    # Without an upper, follow is all that metacopy needs: nothing will ever be renamed.
    enough = {RedirectDir.ON} if has_upper else {RedirectDir.ON, RedirectDir.OFF, RedirectDir.FOLLOW}
    if told.metacopy is Switch.ON and told.redirect_dir not in enough and told.userxattr is not Flag.YES:
        yield errors.MetacopyNeedsRedirect(
            f"metacopy=on needs redirect_dir=on, but redirect_dir={told.redirect_dir} was asked",
            errno=errno.EINVAL,
            hint=f"leave out `--redirect-dir {told.redirect_dir}`: metacopy=on switches it on",
        )
    # Without an upper the kernel first drops nfs_export, unless redirect_dir=nofollow, and then sees no conflict.
    if told.nfs_export is Switch.ON and (has_upper or told.redirect_dir is RedirectDir.NOFOLLOW):
        yield from _nfs_export(told)
    if options.volatile is Flag.YES and options.fsync not in {None, Fsync.VOLATILE}:
        yield errors.VolatileExcludesFsync(
            f"volatile is fsync=volatile, but fsync={options.fsync} was asked too",
            hint="ask for one of them; the kernel would take whichever comes last",
        )


def weaknesses(options: Options, *, has_upper: bool, trusted_xattrs: bool) -> Iterator[errors.OvlError]:
    """Every option of *options* that the kernel would accept and then drop."""
    told = stated(options, trusted_xattrs=trusted_xattrs)
    if not trusted_xattrs:
        # Both open files by handle, which the kernel grants in the initial user namespace only (ovl_can_decode_fh).
        for name in ("index", "nfs_export"):
            if getattr(options, name) is Switch.ON:
                yield errors.NeedsTrustedXattr(
                    f"{name}=on is dropped by the kernel inside a user namespace",
                    hint=f"leave out `--{name.replace('_', '-')} on`, or mount as root",
                )
    if has_upper:
        return
    dropped = {
        "index": options.index is Switch.ON,
        "uuid": options.uuid in {Uuid.ON, Uuid.OFF},
        "volatile": options.volatile is Flag.YES,
        "fsync": options.fsync is Fsync.VOLATILE,
    }
    for name, ignored in dropped.items():
        if ignored:
            yield errors.OptionNeedsUpper(
                f"{name}={getattr(options, name)} means nothing without an upper; the kernel would ignore it",
                hint=f"give an upper, or leave out `--{name}`",
            )
    if told.nfs_export is Switch.ON and told.redirect_dir is not RedirectDir.NOFOLLOW:
        yield errors.NfsExportWithoutUpper(
            f"without an upper nfs_export=on is dropped unless redirect_dir=nofollow (it is {told.redirect_dir})",
            hint="add `--redirect-dir nofollow`, or give an upper",
        )


def _userxattr(asked: Options) -> Iterator[errors.OvlError]:
    if asked.redirect_dir not in {None, RedirectDir.NOFOLLOW}:
        off = "; off means follow" if asked.redirect_dir is RedirectDir.OFF else ""
        yield errors.UserxattrNeedsNofollow(
            f"userxattr works with redirect_dir=nofollow only, but redirect_dir={asked.redirect_dir} was asked{off}",
            errno=errno.EINVAL,
            hint=f"leave out `--redirect-dir {asked.redirect_dir}`, or mount as root without userxattr",
        )
    if asked.metacopy is Switch.ON:
        yield errors.UserxattrExcludesMetacopy(
            "metacopy=on does not work with userxattr, as the owner of a layer could then forge its data",
            errno=errno.EINVAL,
            hint="leave out `--metacopy on`, or mount as root without userxattr",
        )


def _needs_trusted(told: Options) -> Iterator[errors.OvlError]:
    wanted = {
        "redirect_dir": told.redirect_dir is not RedirectDir.NOFOLLOW,
        "metacopy": told.metacopy is Switch.ON,
        "verity": told.verity not in {None, Verity.OFF},
    }
    for name, needed in wanted.items():
        if needed:
            yield errors.NeedsTrustedXattr(
                f"{name}={getattr(told, name)} needs trusted xattrs, which a user namespace does not give",
                errno=errno.EPERM,
                hint="mount as root, or leave the option out",
            )


def _nfs_export(told: Options) -> Iterator[errors.OvlError]:
    if told.index is Switch.OFF:
        yield errors.NfsExportNeedsIndex(
            "nfs_export=on needs index=on, but index=off was asked",
            errno=errno.EINVAL,
            hint="leave out `--index off`: nfs_export=on switches index on",
        )
    if told.metacopy is Switch.ON:
        yield errors.NfsExportExcludesMetacopy(
            "nfs_export=on and metacopy=on exclude each other",
            errno=errno.EINVAL,
            hint="drop one of `--nfs-export on` and `--metacopy on`",
        )


def needs_handles(told: Options) -> tuple[str, ...]:
    """The options of *told* that the kernel drops when a layer's file system has no file handles."""
    wanted = (
        ("index", told.index is Switch.ON),
        ("nfs_export", told.nfs_export is Switch.ON),
        ("xino", told.xino is Xino.AUTO),
    )
    return tuple(name for name, on in wanted if on)


def misshapen(stack: Stack) -> Iterator[errors.OvlError]:
    """Every reason for which *stack* is no stack, whatever its directories hold."""
    if stack.work is not None and stack.upper is None:
        yield errors.WorkWithoutUpper(
            "the work directory {} serves nothing without an upper", stack.work, hint="add `--upper DIR` or drop it"
        )
    if not stack.lowers:
        if stack.data_only:
            yield errors.OnlyDataLowers(
                "all lowers are data-only, and data-only lowers show no files of their own",
                errno=errno.EINVAL,
                hint="add an ordinary lower with `--lower DIR`",
            )
        else:
            yield errors.NoLower("no lower was given", errno=errno.EINVAL, hint="add `--lower DIR`, topmost first")
    elif stack.upper is None and len(stack.lowers) == 1 and not stack.data_only:
        yield errors.OneLowerWithoutUpper(
            "a read-only stack needs at least two lowers, but {} is the only one",
            stack.lowers[0],
            errno=errno.EINVAL,
            hint="add another `--lower DIR`, an empty directory for example, or an upper",
        )
    lowers = len(stack.lowers) + len(stack.data_only)
    if lowers > MAX_LOWERS:
        yield errors.TooManyLowers(
            f"{lowers} lowers are more than the {MAX_LOWERS} that the kernel takes",
            errno=errno.EINVAL,
            hint="merge some of them, or use the merged view of one stack as a lower of another",
        )
    if stack.upper is not None and stack.work is None:
        yield errors.UpperWithoutWork(
            "the upper {} has no work directory",
            stack.upper,
            errno=errno.EINVAL,
            hint="add `--work DIR`: an empty directory on the same mount as the upper",
        )
