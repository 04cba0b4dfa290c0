"""Which ids a user's mounts know, and what is lost of layers made with others."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ovlctl.errors import ExitStatus
from ovlctl.kernel.idmap import Extent, Kind, subordinate
from ovlctl.kernel.mount import MS, mount, umount2
from tests import capabilities, trees

if TYPE_CHECKING:
    from tests.conftest import MakeFs
    from tests.ops.rootless.conftest import Account

pytestmark = [capabilities.needs_overlay, capabilities.needs_userns_overlay]

_FIRST = 700_000
_BIND = (
    'mount --bind "$1/passwd" /etc/passwd; mount --bind "$1/subuid" /etc/subuid; mount --bind "$1/subgid" /etc/subgid'
)


@pytest.fixture
def ranged(me: Account, scratch: str) -> Account:
    """The user with an account and ranges of ids, in mount namespaces of their own only."""
    for name in ("newuidmap", "newgidmap"):
        if shutil.which(name) is None:
            pytest.skip(f"{name}(1) is not installed")
    with open("/etc/passwd") as file:
        accounts = file.read()
    uid = me.user.uid
    lines = f"other:100000:65536\nsomeone:{_FIRST}:1000\n{uid}:{_FIRST + 5000}:10\nsomeone:x:y\n# nothing\n"
    passwd = f"{accounts}someone:x:{uid}:{uid}::{me.user.home}:/bin/false\n"
    trees.make(f"{scratch}/etc", {"passwd": passwd, "subuid": lines, "subgid": lines})
    words = ("unshare", "-m", "sh", "-ec", f'{_BIND}; shift; exec "$@"', "sh", f"{scratch}/etc")
    user = replace(me.user, prefix=(*words, *me.user.prefix))
    return replace(me, user=user)


def test_ranges_of_ids(ranged: Account) -> None:
    """The user is root inside, the ranges follow in their order; what belongs to them can be written and given away."""
    trees.make(ranged.path("a"), {"theirs": "x"})
    os.chown(ranged.path("a/theirs"), _FIRST + 4, _FIRST + 1003 - 1000)
    made = ranged("mount", "t", "-l", "a", "-l", "b", "--name", "x")
    assert (made.status, "warning" in made.stderr) == (0, False), made.stderr
    ids = ranged("exec", "x", "--", "cat", "/proc/self/uid_map", "/proc/self/gid_map").stdout.split()
    uid = str(ranged.user.uid)
    assert ids == 2 * ["0", uid, "1", "1", str(_FIRST), "1000", "1001", str(_FIRST + 5000), "10"]
    script = (
        "stat -c '%u %g' theirs f; echo more >>theirs; touch own; chown 7:8 own; setpriv --reuid 5 --clear-groups id -u"
    )
    done = ranged("exec", "x", "--", "sh", "-ec", script)
    assert (done.status, done.stdout.split("\n")[:3]) == (0, ["5 4", "0 0", "5"]), done.stderr
    written = os.stat(ranged.path(".local/state/ovlctl/stacks/x/upper/own"))
    assert (written.st_uid, written.st_gid) == (_FIRST + 6, _FIRST + 7)
    assert ranged("umount", "x", "--discard", "--yes").status == 0


def test_a_lower_of_unknown_ids(ranged: Account, scratch: str) -> None:
    """The upper's root is not given to whoever has the number that stands for unknown ids."""
    for kind in Kind:
        with open(f"{scratch}/etc/sub{kind}", "w") as file:
            file.write(f"someone:{_FIRST}:65536\n")
    os.chown(ranged.path("a"), 0, 0)
    os.chmod(ranged.path("a"), 0o755)
    made = ranged("mount", "t", "-l", "a", "-l", "b", "--name", "x")
    assert ("the lower" in made.stderr, " . in" in made.stderr) == (True, False), made.stderr
    assert ranged("exec", "x", "--", "stat", "-c", "%u %g", ".").stdout == "0 0\n"


def test_no_process_to_map_them(ranged: Account) -> None:
    """Where the user may start no more processes, that is the error."""
    done = ranged.sh('exec prlimit --nproc=1 "$0" -m ovlctl mount -l a --name x')
    assert (done.returncode, "OVL-E085" in done.stderr, "EAGAIN" in done.stderr) == (4, True, True), done.stderr


def test_keeping_the_id_among_ranges(ranged: Account) -> None:
    """With --keep-id the user's files are their own, files of other ids stay others', and nothing can be mounted."""
    trees.make(ranged.path("a"), {"theirs": "x"})
    os.chown(ranged.path("a/theirs"), _FIRST + 4, _FIRST + 4)
    assert ranged("mount", "t", "-l", "a", "--name", "x").status == 0
    script = "id -u; id -g; stat -c %u theirs f; touch new; mount -t tmpfs none . 2>/dev/null || echo refused"
    done = ranged("exec", "--keep-id", "x", "--", "sh", "-c", script)
    uid = str(ranged.user.uid)
    assert done.stdout.split() == [uid, uid, "5", uid, "refused"], done
    assert os.stat(ranged.path(".local/state/ovlctl/stacks/x/upper/new")).st_uid == ranged.user.uid


@capabilities.needs_root
def test_only_the_own_id(me: Account) -> None:
    """Without ranges that is said once; others' files can be read, neither changed nor renamed, and that is said."""
    os.chmod(me.path("a/f"), 0o666)
    os.chown(me.path("a/f"), 0, 0)
    made = me("mount", "t", "-l", "a", "-l", "b", "--name", "x", "--json")
    ids, foreign = made.json["warnings"]
    assert ("only your own ids" in ids, "f in the lower" in foreign) == (True, True)
    script = "cat f; echo no >>f || mv f g || chmod 600 f || rm f && ls"
    assert me("exec", "x", "--", "sh", "-c", script).stdout.split() == ["ad", "only"]
    second = me("mount", "-l", "b", "--json")
    assert second.json["warnings"] == []


def test_keeping_the_only_id(me: Account) -> None:
    """--keep-id without ranges: the user's own ids inside, no capability, the same view; one may look, not mount."""
    assert me("mount", "t", "-l", "a", "--name", "x").status == 0
    script = "id -u; id -g; pwd; cat f; grep CapEff /proc/self/status"
    done = me("exec", "x", "--keep-id", "--", "sh", "-c", script)
    uid = str(me.user.uid)
    assert done.stdout.split() == [uid, str(me.user.gid), me.path("t"), "aCapEff:", "0" * 16], done
    inside = 'cd; "$0" -m ovlctl show x >&2 && "$0" -m ovlctl mount -l a'
    refused = me("exec", "x", "--keep-id", "--", "sh", "-c", inside, sys.executable)
    assert ("OVL-E004" in refused.stderr, "--keep-id" in refused.stderr, refused.status) == (True, True, 4), refused


@capabilities.needs_root
@pytest.mark.parametrize("kind", capabilities.each_fs("ext4", "btrfs", "tmpfs"))
def test_layers_that_root_made(me: Account, make_fs: MakeFs, kind: str) -> None:
    """A directory that root made opaque would show what it hides: refused, and with --allow-weaker said."""
    base = make_fs(kind, 130 << 20)
    os.chmod(os.path.dirname(base), 0o755)
    trees.make(base, {"low/d/hidden": "x", "low/gone": "x", "up/": None, "work/": None, "merged/": None})
    data = f"lowerdir={base}/low,upperdir={base}/up,workdir={base}/work"
    mount("overlay", f"{base}/merged", "overlay", MS(0), data.encode())
    try:
        shutil.rmtree(f"{base}/merged/d")
        os.mkdir(f"{base}/merged/d")
        os.unlink(f"{base}/merged/gone")
        assert os.listdir(f"{base}/merged/d") == []
    finally:
        umount2(f"{base}/merged")
    words = ("mount", "t", "-l", f"{base}/up", "-l", f"{base}/low", "--name", "x")
    refused = me(*words)
    assert (refused.status, "OVL-E120" in refused.stderr) == (ExitStatus.UNSUPPORTED, True), refused
    made = me(*words, "--allow-weaker", "--json")
    assert made.status == 0, made.stderr
    assert any("marks that root made" in text for text in made.json["warnings"])
    assert me("exec", "x", "--", "ls", "-R", ".").stdout.split() == [".:", "d", "./d:", "hidden"]
    assert me("mount", "-l", f"{base}/low", "-l", f"{base}/up").status == 0


def test_layers_that_the_user_made(me: Account) -> None:
    """An upper written without root serves as a lower: its whiteouts and opaque directories count."""
    assert me("mount", "t", "-l", "a", "-l", "b", "--name", "x").status == 0
    assert me("exec", "x", "--", "sh", "-c", "rm d/x; rmdir d; mkdir d; rm only").status == 0
    assert me("umount", "x").status == 0
    upper = me.path(".local/state/ovlctl/stacks/x/upper")
    made = me("mount", "t", "-l", upper, "-l", "a", "-l", "b", "--name", "y")
    assert (made.status, "OVL-E120" in made.stderr) == (0, False), made.stderr
    assert me("exec", "y", "--", "ls", "-R", ".").stdout.split() == [".:", "d", "f", "./d:"]


def test_a_large_layer_is_looked_at_for_a_while(me: Account, make_fs: MakeFs) -> None:
    """Where a layer has more entries than are looked at, that is said."""
    big = make_fs("tmpfs")
    os.chmod(os.path.dirname(big), 0o755)
    for number in range(200):
        os.mkdir(f"{big}/{number}")
        for inside in range(110):
            os.close(os.open(f"{big}/{number}/{inside}", os.O_CREAT | os.O_WRONLY))
    made = me("mount", "t", "-l", big, "-l", "a", "--name", "x", "--json")
    assert any("is large" in text for text in made.json["warnings"]), made
    assert me("umount", "x").status == 0


def test_ranges_are_read_as_newuidmap_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of other users, damaged lines and a missing file give nothing."""
    me = pwd.getpwuid(0)
    assert subordinate(Kind.UID, 0) == tuple(subordinate(Kind.UID, me.pw_uid))
    assert str(Extent(1, 100000, 65536)) == "1 100000 65536"
