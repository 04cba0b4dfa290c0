"""What the kernel can do, and what is installed beside it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ovlctl.errors import Note, literal
from ovlctl.errors import strerror as described
from ovlctl.kernel import capabilities, facilities, module, namespaces, probes
from ovlctl.kernel.bootcache import Answer
from ovlctl.kernel.capabilities import Capability
from ovlctl.ops.doctor import trial
from ovlctl.ops.doctor.catalogue import OPTIONS, finding
from ovlctl.ops.doctor.practice import option_question, values_of
from ovlctl.ops.doctor.trial import Way, said
from ovlctl.ops.doctor.values import Ability, HostReport, Limit, OptionValue, Parameter, worst
from ovlctl.overlay import rules
from ovlctl.overlay.options import KEYS, Flag, Options
from ovlctl.overlay.stack import MAX_LOWERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.errors import OvlError
    from ovlctl.ops.doctor.trial import Trial
    from ovlctl.ops.doctor.values import Finding
    from ovlctl.overlay.options import Key

#: fs/overlayfs/params.c and Kconfig: what the parameters are unless whoever built the kernel decided otherwise.
_UPSTREAM = {
    "redirect_dir": "N",
    "redirect_always_follow": "Y",
    "index": "N",
    "metacopy": "N",
    "nfs_export": "N",
    "xino_auto": "N",
    "redirect_max": "256",
}
#: Releases that have single values, where the option itself is older.
_LATER = {
    ("redirect_dir", "follow"): "4.15",
    ("redirect_dir", "nofollow"): "4.15",
    ("uuid", "on"): "6.6",
    ("uuid", "auto"): "6.6",
    ("uuid", "null"): "6.6",
}
_PROGRAMS = (
    Ability.NEWUIDMAP,
    Ability.NEWGIDMAP,
    Ability.MKFS_EXT4,
    Ability.MKFS_XFS,
    Ability.MKFS_BTRFS,
    Ability.SYSTEMD_ANALYZE,
)


def report(found: Trial) -> HostReport:
    """Everything about this host; *found* is what a child process could ask as this user."""
    uname, overlay = os.uname(), _overlay()
    selinux = {"1": "enforcing", "0": "permissive"}.get(facilities.first_line("/sys/fs/selinux/enforce") or "")
    apparmor = _apparmor()
    return HostReport(
        release=uname.release,
        machine=uname.machine,
        findings=(overlay, *_options(found, overlay), *_facilities(found), *_programs()),
        parameters=tuple(
            Parameter(name=name, value=module.parameter("overlay", name), upstream=upstream)
            for name, upstream in _UPSTREAM.items()
        ),
        limits=_limits(),
        selinux=selinux,
        apparmor=apparmor,
        advice=() if selinux is None else (_SELINUX,),
    )


_SELINUX = (
    "a copied-up file keeps the SELinux label that it has in its lower, a new one gets the label that policy gives "
    "to files in that directory of the upper; where a container's processes are denied, give the whole mount one label "
    "with mount(8) and `-o context=LABEL`"
)


def _apparmor() -> str | None:
    if facilities.first_line("/sys/module/apparmor/parameters/enabled") != "Y":
        return None
    for place in ("apparmor/current", "current"):
        profile = facilities.first_line(f"/proc/self/attr/{place}")
        if profile:
            return profile
    return "unknown"


def _overlay() -> Finding:
    present = probes.overlay_present()
    tried = {
        Answer.YES: "the kernel lists it in /proc/filesystems",
        Answer.UNKNOWN: "its module is installed but not loaded; a mount by root loads it",
        Answer.NO: "neither in /proc/filesystems nor among the modules of this kernel",
    }
    return finding(Ability.OVERLAY, present, tried[present])


def _options(found: Trial, overlay: Finding) -> Iterator[Finding]:
    for key in KEYS:
        if overlay.answer is Answer.NO:
            yield finding(OPTIONS[key.name], Answer.NO, "this kernel has no overlay now", fix=overlay.fix)
        else:
            yield _option(key, found)


def _option(key: Key, found: Trial) -> Finding:
    trusted = found.way is Way.HERE and namespaces.in_initial_user_namespace()
    values = []
    problems: list[OvlError] = []
    for value in values_of(key):
        known = found.reply(option_question(key.name, value)).answer
        problem = next(_problems(key, value, trusted=trusted), None)
        if problem is not None and known is not Answer.NO:
            problems.append(problem)
        usable = Answer.NO if problem is not None else known
        values.append(OptionValue(value=value, known=known, usable=usable))
    answer = worst(value.usable for value in values)
    missing = [value.value or key.name for value in values if value.known is Answer.NO]
    fix: Note | str | None = None
    if answer is Answer.YES:
        tried = "the kernel takes it" if key.values is Flag else f"the kernel takes {', '.join(key.values)}"
    elif missing:
        tried = f"the kernel does not know {', '.join(missing)}"
        fix = f"Linux {_LATER.get((key.name, missing[0]), key.since)} or newer"
    elif answer is Answer.UNKNOWN:
        tried = f"the kernel cannot be asked{said(found.refusal)}"
        fix = "ask as root: `sudo ovlctl doctor`"
    else:
        left = [value.value for value in values if value.usable is Answer.YES and value.value]
        only = f"of its values only {', '.join(left)} can be had: " if len(problems) > 1 else ""
        tried = literal(only + problems[0].message())
        outside = capabilities.has(Capability.CAP_SYS_ADMIN) and not namespaces.in_initial_user_namespace()
        fix = "mount as root outside of this user namespace" if outside else "mount as root: `sudo ovlctl mount ...`"
    return finding(OPTIONS[key.name], answer, tried, fix=fix, values=tuple(values))


def _problems(key: Key, value: str | None, *, trusted: bool) -> Iterator[OvlError]:
    """What a mount by this user would have against it, or would leave out."""
    asked = Options().with_value(key.name, value or Flag.YES)
    yield from rules.conflicts(asked, has_upper=True, trusted_xattrs=trusted)
    yield from rules.weaknesses(asked, has_upper=True, trusted_xattrs=trusted)


def _facilities(found: Trial) -> Iterator[Finding]:
    asked = {
        Ability.LOWERDIR_PLUS: (trial.LOWERDIR_PLUS, "`lowerdir+` was given to fsconfig(2)"),
        Ability.LAYER_DESCRIPTORS: (trial.DESCRIPTORS, "an O_PATH descriptor was given to fsconfig(2)"),
        Ability.MOUNT_BENEATH: (trial.BENEATH, "move_mount(2) was asked with MOVE_MOUNT_BENEATH and no mount"),
        Ability.MOUNT_SETATTR: (trial.SETATTR, "mount_setattr(2) was asked without a mount"),
    }
    for ability, (question, tried) in asked.items():
        reply = found.reply(question)
        yield finding(ability, reply.answer, tried + said(reply.reason))
    yield finding(Ability.STATMOUNT, facilities.statmount_options(), "statmount(2) was asked about /")
    yield finding(Ability.UNIQUE_MOUNT_IDS, facilities.unique_mount_ids(), "statx(2) was asked about /")
    yield _opened(Ability.KERNEL_LOG, "/dev/kmsg", facilities.readable("/dev/kmsg"))
    yield from _accounting()
    yield _opened(Ability.LOOP_DEVICES, "/dev/loop-control", facilities.writable("/dev/loop-control"))


def _opened(ability: Ability, path: str, number: int) -> Finding:
    if number:
        return finding(ability, Answer.NO, f"{path}: {described(OSError(number, ''))}")
    return finding(ability, Answer.YES, f"{path} can be opened")


def _accounting() -> Iterator[Finding]:
    there = facilities.taskstats()
    allowed = capabilities.has(Capability.CAP_NET_ADMIN) and namespaces.in_initial_user_namespace()
    if there is Answer.YES and not allowed:
        yield finding(
            Ability.TASKSTATS,
            Answer.NO,
            "the kernel has it, but gives it only to CAP_NET_ADMIN in the initial user namespace",
            fix="run `bench-copyup` as root",
        )
    else:
        yield finding(Ability.TASKSTATS, there, "generic netlink was asked for the family TASKSTATS")
    setting = facilities.sysctl("kernel/task_delayacct")
    answer = {None: Answer.UNKNOWN, "0": Answer.NO}.get(setting, Answer.YES)
    tried = (
        "/proc/sys/kernel/task_delayacct cannot be read" if setting is None else f"kernel.task_delayacct is {setting}"
    )
    yield finding(Ability.DELAY_ACCOUNTING, answer, literal(tried))


def _programs() -> Iterator[Finding]:
    for ability in _PROGRAMS:
        path = facilities.program(ability)
        tried = Note("{}", (path,)) if path else "not on PATH and not in /usr/sbin"
        yield finding(ability, Answer.NO if path is None else Answer.YES, tried)


def _limits() -> tuple[Limit, ...]:
    def setting(name: str) -> int | None:
        text = facilities.sysctl(name)
        return int(text) if text is not None and text.isascii() and text.isdigit() else None

    return (
        Limit(
            name="option-string-bytes",
            value=os.sysconf("SC_PAGE_SIZE") - 1,
            meaning="mount(2) cuts longer options without a word; ovlctl then gives layers one by one",
        ),
        Limit(
            name="option-value-bytes", value=255, meaning="fsconfig(2) refuses longer values; descriptors do instead"
        ),
        Limit(name="lowers", value=MAX_LOWERS, meaning="overlayfs refuses more lowers in one stack"),
        Limit(name="overlay-depth", value=2, meaning="overlays on overlays on overlays are refused"),
        Limit(name="mounts", value=setting("fs/mount-max"), meaning="mounts in one mount namespace (fs.mount-max)"),
        Limit(
            name="user-namespaces",
            value=setting("user/max_user_namespaces"),
            meaning="user namespaces of one user (user.max_user_namespaces)",
        ),
    )
