"""What this user may do, with root and without."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ovlctl.errors import Note, literal
from ovlctl.kernel import capabilities, facilities, namespaces
from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.capabilities import Capability
from ovlctl.ops.doctor import practice
from ovlctl.ops.doctor.catalogue import finding
from ovlctl.ops.doctor.trial import Way, said
from ovlctl.ops.doctor.values import Ability, UserReport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.ops.doctor.trial import Trial
    from ovlctl.ops.doctor.values import Finding


def report(mine: Trial, anybody: Trial) -> UserReport:
    """What this user may do.

    Args:
        mine: What this user's trial found.
        anybody: What somebody without any privilege found, which is the same trial unless this is root.
    """
    return UserReport(
        uid=os.geteuid(),
        gid=os.getegid(),
        initial_namespace=namespaces.in_initial_user_namespace(),
        findings=(_root(), _mount(mine), *_rootless(anybody), _tmpfs_upper(mine), _id_ranges()),
    )


def _root() -> Finding:
    has = capabilities.has(Capability.CAP_SYS_ADMIN)
    initial = namespaces.in_initial_user_namespace()
    if has and initial:
        return finding(Ability.ROOT, Answer.YES, "CAP_SYS_ADMIN in the initial user namespace")
    if has:
        fix = "run it as root outside of this user namespace"
        return finding(Ability.ROOT, Answer.NO, "inside a user namespace", fix=fix)
    return finding(Ability.ROOT, Answer.NO, f"user {os.geteuid()} does not have CAP_SYS_ADMIN")


def _mount(mine: Trial) -> Finding:
    right = namespaces.may_mount()
    if right is namespaces.MountRight.FOREIGN_NAMESPACE:
        return finding(Ability.MOUNT, Answer.NO, right.reason, fix="`unshare -Urm` instead of `unshare -Ur`")
    if not right:
        return finding(Ability.MOUNT, Answer.NO, right.reason)
    if mine.way is not Way.HERE:
        return finding(
            Ability.MOUNT,
            Answer.NO,
            "CAP_SYS_ADMIN is there, but a seccomp filter, a chroot or a security module refuses mount namespaces",
            fix="run it outside of the container, or give that `--privileged`",
        )
    reply = mine.reply(practice.OVERLAY)
    tried = "an overlay on a tmpfs was mounted and used" if reply.answer is Answer.YES else literal(reply.reason)
    return finding(Ability.MOUNT, reply.answer, tried)


def _rootless(anybody: Trial) -> Iterator[Finding]:
    who = f"user {os.geteuid()}" if os.geteuid() or not namespaces.in_initial_user_namespace() else "user nobody"
    if anybody.way is Way.NOWHERE:
        fix = None if anybody.fix is None else literal(anybody.fix)
        answer = Answer.NO if anybody.barred else Answer.UNKNOWN
        for ability in (Ability.USER_NAMESPACE, Ability.ROOTLESS):
            yield finding(ability, answer, literal(f"as {who}: {anybody.refusal}"), fix=fix)
        return
    yield finding(Ability.USER_NAMESPACE, Answer.YES, f"{who} made one")
    reply = anybody.reply(practice.OVERLAY)
    tried = f"{who} mounted an overlay on a tmpfs in one and used it"
    if reply.answer is not Answer.YES:
        tried = f"{who} cannot mount an overlay in one{said(reply.reason)}"
    # Ubuntu lets everybody make a namespace and then takes the capabilities in it away.
    restricted = facilities.sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1"
    fix = "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0" if restricted else "Linux 5.11 or newer"
    yield finding(Ability.ROOTLESS, reply.answer, tried, fix=fix)


def _tmpfs_upper(mine: Trial) -> Finding:
    reply = mine.reply(practice.OPAQUE)
    tried = "replacing a directory of a lower in an overlay on a tmpfs "
    outcome = {Answer.YES: "works", Answer.NO: "does not work", Answer.UNKNOWN: "cannot be tried"}[reply.answer]
    tried += outcome + said(reply.reason)
    return finding(Ability.TMPFS_UPPER, reply.answer, tried)


def _id_ranges() -> Finding:
    if os.geteuid() == 0 and namespaces.in_initial_user_namespace():
        return finding(Ability.ID_RANGES, Answer.YES, "root needs no ranges: every id exists in its mounts")
    import pwd

    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        name = str(os.geteuid())
    ranges = {path: _ranges(path, name) for path in ("/etc/subuid", "/etc/subgid")}
    if None in ranges.values():
        return finding(Ability.ID_RANGES, Answer.UNKNOWN, "/etc/subuid or /etc/subgid cannot be read")
    lacking = [path for path, count in ranges.items() if not count]
    if not lacking:
        sizes = " and ".join(f"{count} ids in {path}" for path, count in ranges.items())
        return finding(Ability.ID_RANGES, Answer.YES, f"this user has {sizes}")
    return finding(
        Ability.ID_RANGES,
        Answer.NO,
        f"this user has no range in {' and '.join(lacking)}",
        fix=Note("sudo usermod -v 100000-165535 -w 100000-165535 {}", (name,)),
    )


def _ranges(path: str, name: str) -> int | None:
    """How many ids subuid(5) or subgid(5) gives this user: 0 for none, None when the file cannot be read."""
    try:
        with open(path, "rb") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return 0
    except OSError:
        return None
    mine = {os.fsencode(name), b"%d" % os.geteuid()}
    counts = [line.rpartition(b":")[2].strip() for line in lines if line.partition(b":")[0] in mine]
    return sum(int(count) for count in counts if count.isdigit())
