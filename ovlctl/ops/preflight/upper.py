"""Whether the upper and its work directory can serve: same mount, writable, able to hold marks, nothing to lose."""

from __future__ import annotations

import errno
import os
import re
import stat
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import strerror
from ovlctl.kernel import handles, probes, xattr
from ovlctl.kernel.probes import Answer
from ovlctl.ops.preflight.places import translated
from ovlctl.overlay.marks import Mark, Prefix, decode_handle
from ovlctl.overlay.options import Flag, Switch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.preflight.places import Place
    from ovlctl.overlay.options import Options

#: What overlayfs itself puts into WORK/work: temporary objects are named by number (ovl_lookup_temp in dir.c).
_TEMPORARY = re.compile(r"#[0-9a-f]+")
#: Directory levels below WORK/work that the kernel can clean (ovl_workdir_cleanup in readdir.c).
_CLEANABLE_DEPTH = 2


def obstacles(upper: Place, work: Place) -> Iterator[errors.OvlError]:
    """Every reason for which the file system under the upper cannot carry one."""
    for kind, place in (("upper", upper), ("work directory", work)):
        if place.mount.fs_type == "overlay":
            yield errors.UpperOnOverlay(
                f"the {kind} {{}} lies on the overlay mounted at {{}}, which cannot hold the marks of another one",
                place.path,
                place.mount.mount_point,
                errno=errno.EINVAL,
                hint="use a directory on ext4, xfs, btrfs or tmpfs, or `--tmpfs-upper`",
            )
        elif place.mount.read_only or place.mount.sb_read_only:
            what = "mount" if place.mount.read_only else "file system"
            yield errors.UpperReadOnly(
                f"the {kind} {{}} lies on the read-only {what} at {{}}",
                place.path,
                place.mount.mount_point,
                errno=errno.EINVAL,
                hint="use a directory on a writable file system, `--tmpfs-upper`, or `--read-only`",
            )
    if upper.mount.mount_id != work.mount.mount_id:
        same = upper.mount.dev == work.mount.dev
        where = "other mounts of one file system" if same else "different file systems"
        yield errors.WorkOnOtherMount(
            f"upper {{}} and work {{}} are on {where} (mounted at {{}} and {{}}), and must be on one mount",
            upper.path,
            work.path,
            upper.mount.mount_point,
            work.mount.mount_point,
            errno=errno.EINVAL,
            hint="use a work directory beside the upper, such as {0}.work",
        )
    elif upper.status.st_dev != work.status.st_dev:
        yield errors.SubvolumeMismatch(
            "upper {} and work {} are in different btrfs subvolumes: mounting works, then every copy-up and unlink "
            "fails with EXDEV",
            upper.path,
            work.path,
            hint="use a work directory in the upper's own subvolume",
        )


def poverty(work: Place, told: Options) -> Iterator[errors.OvlError]:
    """What the upper's file system lacks, found by trying it inside the work directory."""
    fs_type = errors.literal(work.mount.fs_type)
    try:
        answer = probes.xattr_kept(work.path, _prefix(told))
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EPERM} and work.mount.fs_type not in _PSEUDO:
            yield translated(error, work.path)
            return
        yield errors.UpperFileSystemPoor(
            f"nothing can be made in {{}} on {fs_type}: {strerror(error)}; the kernel would mount read-only",
            work.path,
            errno=error.errno,
            hint="use a directory on ext4, xfs, btrfs or tmpfs",
        )
        return
    if answer is Answer.NO:
        yield errors.UpperFileSystemPoor(
            f"{fs_type} at {{}} keeps no {_prefix(told)}* xattrs, so opaque directories and redirects would be lost",
            work.path,
            errno=errno.EOPNOTSUPP,
            hint="use a directory on ext4, xfs, btrfs or tmpfs, or accept it with `--allow-weaker`",
        )


_PSEUDO = frozenset({"sysfs", "tracefs", "debugfs", "securityfs", "cgroup", "cgroup2", "proc"})


def hazards(work: Place, told: Options) -> Iterator[errors.OvlError]:
    """What a mount would delete, or could not clean: every writable mount empties WORK/work."""
    yield from _work_directory(work)
    if told.index is Switch.ON:
        index = os.path.join(work.path, "index")
        found = _lstat(index)
        if found is not None and not stat.S_ISDIR(found.st_mode):
            yield _would_delete("{} is no directory; mounting would replace it", index)


def _work_directory(work: Place) -> Iterator[errors.OvlError]:
    path = os.path.join(work.path, "work")
    found = _lstat(path)
    if found is None:
        return
    if not stat.S_ISDIR(found.st_mode):
        yield _would_delete("{} is no directory; mounting would replace it", path)
        return
    try:
        entries = sorted(os.listdir(path))
    except PermissionError:
        # Mode 000 is how overlayfs leaves it; only its owner without CAP_DAC_OVERRIDE cannot look inside.
        return
    for entry in entries:
        inside = os.path.join(path, entry)
        if entry == "incompat":
            yield from _incompat(work, inside)
        elif not _TEMPORARY.fullmatch(entry):
            yield _would_delete("{} is not overlayfs's own, and mounting would delete it", inside)
        elif _deeper_than(inside, _CLEANABLE_DEPTH):
            yield errors.WorkTreeTooDeep(
                "{} is a tree deeper than the kernel can clean, and it would mount read-only",
                inside,
                errno=errno.ENOTEMPTY,
                hint="look at what it holds, then `rm -r {}`",
            )


def _incompat(work: Place, path: str) -> Iterator[errors.OvlError]:
    found = _lstat(path)
    if found is not None and not stat.S_ISDIR(found.st_mode):
        yield _would_delete("{} is not overlayfs's own, and mounting would delete it", path)
        return
    try:
        features = sorted(os.listdir(path))
    except PermissionError:
        # As above.
        return
    for feature in features:
        yield errors.VolatileLeftover(
            f"{{}} is the marker of a {errors.literal(ascii(feature)[1:-1])} mount: data written then may be "
            "incomplete, and the kernel refuses this work directory",
            os.path.join(path, feature),
            os.path.join(work.path, "work"),
            errno=errno.EINVAL,
            hint="use a fresh upper and work; only when the upper is known to be good: `rm -r {1}`",
        )


def _would_delete(text: str, path: str) -> errors.WorkHoldsFiles:
    return errors.WorkHoldsFiles(text, path, hint="move {} away, or use another work directory")


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _deeper_than(path: str, levels: int) -> bool:
    if levels == 0:
        return True
    try:
        with os.scandir(path) as entries:
            return any(_deeper_than(entry.path, levels - 1) for entry in entries if entry.is_dir(follow_symlinks=False))
    except (NotADirectoryError, PermissionError):
        return False


def strangers(upper: Place, work: Place, top: Place, told: Options) -> Iterator[errors.OvlError]:
    """With index=on: whether the upper remembers another topmost lower, or the index another upper (ESTALE)."""
    if told.index is not Switch.ON:
        return
    prefix = _prefix(told)
    if _differs(upper.path, prefix + Mark.ORIGIN, top.path):
        yield errors.UpperOfOtherLower(
            "with index=on the upper {} belongs to another topmost lower than {}",
            upper.path,
            top.path,
            errno=errno.ESTALE,
            hint="use the lower it was first mounted with, a fresh upper and work, or `--index off`",
        )
    index = os.path.join(work.path, "index")
    if os.path.isdir(index) and _differs(index, prefix + Mark.UPPER, upper.path):
        yield errors.IndexOfOtherUpper(
            "with index=on the index {} belongs to another upper than {}",
            index,
            upper.path,
            errno=errno.ESTALE,
            hint="use a fresh work directory, or `--index off`",
        )


def _prefix(told: Options) -> Prefix:
    return Prefix.USER if told.userxattr is Flag.YES else Prefix.TRUSTED


def _differs(holder: str, mark: str, expected: str) -> bool:
    """Whether the handle that *holder* remembers is another one than that of the directory *expected*."""
    value = xattr.get(holder, mark)
    remembered = None if value is None else decode_handle(value)
    if remembered is None:
        return False
    try:
        now = handles.name_to_handle_at(expected)
    except OSError:
        # No handles: the kernel drops index=on, which another check reports.
        return False
    return (remembered.type, remembered.handle) != (now.type, now.handle)
