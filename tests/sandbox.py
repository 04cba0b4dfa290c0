"""Where tests may mount and leave traces: private namespaces and scratch directories that know their owner."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ovlctl.errors import NoUserNamespace
from ovlctl.kernel.capabilities import Capability, effective
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from ovlctl.kernel.namespaces import enter_private_mounts, enter_user_namespace
from tests.leftovers import end_engines

_PREFIX = "ovlctl-test"
# A process id means something in its pid namespace only: the sessions of another one are neither dead nor alive here.
_OWNED = re.compile(rf"{_PREFIX}-(?P<namespace>[0-9]+)-(?P<pid>[0-9]+)-(?P<start>[0-9]+)")
_OVERLAY_MAGIC = 0x794C7630
_TMPFS_MAGIC = 0x01021994


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """What the test process got.

    Attributes:
        mounts: Whether it can mount, in a mount namespace of its own.
        as_root: Whether it can do so in the initial user namespace, that is, as real root.
        reason: Why not, when it cannot mount.
        directory: Scratch directory of this session, mode 0755.
    """

    mounts: bool
    as_root: bool
    reason: str
    directory: str


def is_root() -> bool:
    """Whether this process is root with CAP_SYS_ADMIN."""
    return Capability.CAP_SYS_ADMIN in effective() and os.geteuid() == 0


def enter() -> Sandbox:
    """Move this process into private namespaces, sweep after dead sessions and make this one's directory.

    An ordinary user enters a user namespace with the same uid inside: the process itself gets every capability
    there, while what it executes is an ordinary process again, because capabilities do not survive execve(2) for
    a uid other than 0.
    """
    as_root = is_root()
    mounts, reason = True, ""
    try:
        if as_root:
            enter_private_mounts()
        else:
            enter_user_namespace(os.geteuid(), os.getegid())
    except (NoUserNamespace, OSError) as error:
        mounts, reason = False, str(error)
    parent = _parent()
    sweep(parent)
    owner = f"{pid_namespace()}-{os.getpid()}-{_start_time(os.getpid())}"
    directory = os.path.join(parent, f"{_PREFIX}-{owner}")
    os.mkdir(directory)
    os.chmod(directory, 0o755)  # whatever the umask: ordinary users must get through
    if mounts and _magic(directory) == _OVERLAY_MAGIC:
        # A container: overlayfs takes no upper on an overlay, but a tmpfs will do.
        mount("tmpfs", directory, "tmpfs", MS.NOSUID, b"mode=0755")
    return Sandbox(mounts=mounts, as_root=as_root and mounts, reason=reason, directory=directory)


def leave(sandbox: Sandbox) -> None:
    """Remove the session's directory and what is mounted on and below it."""
    remove(sandbox.directory)


def sweep(parent: str) -> list[str]:
    """Remove scratch directories below *parent* whose session is dead, and say which.

    Its mounts died with it; daemons that it started, and what they started, end here.
    """
    dead = []
    for entry in os.scandir(parent):
        match = _OWNED.fullmatch(entry.name)
        ours = match is not None and match["namespace"] == pid_namespace()
        if match and ours and _start_time(int(match["pid"])) != match["start"] and _mine(entry):
            end_engines(entry.path)
            remove(entry.path)
            dead.append(entry.path)
    return dead


def remove(directory: str) -> None:
    """Unmount everything on and below *directory* and delete it, also what has mode 000."""
    unmount_below(directory)
    if os.geteuid() != 0:
        _open_up(directory)
    # Of any depth, which shutil.rmtree() is not up to; what goes by itself meanwhile is no error: a holder without
    # mounts ends, and takes its empty directories along.
    subprocess.run(["rm", "-rf", "--", directory], check=True)


def unmount_below(directory: str) -> None:
    """Detach every mount on and below *directory* in this (private) namespace, topmost first."""
    for point in reversed(_mount_points()):
        if point == directory or point.startswith(f"{directory}/"):
            umount2(point, MNT.DETACH | MNT.UMOUNT_NOFOLLOW)


def _mount_points() -> list[str]:
    # The fifth field, octal escapes undone here, so that the parser under test does not clean up after itself.
    points = []
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        raw = re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), line.split(b" ")[4])
        points.append(os.fsdecode(raw))
    return points


def _open_up(directory: str) -> None:
    with suppress(FileNotFoundError):  # as in remove()
        os.chmod(directory, stat.S_IRWXU)
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    _open_up(entry.path)


def _mine(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.stat(follow_symlinks=False).st_uid == os.geteuid()
    except FileNotFoundError:  # swept by somebody else at this moment
        return False


def pid_namespace() -> str:
    """Inode number of the pid namespace that this process is in."""
    return str(os.stat("/proc/self/ns/pid").st_ino)


def _start_time(pid: int) -> str | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(b")")[2].split()[19].decode()  # field 22, proc_pid_stat(5)


def _parent() -> str:
    # A disk first, because that is where overlays live; a tmpfs is the next best; an overlay takes no upper.
    wanted = [os.environ.get("OVLCTL_TEST_DIR"), "/var/tmp", os.environ.get("TMPDIR"), "/tmp", "/dev/shm"]
    usable = [path for path in wanted if path and os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK)]
    if not usable:
        raise RuntimeError("no directory to test in; name one on a disk in OVLCTL_TEST_DIR")
    return os.path.realpath(min(usable, key=lambda path: {_TMPFS_MAGIC: 1, _OVERLAY_MAGIC: 2}.get(_magic(path), 0)))


def _magic(path: str) -> int:
    # f_type of statfs(2), which os.statvfs leaves out; stat(1) would be one more program to need
    import ctypes

    from ovlctl.kernel.libc import check, function

    statfs = function("statfs", ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
    buffer = (ctypes.c_long * 32)()
    check(statfs(os.fsencode(path), buffer), path)
    return int(buffer[0])
