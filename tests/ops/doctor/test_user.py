"""What a user may do, and what is said to be in the way, in namespaces where it really is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ovlctl.kernel import mounts
from ovlctl.kernel.bootcache import Answer
from ovlctl.ops.doctor import diagnose, user
from ovlctl.ops.doctor.trial import Trial, Way
from ovlctl.ops.doctor.values import Ability, Reply
from tests import capabilities
from tests.as_user import account_name

if TYPE_CHECKING:
    from tests.conftest import MakeFs, OrdinaryUser

pytestmark = capabilities.needs_overlay

_CODE = (
    "import json; from ovlctl.ops.doctor import diagnose\n"
    "found = diagnose([]).user.findings\n"
    "print(json.dumps({f.ability: [f.answer, f.tried.text(), f.fix and f.fix.text()] for f in found}))"
)

_ROOTLESS = "yes" if capabilities.user_namespaces() and capabilities.userns_overlay() else "no"


def diagnosed(*before: str) -> Any:
    """Answer, reason and fix by name, of a diagnosis made behind the command *before*."""
    done = subprocess.run([*before, sys.executable, "-c", _CODE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@capabilities.needs_root
def test_without_proc() -> None:
    """A chroot without /proc is told so: the doctor is asked where something is amiss."""
    code = """
import os
from ovlctl.errors import KernelLacks
from ovlctl.kernel.mount import MS, mount
from ovlctl.kernel.namespaces import enter_private_mounts
from ovlctl.ops.doctor import diagnose
enter_private_mounts()
mount("t", "/proc", "tmpfs", MS(0))
try:
    diagnose(["/"])
except KernelLacks as error:
    print(error.message(), error.hint())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'/proc' is not mounted" in done.stdout
    assert "`mount -t proc proc /proc`" in done.stdout


def test_inside_a_user_namespace_sudo_is_no_fix() -> None:
    """Its root stays its root, whatever is run there."""
    code = """
from ovlctl.kernel.namespaces import enter_user_namespace
from ovlctl.ops.doctor import diagnose
enter_user_namespace()
found = diagnose(["/"])
print(*(each.fix.template for each in (*found.host.findings, *found.user.findings)
        if each.fix is not None and each.ability in {"root", "metacopy", "index"} and each.answer == "no"), sep="\\n")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    fixes = done.stdout.splitlines()
    assert len(fixes) == 3
    assert all("outside of this user namespace" in fix and "sudo" not in fix for fix in fixes)


def test_nothing_stays() -> None:
    """The trial mounts are in no table afterwards, and the child is waited for."""
    before = mounts.mounts()
    diagnose([])
    assert mounts.mounts() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_ordinary_user(ordinary_user: OrdinaryUser) -> None:
    """Rootless is what the tests' own attempt says; root and mounting are not had, and ranges are what files say."""
    done = ordinary_user.run([sys.executable, "-c", _CODE])
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["root"][0] == found["mount"][0] == "no"
    assert "CAP_SYS_ADMIN" in found["mount"][1]
    if found["id-ranges"][0] == "no":
        account = account_name(ordinary_user.uid)
        assert found["id-ranges"][2] == f"sudo usermod -v 100000-165535 -w 100000-165535 {account!r}"
    else:
        assert ordinary_user.uid == os.geteuid(), "a uid of no account has no ranges"
    assert found["user-namespace"][0] == ("yes" if capabilities.user_namespaces() else "no")
    assert found["rootless"][0] == _ROOTLESS


@capabilities.needs_root
def test_root() -> None:
    """Root may do everything here; rootless is asked as somebody else."""
    found = diagnosed()
    assert [found[name][0] for name in ("root", "mount", "id-ranges")] == ["yes"] * 3
    assert found["rootless"][0] == _ROOTLESS
    assert "nobody" in found["rootless"][1]


@capabilities.needs_root
def test_root_without_the_capability() -> None:
    """Root in a container without CAP_SYS_ADMIN is told which capability it is."""
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    found = diagnosed("setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin")
    assert found["root"][0] == found["mount"][0] == "no"
    assert "CAP_SYS_ADMIN" in found["mount"][1]


@capabilities.needs_root
def test_root_that_cannot_become_anybody() -> None:
    """Without CAP_SETUID nobody knows what an ordinary user could do: unknown, which is not no."""
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    found = diagnosed("setpriv", "--bounding-set", "-setuid,-setgid", "--inh-caps", "-setuid,-setgid")
    assert found["mount"][0] == "yes"
    assert found["rootless"][:2] == ["unknown", f"as user nobody: {_NOT_BECOME}"]


_NOT_BECOME = "cannot become an ordinary user: Operation not permitted (EPERM)"


@capabilities.needs_root
def test_foreign_mount_namespace() -> None:
    """``unshare -Ur``: the capability is there, but for other mounts."""
    found = diagnosed("unshare", "-Ur")
    assert found["mount"][0] == "no"
    assert "unshare -Urm" in found["mount"][2]
    assert found["rootless"][0] == _ROOTLESS


@capabilities.needs_userns_overlay
@capabilities.needs_root
def test_no_user_namespaces() -> None:
    """Where the limit of user namespaces is 0, that is the reason, and the setting is the fix."""
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    found = diagnosed("unshare", "-Urm", "sh", "-c", script, "sh")
    assert found["mount"][0] == "yes"
    for name in ("rootless", "user-namespace"):
        answer, reason, fix = found[name]
        assert answer == "no"
        assert "user.max_user_namespaces is 0" in reason
        assert "sysctl user.max_user_namespaces" in fix


def test_a_tmpfs_without_user_attributes() -> None:
    """What works on a disk may not work on a tmpfs: two answers."""
    replies = {"overlay": Reply(answer=Answer.YES), "opaque": Reply(answer=Answer.NO, reason="EIO")}
    trial = Trial(way=Way.USER_NAMESPACE, replies=replies)
    found = {finding.ability: finding for finding in user.report(trial, trial).findings}
    assert found[Ability.ROOTLESS].answer is Answer.YES
    assert found[Ability.TMPFS_UPPER].answer is Answer.NO
    assert "EIO" in found[Ability.TMPFS_UPPER].tried.text()


def test_ranges(scratch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges are found by name and by number, added up, and broken lines are nobody's."""
    path = os.path.join(scratch, "subuid")
    uid = os.geteuid()
    with open(path, "w") as file:
        file.write(f"somebody:1:9\nme:100000:65536\n{uid}:300000:10\nme:x\nme\n\n")
    assert user._ranges(path, "me") == 65546  # noqa: SLF001 -- the files of the machine cannot be changed
    assert user._ranges(path, "other") == 10  # noqa: SLF001
    assert user._ranges(f"{path}.missing", "me") == 0  # noqa: SLF001


_USE = """
import os, sys
from ovlctl.kernel.mount import MS, mount
from ovlctl.kernel.namespaces import enter_user_namespace
enter_user_namespace()
os.chdir(sys.argv[1])
for name in ("l", "l/d", "u", "w", "m"):
    os.mkdir(name)
for name in ("l/f", "l/g", "l/d/f"):
    open(name, "x").close()
mount("t", "m", "overlay", MS(0), b"lowerdir=l,upperdir=u,workdir=w,userxattr")
with open("m/f", "a") as file:
    file.write("new")
os.unlink("m/g")
os.unlink("m/d/f")
os.rmdir("m/d")
os.mkdir("m/d")
print(*sorted(os.listdir("m")), *os.listdir("m/d"))
"""


@capabilities.needs_root
@pytest.mark.parametrize("kind", capabilities.each_fs(*capabilities.FILE_SYSTEMS))
@capabilities.needs_userns_overlay
def test_an_ordinary_user_on_each_file_system(kind: str, make_fs: MakeFs, ordinary_user: OrdinaryUser) -> None:
    """The verdict for somebody without root is what an overlay of theirs does there; reflinks as for root."""
    point = make_fs(kind)
    os.chmod(os.path.dirname(point), 0o755)
    os.chown(point, ordinary_user.uid, ordinary_user.gid)
    done = ordinary_user.ovlctl("doctor", "--dir", point, "--json")
    assert done.stderr == ""
    (directory,) = done.data["directories"]
    assert directory["fs"] == kind
    answers = {finding["name"]: finding["answer"] for finding in directory["findings"]}
    assert answers["reflink"] == ("yes" if kind in {"xfs", "btrfs"} else "no")
    assert answers["trusted-xattr"] == "unknown"
    used = ordinary_user.run([sys.executable, "-c", _USE, point])
    assert used.stdout == "d f\n", used.stderr
    assert (answers["upper"], answers["lower"], answers["user-xattr"]) == ("yes", "yes", "yes")


_WITHOUT_UNSHARE = """
import ctypes, os, struct, sys
# Load the call's number; if it is unshare(2), refuse with EPERM as container engines do; else allow.
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, int(sys.argv[1])), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
for arguments in ((38, 1, 0, 0, 0), (22, 2, program, 0, 0)):  # PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP
    assert libc.prctl(*arguments) == 0, os.strerror(ctypes.get_errno())
os.execvp(sys.argv[2], sys.argv[2:])
"""


@capabilities.needs_root
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the number of unshare(2) differs")
def test_a_container_that_forbids_namespaces(scratch: str) -> None:
    """Under a seccomp filter nothing can be tried: what depends on it is unknown, with the reason, and no failure."""
    behind = (sys.executable, "-c", _WITHOUT_UNSHARE, "272")
    found = diagnosed(*behind)
    assert found["mount"][0] == found["rootless"][0] == found["user-namespace"][0] == "no"
    assert "seccomp" in found["mount"][1]
    assert "seccomp" in found["rootless"][1]
    argv = [*behind, sys.executable, "-m", "ovlctl", "doctor", "--dir", scratch, "--json", "--need", "fsync"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    data = json.loads(done.stdout)["data"]
    (fsync,) = (finding for finding in data["host"]["findings"] if finding["name"] == "fsync")
    assert fsync["answer"] == "unknown"
    assert "seccomp" in fsync["tried"]
    (directory,) = data["directories"]
    assert {"upper": "yes", "lower": "yes"}.items() <= {
        each["name"]: each["answer"] for each in directory["findings"]
    }.items()
