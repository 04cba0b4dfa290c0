"""What a directory and the file system under it can do, and whether it can be an upper or a lower."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.errors import Note, literal, strerror
from ovlctl.kernel import handles, inode_flags, mounts, namespaces, probes, xattr
from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.clones import across_mounts
from ovlctl.kernel.inode_flags import FS_FL
from ovlctl.ops.doctor import trial, verdicts
from ovlctl.ops.doctor.catalogue import finding
from ovlctl.ops.doctor.values import Ability, DirectoryReport
from ovlctl.ops.doctor.verdicts import Facts, Untried
from ovlctl.ops.preflight import kernel_limits
from ovlctl.ops.preflight.places import Place, translated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.kernel.probes import DirectoryFeatures
    from ovlctl.ops.doctor.trial import Trial
    from ovlctl.ops.doctor.values import Finding

#: Inode number of the top of every btrfs subvolume (BTRFS_FIRST_FREE_OBJECTID).
_SUBVOLUME_INO = 256
#: Entries looked at when searching for subvolumes.
_MANY = 2000
_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "afs", "glusterfs", "lustre", "virtiofs", "orangefs"}
)


#: Where mkdir(2) makes something of the kernel's.
_NO_PLACE = frozenset({"cgroup", "cgroup2", "cpuset", "configfs", "resctrl"})


@dataclass(frozen=True, slots=True)
class _Subvolumes:
    """What lies below a directory of btrfs; *complete* is False when there was too much to look at it all."""

    names: tuple[str, ...]
    complete: bool


def look_at(path: str) -> Place:
    """The place of *path*, an absolute path without symbolic links, which need not be readable.

    Raises:
        PathMissing, NotADirectory, AccessDenied: as the words say.
    """
    try:
        status = os.stat(path)
        mount = mounts.mount_at(path)
    except OSError as error:
        if error.errno == errno.ENOENT and os.path.lexists(path):
            raise errors.PathMissing(
                "{} lies on a mount that is in no mount table, as happens in a chroot",
                path,
                errno=error.errno,
                hint="enter it with `unshare -m` and pivot_root(8), or look from outside",
            ) from error
        raise translated(error, path) from error
    if not stat.S_ISDIR(status.st_mode):
        raise errors.NotADirectory("{} is not a directory", path, errno=errno.ENOTDIR)
    return Place(path, mount, status)


def report(place: Place, mine: Trial) -> DirectoryReport:
    """Everything about one directory.

    Args:
        place: The directory.
        mine: What this user's trial found, this directory included.
    """
    path, mount = place.path, place.mount
    tried = _tried(place)
    free_bytes, free_inodes = _free(path)
    subvolumes = _subvolumes(place)
    flags = _flags(path)
    facts = Facts(
        place=place,
        tried=tried,
        free_bytes=free_bytes,
        free_inodes=free_inodes,
        flags=flags,
        local=mount.fs_type not in _NETWORK and mount.fs_type.partition(".")[0] not in {"fuse", "fuseblk"},
        depth=_depth(place),
        readable=os.access(path, os.R_OK | os.X_OK, effective_ids=True),
        trusted=namespaces.in_initial_user_namespace() and mine.way is trial.Way.HERE,
        as_upper=mine.reply(trial.layer_question(path, "upperdir")),
        as_lower=mine.reply(trial.layer_question(path, "lowerdir+")),
    )
    findings = (*verdicts.verdicts(facts), *_findings(facts, subvolumes))
    return DirectoryReport(
        path=path,
        mount_point=mount.mount_point,
        fs_type=mount.fs_type,
        source=mount.source,
        read_only=mount.read_only or mount.sb_read_only,
        overlay_depth=facts.depth,
        is_subvolume=mount.fs_type == "btrfs" and place.status.st_ino == _SUBVOLUME_INO,
        subvolumes=subvolumes.names,
        project=_project(path),
        label=_label(path),
        free_bytes=facts.free_bytes,
        free_inodes=facts.free_inodes,
        losses=tuple(each.ability for each in findings if each.ability in _LOSSES and each.answer is Answer.NO),
        findings=findings,
    )


_LOSSES = frozenset({Ability.RENAME_WHITEOUT, Ability.O_TMPFILE, Ability.FILE_HANDLES, Ability.REFLINK})


def _tried(place: Place) -> DirectoryFeatures | Untried:
    """What could be tried, or why nothing could."""
    if place.mount.fs_type in _NO_PLACE:
        return Untried(reason=f"a new directory means something else on {place.mount.fs_type}, so none is made")
    try:
        return probes.directory_features(place.path)
    except OSError as error:
        return Untried(reason=f"nothing can be made here: {strerror(error)}", errno=error.errno)


def _free(path: str) -> tuple[int | None, int | None]:
    """Bytes and inodes left for this user; None where the file system does not count them."""
    try:
        space = os.statvfs(path)
    except OSError:
        return None, None
    return space.f_bavail * space.f_frsize if space.f_blocks else None, space.f_favail if space.f_files else None


def _flags(path: str) -> FS_FL:
    try:
        return inode_flags.flags(path)
    except OSError:
        return FS_FL(0)


def _project(path: str) -> int | None:
    try:
        return inode_flags.project(path)
    except OSError:
        return None


def _label(path: str) -> str | None:
    try:
        label = xattr.get(path, "security.selinux")
    except OSError:
        return None
    return None if label is None else os.fsdecode(label.rstrip(b"\0"))


def _depth(place: Place) -> int:
    if place.mount.fs_type != "overlay":
        return 0
    return 2 if any(kernel_limits.nesting([place])) else 1


def _subvolumes(place: Place) -> _Subvolumes:
    if place.mount.fs_type != "btrfs":
        return _Subvolumes((), complete=True)
    found: list[str] = []
    try:
        with os.scandir(place.path) as entries:
            for seen, entry in enumerate(entries):
                if seen == _MANY:
                    return _Subvolumes(tuple(sorted(found)), complete=False)
                if entry.is_dir(follow_symlinks=False):
                    status = os.lstat(entry.path)
                    if status.st_ino == _SUBVOLUME_INO and status.st_dev != place.status.st_dev:
                        found.append(entry.path)
    except OSError:
        return _Subvolumes(tuple(sorted(found)), complete=False)
    return _Subvolumes(tuple(sorted(found)), complete=True)


def _findings(facts: Facts, subvolumes: _Subvolumes) -> Iterator[Finding]:
    yield _writable(facts)
    yield _room(Ability.SPACE, facts.free_bytes, facts.tried, "bytes")
    yield _room(Ability.INODES, facts.free_inodes, facts.tried, "inodes")
    yield _feature(Ability.D_TYPE, facts, "asking readdir(3) for the type of a new file", "d_type")
    yield _feature(Ability.TRUSTED_XATTR, facts, "setting trusted.overlay.* on a new directory", "trusted_xattr")
    yield _feature(Ability.USER_XATTR, facts, "setting user.overlay.* on a new directory", "user_xattr")
    yield _feature(Ability.WHITEOUT, facts, "making device 0:0", "whiteout")
    yield _feature(Ability.RENAME_WHITEOUT, facts, "renaming a file with RENAME_WHITEOUT", "rename_whiteout")
    yield _feature(Ability.O_TMPFILE, facts, "opening a file with O_TMPFILE", "o_tmpfile")
    yield _handles(facts)
    yield _reflink(facts)
    yield _feature(Ability.FS_VERITY, facts, "asking for the digest of a file (FS_IOC_MEASURE_VERITY)", "verity")
    yield _case(facts)
    yield _one_subvolume(facts, subvolumes)
    kind = literal(facts.place.mount.fs_type)
    answer = Answer.YES if facts.local else Answer.NO
    yield finding(Ability.LOCAL, answer, f"{kind} is a file system {'of this machine' if facts.local else 'of others'}")


def _writable(facts: Facts) -> Finding:
    refusal = facts.tried
    if not isinstance(refusal, Untried):
        return finding(Ability.WRITABLE, Answer.YES, "a directory was made and removed again")
    answer = Answer.UNKNOWN if refusal.errno in verdicts.FULL else Answer.NO
    marked = FS_FL.IMMUTABLE in facts.flags or FS_FL.APPEND in facts.flags
    reason = literal(refusal.reason) + ("; it is marked immutable or append-only" if marked else "")
    return finding(Ability.WRITABLE, answer, reason, fix=verdicts.writable_again(facts))


def _room(ability: Ability, free: int | None, tried: DirectoryFeatures | Untried, what: str) -> Finding:
    if free is None:
        return finding(ability, Answer.YES, f"the file system does not limit {what}")
    fix = verdicts.MORE_BYTES if ability is Ability.SPACE else verdicts.MORE_INODES
    if isinstance(tried, Untried) and tried.errno == errno.EDQUOT:
        return finding(ability, Answer.NO, "the quota of this user or project is used up", fix="`quota` shows it")
    return finding(ability, Answer.YES if free > 0 else Answer.NO, f"{free} {what} free for this user", fix=fix)


def _feature(ability: Ability, facts: Facts, tried: str, name: str) -> Finding:
    if isinstance(facts.tried, Untried):
        return finding(ability, Answer.UNKNOWN, literal(facts.tried.reason))
    answer: Answer = getattr(facts.tried, name)
    number = dict(facts.tried.refusals).get(name)
    if answer is not Answer.YES and ability is Ability.TRUSTED_XATTR and number == errno.EPERM:
        return finding(
            ability,
            answer,
            "only root in the initial user namespace may",
            fix="not needed without root: see user-xattr",
        )
    outcome = {Answer.YES: " works", Answer.NO: " does not work", Answer.UNKNOWN: " tells nothing"}[answer]
    return finding(ability, answer, tried + (outcome if number is None else f": {strerror(OSError(number, ''))}"))


def _reflink(facts: Facts) -> Finding:
    found = _feature(Ability.REFLINK, facts, "cloning a file (FICLONE)", "reflink")
    if found.answer is Answer.YES and facts.place.mount.fs_type == "btrfs" and across_mounts() is Answer.NO:
        words = "cloning a file (FICLONE) works, but this kernel's btrfs refuses it between two mounts, as in copy-up"
        return finding(Ability.REFLINK, Answer.NO, words, fix="use a directory on xfs")
    return found


def _handles(facts: Facts) -> Finding:
    # Needs nothing to be made: also a read-only lower is asked.
    answer = handles.openable(facts.place.path)
    given = {Answer.YES: "gives a handle", Answer.NO: "gives no handle", Answer.UNKNOWN: "does not answer"}[answer]
    return finding(Ability.FILE_HANDLES, answer, f"name_to_handle_at(2) {given}")


def _case(facts: Facts) -> Finding:
    if FS_FL.CASEFOLD in facts.flags:
        return finding(Ability.CASE_SENSITIVE, Answer.NO, "it has the casefold flag (`lsattr -d` shows F)")
    if isinstance(facts.tried, Untried):
        return finding(Ability.CASE_SENSITIVE, Answer.UNKNOWN, literal(facts.tried.reason))
    answer = facts.tried.case_sensitive
    outcome = {Answer.YES: "is not found", Answer.NO: "is found", Answer.UNKNOWN: "cannot be looked for"}[answer]
    return finding(Ability.CASE_SENSITIVE, answer, f"a new file {outcome} under its name in capitals")


def _one_subvolume(facts: Facts, subvolumes: _Subvolumes) -> Finding:
    if facts.place.mount.fs_type != "btrfs":
        return finding(Ability.ONE_SUBVOLUME, Answer.YES, "only btrfs has subvolumes")
    if subvolumes.names:
        more = f" and {len(subvolumes.names) - 1} more" if len(subvolumes.names) > 1 else ""
        return finding(
            Ability.ONE_SUBVOLUME,
            Answer.NO,
            Note(f"{{}}{more} directly below is a subvolume of its own", subvolumes.names[:1]),
        )
    if not subvolumes.complete:
        return finding(Ability.ONE_SUBVOLUME, Answer.UNKNOWN, "not everything directly below could be looked at")
    return finding(Ability.ONE_SUBVOLUME, Answer.YES, "no subvolume lies directly below")
