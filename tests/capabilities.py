"""What this machine can do, found out by trying, and the marks that skip a test where it cannot.

Each probe leaves nothing behind and gives a reason when the answer is no. ``pytest_report_header`` prints them all.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from typing import TYPE_CHECKING

import pytest

from ovlctl.errors import KernelLacks, OvlError
from ovlctl.kernel import facilities, mounts, probes
from ovlctl.kernel.bootcache import Answer as Known
from ovlctl.kernel.handles import name_to_handle_at
from ovlctl.kernel.libc import check, function
from ovlctl.kernel.mount import MNT, MS, mount, umount2
from ovlctl.kernel.namespaces import enter_user_namespace
from ovlctl.overlay.options import Flag
from tests import sandbox
from tests.as_user import unused_uid
from tests.needs import Answer, needs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ovlctl.overlay.options import Options

_PR_SET_DUMPABLE = 4  # linux/prctl.h
FILE_SYSTEMS = ("ext4", "xfs", "btrfs", "tmpfs")
_SIZES = {"ext4": 16 << 20, "xfs": 320 << 20, "btrfs": 128 << 20}  # about the least each mkfs accepts; sparse
_MKFS = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-E", "nodiscard"),
    "xfs": ("mkfs.xfs", "-q", "-K"),
    "btrfs": ("mkfs.btrfs", "-q", "-K"),
}


@cache
def session() -> sandbox.Sandbox:
    """The sandbox of this test process, entered on first use: once, before anything is mounted."""
    return sandbox.enter()


def root() -> Answer:
    """Whether tests run as root with CAP_SYS_ADMIN in the initial user namespace."""
    return Answer(session().as_root, "not run as root with CAP_SYS_ADMIN")


def mounting() -> Answer:
    """Whether tests can mount at all: as root, or in a user namespace."""
    return Answer(session().mounts, session().reason)


@cache
def user_namespaces() -> Answer:
    """Whether an ordinary user can make a user namespace and mount in it; tried as one, even when run as root."""

    def attempt() -> None:
        _become_nobody()
        enter_user_namespace()

    return _in_child(attempt)


def _become_nobody() -> None:
    """From root, an ordinary user; whoever is one already stays it."""
    if os.geteuid() == 0:
        uid = unused_uid()
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        # Whoever changes ids without execve(2) is not dumpable, and so does not own /proc/self: proc(5).
        prctl = function("prctl", ctypes.c_int, ctypes.c_int, ctypes.c_ulong)
        check(prctl(_PR_SET_DUMPABLE, 1))


@cache
def overlay() -> Answer:
    """Whether overlays can be mounted here on the session's scratch directory, with what a test run as this has."""
    return _overlay("" if session().as_root else ",userxattr")


@cache
def userxattr() -> Answer:
    """Whether an overlay can keep its marks in user.* (Linux 5.11)."""
    return overlay_option("userxattr")


@cache
def overlay_option(words: str) -> Answer:
    """Whether an overlay can be mounted with *words* among its options."""
    return _overlay(f",{words}")


@cache
def data_only() -> Answer:
    """Whether an overlay takes layers below ``::``, for the content of files that others have (Linux 6.5)."""
    return _overlay(",metacopy=on", data=True)


@cache
def userns_overlay() -> Answer:
    """Whether an ordinary user can mount an overlay in a user namespace (Linux 5.11)."""
    if not user_namespaces():
        return user_namespaces()

    def attempt() -> None:
        _become_nobody()
        enter_user_namespace()
        mount("tmpfs", "/tmp", "tmpfs")
        os.chdir("/tmp")
        for name in ("one", "two", "merged"):
            os.mkdir(name)
        mount("overlay", "merged", "overlay", MS(0), b"lowerdir=one:two")

    return _in_child(attempt)


def _overlay(options: str, *, data: bool = False) -> Answer:
    if not mounting():
        return mounting()
    directory = tempfile.mkdtemp(prefix="probe-", dir=session().directory)
    names = ("lower", "data", "upper", "work", "merged")
    lower, below, upper, work, merged = (os.path.join(directory, name) for name in names)
    for path in (lower, below, upper, work, merged):
        os.mkdir(path)
    lowers = f"{lower}::{below}" if data else lower
    words = f"lowerdir={lowers},upperdir={upper},workdir={work}{options}"
    try:
        mount("overlay", merged, "overlay", MS(0), os.fsencode(words))
        umount2(merged, MNT(0))
    except OSError as error:
        return Answer(able=False, reason=f"mounting one: {error.strerror}")
    finally:
        sandbox.remove(directory)
    return Answer(able=True)


@cache
def file_system(kind: str) -> Answer:
    """Whether a file system of this kind can be made on a loop device (or in memory) and mounted."""
    able = mounting() if kind == "tmpfs" else root()  # loop devices and disk file systems take real root
    if not able:
        return able
    directory = tempfile.mkdtemp(prefix="probe-", dir=session().directory)
    try:
        make_file_system(kind, directory)
    except FileNotFoundError as error:
        return Answer(able=False, reason=f"{error.filename} is not installed")
    except subprocess.CalledProcessError as error:
        return Answer(able=False, reason=(error.stderr or str(error)).strip().replace("\n", "; "))
    except OSError as error:
        return Answer(able=False, reason=str(error))
    finally:
        sandbox.remove(directory)
    return Answer(able=True)


@cache
def user_xattrs_in_memory() -> Answer:
    """Whether tmpfs keeps attributes of users (Linux 6.6)."""
    if not file_system("tmpfs"):
        return file_system("tmpfs")
    directory = tempfile.mkdtemp(prefix="probe-", dir=session().directory)
    point = make_file_system("tmpfs", directory)
    try:
        os.setxattr(point, "user.probe", b"")
    except OSError as error:
        return Answer(able=False, reason=f"on tmpfs: {error.strerror}")
    finally:
        umount2(point, MNT(0))
        sandbox.remove(directory)
    return Answer(able=True)


@cache
def loop_devices() -> Answer:
    """Whether loop devices can be had."""
    if not root():
        return root()
    with tempfile.NamedTemporaryFile(dir=session().directory) as image:
        image.truncate(1 << 20)
        try:
            device = _program("losetup", "--find", "--show", image.name).strip()
            _program("losetup", "--detach", device)
        except FileNotFoundError:
            return Answer(able=False, reason="losetup is not installed")
        except subprocess.CalledProcessError as error:
            return Answer(able=False, reason=error.stderr.strip())
    return Answer(able=True)


@cache
def taskstats() -> Answer:
    """Whether the kernel's per-task accounting answers."""
    code = (
        "import os; from pyroute2 import TaskStats\n"
        "stats = TaskStats(); stats.bind(); assert stats.get_pid_stat(os.getpid()); stats.close()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return Answer(done.returncode == 0, done.stderr.strip().rpartition("\n")[2])


@cache
def compiler() -> Answer:
    """Whether a C compiler makes a program that runs."""
    if shutil.which("gcc") is None:
        return Answer(able=False, reason="gcc is not installed")
    with tempfile.TemporaryDirectory(dir=session().directory) as directory:
        program = os.path.join(directory, "probe")
        source = "#include <sys/stat.h>\nint main(void) { return 0; }\n"
        try:
            subprocess.run(
                ["gcc", "-x", "c", "-", "-o", program], input=source, text=True, capture_output=True, check=True
            )
            subprocess.run([program], check=True)
        except (subprocess.CalledProcessError, OSError) as error:
            return Answer(able=False, reason=str(error))
    return Answer(able=True)


@cache
def lowerdir_plus() -> Answer:
    """Whether overlay takes its options one by one, and layers so (Linux 6.7)."""
    if not overlay():
        return overlay()
    return Answer(probes.lowerdir_plus_known() is Known.YES, "overlay of this kernel has no lowerdir+")


@cache
def asked_options() -> Answer:
    """Whether overlay looks at an option when it is set, and not only when it mounts (Linux 6.5)."""
    if not overlay():
        return overlay()
    known = probes.option_known("index", "on") is Known.YES
    return Answer(known, "overlay of this kernel takes any word through fsconfig(2), until it mounts")


@cache
def statmount() -> Answer:
    """Whether the kernel lists mounts, of all namespaces, and tells all of each (Linux 6.15)."""
    try:
        mounts.from_statmount()
    except KernelLacks as error:
        return Answer(able=False, reason=str(error))
    return Answer(able=True)


@cache
def mount_setattr() -> Answer:
    """Whether attributes of a mount can be changed by themselves (Linux 5.12)."""
    if not mounting():
        return mounting()
    return Answer(facilities.mount_setattr() is Known.YES, "this kernel has no mount_setattr(2)")


@cache
def mount_beneath() -> Answer:
    """Whether a mount can be put beneath another one (Linux 6.5)."""
    if not mounting():
        return mounting()
    return Answer(facilities.mount_beneath() is Known.YES, "this kernel puts no mount beneath another one")


@cache
def overlay_handles() -> Answer:
    """Whether an overlay tells by a file handle which object of which layer it shows (Linux 6.6)."""
    if not overlay():
        return overlay()
    directory = tempfile.mkdtemp(prefix="probe-", dir=session().directory)
    merged, lowers = os.path.join(directory, "merged"), [os.path.join(directory, name) for name in ("one", "two")]
    for path in (merged, *lowers):
        os.mkdir(path)
    mount("overlay", merged, "overlay", MS(0), os.fsencode("lowerdir=" + ":".join(lowers)))
    try:
        name_to_handle_at(merged, fid=True)
    except OSError as error:
        return Answer(able=False, reason=f"AT_HANDLE_FID: {error.strerror}")
    finally:
        umount2(merged, MNT(0))
        sandbox.remove(directory)
    return Answer(able=True)


def report() -> list[str]:
    """One line per answer."""
    answers: dict[str, Answer] = {
        "root": root(),
        "mounting": mounting(),
        "user namespaces": user_namespaces(),
        "overlay": overlay(),
        "overlay in user namespaces": userns_overlay(),
        "userxattr": userxattr(),
        "options one by one": asked_options(),
        "lowerdir+": lowerdir_plus(),
        "data-only layers": data_only(),
        "file handles of overlays": overlay_handles(),
        "statmount": statmount(),
        "mount_setattr": mount_setattr(),
        "mounts beneath others": mount_beneath(),
        "loop devices": loop_devices(),
        **{kind: file_system(kind) for kind in FILE_SYSTEMS},
        "user.* on tmpfs": user_xattrs_in_memory(),
        "taskstats": taskstats(),
        "C compiler": compiler(),
    }
    return [
        f"kernel: {os.uname().release} {os.uname().machine}, uid {os.geteuid()}, scratch in {session().directory}",
        *(f"{name}: {answer}" for name, answer in answers.items()),
    ]


def make_file_system(kind: str, directory: str, size: int | None = None) -> str:
    """Make a file system of *kind* and mount it below *directory* (an image and a mount point); the mount point.

    The loop device goes when the mount goes (mount(8) sets autoclear).

    Args:
        kind: One of :data:`FILE_SYSTEMS`.
        directory: An existing directory.
        size: Bytes; by default about the least that this kind accepts.

    Raises:
        FileNotFoundError: the mkfs program is missing.
        subprocess.CalledProcessError: mkfs or mount refused.
        OSError: mounting a tmpfs was refused.
    """
    point = os.path.join(directory, kind)
    os.mkdir(point)
    if kind == "tmpfs":
        mount("tmpfs", point, "tmpfs", MS(0), b"size=%d,mode=0755" % (size or 64 << 20))
        return point
    image = os.path.join(directory, f"{kind}.img")
    with open(image, "xb") as file:
        file.truncate(max(size or 0, _SIZES[kind]))
    _program(*_MKFS[kind], image)
    _program("mount", "-t", kind, "-o", "loop", image, point)
    os.chmod(point, 0o755)
    return point


def _program(*argv: str) -> str:
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"  # an ordinary user's PATH may lack mkfs
    program = shutil.which(argv[0], path=path)
    if program is None:
        raise FileNotFoundError(2, "not installed", argv[0])
    return subprocess.run([program, *argv[1:]], capture_output=True, text=True, check=True).stdout


def _in_child(attempt: Callable[[], None]) -> Answer:
    """Whether *attempt* raises nothing in a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            attempt()
            status = 0
        except (OvlError, OSError) as error:
            os.write(writer, str(error).encode("ascii", "backslashreplace")[:4000])
        finally:  # whatever else is raised: a child of pytest must not go on as pytest
            os._exit(status)
    os.close(writer)
    with open(reader, "rb") as pipe:
        reason = pipe.read().decode("ascii")
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return Answer(status == 0 and not reason, reason or f"the probe ended with {status}")


def needs_fs(kind: str) -> pytest.MarkDecorator:
    """A mark for a test that makes a file system of *kind*."""
    return needs(file_system(kind), kind)


def needs_option(words: str) -> pytest.MarkDecorator:
    """A mark for a test that mounts with *words* among the options."""
    return needs(overlay_option(words), words)


def each_options(named: Mapping[str, Options]) -> list[pytest.ParameterSet]:
    """Parameters for tests with the options *named*, each with the mark of what it needs of the kernel."""
    return [
        pytest.param(options, id=name, marks=[needs_userxattr] if options.userxattr is Flag.YES else [])
        for name, options in named.items()
    ]


def each_fs(*kinds: str) -> list[pytest.ParameterSet]:
    """Parameters for tests on file systems of *kinds*, each with its mark."""
    return [pytest.param(kind, marks=needs_fs(kind)) for kind in kinds]


needs_root = needs(root(), "root")
needs_mounting = needs(mounting(), "mounting")
needs_overlay = needs(overlay(), "overlay")
needs_userns_overlay = needs(userns_overlay(), "overlays in user namespaces")
needs_userxattr = needs(userxattr(), "userxattr")
needs_asked_options = needs(asked_options(), "options that are looked at one by one")
needs_statmount = needs(statmount(), "statmount(2) and listmount(2)")
needs_mount_setattr = needs(mount_setattr(), "mount_setattr(2)")
needs_mount_beneath = needs(mount_beneath(), "mounts beneath others")
needs_data_only = needs(data_only(), "data-only layers")
needs_lowerdir_plus = needs(lowerdir_plus(), "lowerdir+")
needs_overlay_handles = needs(overlay_handles(), "file handles of overlays")
needs_userns = needs(user_namespaces(), "user namespaces")
needs_loop = needs(loop_devices(), "loop devices")
needs_taskstats = needs(taskstats(), "taskstats")
needs_compiler = needs(compiler(), "a C compiler")
