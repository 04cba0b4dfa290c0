"""How this kernel reads marks that others read differently, found out by mounts that nobody sees."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from functools import cache, partial

from ovlctl.errors import OvlError
from ovlctl.kernel.apart import apart
from ovlctl.kernel.bootcache import Answer, BootCache, directly
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from ovlctl.kernel.namespaces import enter_user_namespace
from ovlctl.kernel.own_mounts import without
from ovlctl.ops.state import locate
from ovlctl.overlay.habits import Habit
from ovlctl.overlay.marks import ESCAPE, Mark, Prefix

#: Some directory to mount over, in a namespace of our own.
_POINTS = ("/tmp", "/run", "/mnt", "/var", "/usr")  # noqa: S108 -- a tmpfs of ours is mounted over it first
#: The kernel logs what it refuses, with this name: `why` leaves such lines alone.
PROBE = "ovlctl-probe"
_SEEN = f"merged/{PROBE}"
_LOWERS = "lowerdir=lower:below"
_UPPER = "lowerdir=lower,upperdir=upper,workdir=work"


@cache
def habits(habit: Habit) -> Answer:
    """Whether the kernel that runs here has *habit*; UNKNOWN to who may not mount.

    What a trial says is kept where mounts are remembered, if anything is, until the machine boots: what the kernel
    refuses it tells its log, and once is enough.

    Args:
        habit: What is asked.
    """
    try:
        state = locate()
        state.check()
    except OvlError:
        return tried(habit)
    ask = BootCache(os.path.join(state.run, "probes.json")).answer if os.path.isdir(state.run) else directly
    return ask(f"marks {habit}", partial(tried, habit))


def tried(habit: Habit) -> Answer:
    """The same, tried now, in a millisecond: in a thread with mounts of its own, on a tmpfs that goes with it.

    Who may not mount tries it in a child process, as root of a user namespace; not in a program with several threads.

    Args:
        habit: What is tried.
    """
    try:
        return without((), lambda: _try(habit))
    except OSError:
        if threading.active_count() > 1:
            return Answer.UNKNOWN
    try:
        said = apart(lambda: _try_in_user_namespace(habit))
    except OSError:
        return Answer.UNKNOWN
    return Answer.UNKNOWN if said is None else Answer(said.decode())


def _try_in_user_namespace(habit: Habit) -> bytes:
    # What apart() tells of this is that it did not work; Python would print the rest.
    with suppress(OSError):
        enter_user_namespace()
        return without((), lambda: _try(habit)).encode()
    return Answer.UNKNOWN.encode()


def _try(habit: Habit) -> Answer:
    base = next(filter(os.path.isdir, _POINTS))
    mount("tmpfs", base, "tmpfs", MS.NOSUID | MS.NODEV, b"size=1m,mode=0700")
    os.chdir(base)  # of this thread alone, which left the others' with its mounts
    for name in ("lower", "below", "upper", "work", "merged"):
        os.mkdir(name)
    return _TRIALS[habit]()


def _xattr_whiteouts() -> Answer:
    _make("lower", Mark.WHITEOUT, b"y")
    _mount(_LOWERS)
    return Answer.YES if _errno() == errno.ENOENT else Answer.NO


def _escapes() -> Answer:
    prefix = _make("lower", ESCAPE + Mark.OPAQUE, b"y")
    _mount(_LOWERS)
    return Answer.YES if prefix + Mark.OPAQUE in os.listxattr(_SEEN) else Answer.NO


def _metacopy_values() -> Answer:
    _make("lower", Mark.METACOPY, b"\0")
    _make("below")
    _mount(_LOWERS)
    # Where the value does not matter, the name is there, or EPERM with metacopy=off.
    return Answer.YES if _errno() == errno.EIO else Answer.NO


def _refuses_first() -> Answer:
    os.mkdir(f"upper/{PROBE}")
    os.setxattr(f"upper/{PROBE}", _prefix() + Mark.REDIRECT, b"nowhere")
    _mount(f"{_UPPER},redirect_dir=nofollow")
    return Answer.YES if _errno() == errno.EPERM else Answer.NO


def _origin_kinds() -> Answer:
    os.mkdir("lower/directory")
    prefix = _make("below")
    _mount(_UPPER)
    os.chmod("merged/directory", 0o700)
    umount2("merged", MNT(0))
    _make("upper", Mark.ORIGIN, os.getxattr("upper/directory", prefix + Mark.ORIGIN))
    _mount(_UPPER)
    return Answer.YES if _errno() == errno.EIO else Answer.NO


def _link_marks() -> Answer:
    _make("lower")
    _mount(f"{_UPPER},nfs_export=on")
    os.chmod(_SEEN, 0o600)
    umount2("merged", MNT(0))
    # Without the index nfs_export was dropped, as it is in a user namespace.
    if os.lstat(f"upper/{PROBE}").st_nlink == 1:
        return Answer.UNKNOWN
    _mount(f"{_UPPER},nfs_export=on")
    return Answer.YES if os.lstat(_SEEN).st_nlink == 1 else Answer.NO


_TRIALS = {
    Habit.XATTR_WHITEOUTS: _xattr_whiteouts,
    Habit.ESCAPES: _escapes,
    Habit.METACOPY_VALUES: _metacopy_values,
    Habit.REFUSES_FIRST: _refuses_first,
    Habit.ORIGIN_KINDS: _origin_kinds,
    Habit.LINK_MARKS: _link_marks,
}


def _make(layer: str, mark: str | None = None, value: bytes = b"") -> Prefix:
    """An empty file, with a mark where this user's mounts read marks from."""
    path, prefix = f"{layer}/{PROBE}", _prefix()
    with open(path, "xb"):
        pass
    if mark is not None:
        os.setxattr(path, prefix + mark, value)
    return prefix


@cache
def _prefix() -> Prefix:
    # In a user namespace it is user.*, which a tmpfs has since Linux 6.6; without, nothing can be tried.
    try:
        os.setxattr("lower", Prefix.TRUSTED + PROBE, b"")
    except PermissionError:
        return Prefix.USER
    return Prefix.TRUSTED


def _mount(options: str) -> None:
    options = f"{options},userxattr" if _prefix() is Prefix.USER else options
    mount("ovlctl:probe", "merged", "overlay", MS.NOSUID | MS.NODEV, options.encode())


def _errno() -> int:
    try:
        os.lstat(_SEEN)
    except OSError as error:
        return error.errno or 0
    return 0
