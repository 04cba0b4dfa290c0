"""What is mounted outlives the session that mounted it, and later sessions find it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from tests import capabilities, trees
from tests.patience import eventually

if TYPE_CHECKING:
    from tests.ops.rootless.conftest import Account

pytestmark = [capabilities.needs_overlay, capabilities.needs_userns_overlay]


def test_hangup_and_end_of_session(me: Account) -> None:
    """The holder is nobody's child, has no terminal, survives SIGHUP, and has nothing open but the mount table."""
    with open(me.path("inherited"), "w"):
        pass
    me.owned()
    assert me.sh('"$0" -m ovlctl mount -l a --name x 7<inherited').returncode == 0
    pid = me.holder()
    os.kill(pid, signal.SIGHUP)
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    assert (int(fields[3]) != pid, int(fields[4])) == (True, 0)  # in a session it does not lead, without terminal
    with open(f"/proc/{pid}/comm") as file:
        assert file.read() == "ovlctl-holder\n"
    if capabilities.root():
        expected = {"/dev/null", f"/proc/{pid}/mountinfo"}
        assert eventually(lambda: {os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")} == expected)
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert me("exec", "x", "--", "cat", "f").stdout == "a"


_IN_A_TERMINAL = """
import os, pty, sys, time
child, terminal = pty.fork()
if child == 0:
    os.execvp("sh", ["sh"])
lines = [
    f"{sys.executable} -m ovlctl mount t -l a --name x",
    f"SHELL=/bin/sh {sys.executable} -m ovlctl shell x",
    "setsid sh -c 'until test -e go; do sleep 0.02; done; ls >seen; echo later >late' >/dev/null 2>&1 </dev/null &",
    "echo rea''dy",
]
os.write(terminal, "".join(f"{line}\\n" for line in lines).encode())
seen = b""
while b"ready" not in seen:
    seen += os.read(terminal, 4096)
os.close(terminal)
os.waitpid(child, 0)
"""


def test_what_was_started_in_a_terminal_survives_it(me: Account) -> None:
    """Mounted and entered in a terminal that is closed then: a detached shell goes on, and so does the mount."""
    done = me.user.run([sys.executable, "-c", _IN_A_TERMINAL], env={"XDG_RUNTIME_DIR": me.runtime})
    assert done.returncode == 0, done.stderr
    assert me("exec", "x", "--", "sh", "-c", "ls; touch go").stdout == "d\nf\n"
    assert eventually(lambda: me("exec", "x", "--", "cat", "late").stdout == "later\n")
    assert me("exec", "x", "--", "cat", "seen").stdout.split()[-1] == "seen"
    assert me("umount", "x", "--discard", "--yes").status == 0
    assert me.quiet()


def test_no_home_in_the_environment(me: Account) -> None:
    """The state is the same before and after the move, whatever uid 0 means on either side."""
    me.mount()
    inside = me("exec", "x", "--", sys.executable, "-m", "ovlctl", "ls", "--json")
    assert inside.data == me("ls", "--json").data


def test_a_state_directory_that_was_removed(me: Account) -> None:
    """As logging out does with XDG_RUNTIME_DIR: the holder is found again, what it holds can be listed and ended."""
    me.mount()
    pid = me.holder()
    shutil.rmtree(me.path("run/ovlctl"))
    (listed,) = [each for each in me("ls", "--json").data if each["standing"] == "mounted"]
    assert (listed["target"], listed["managed"]) == (me.path("t"), False)
    assert me("mount", "-l", "b", "--name", "y").status == 0
    assert me.holder() == pid
    assert me("umount", "y").status == 0
    assert me("umount", me.path("t")).status == 0
    assert me.quiet()


_WITH_SYSTEMD = """
mount -t tmpfs none /run && mkdir -p -m 755 /run/systemd/system /run/user "/run/user/$1" && chown "$1:$1" "/run/user/$1"
shift; exec "$@"
"""


@capabilities.needs_root
def test_what_a_logout_removes_is_said(me: Account, scratch: str) -> None:
    """Where systemd removes the runtime directory at logout, the first mount says so, with the way out."""
    uid = str(me.user.uid)
    with open("/etc/passwd") as file:
        trees.make(scratch, {"passwd": f"{file.read()}someone:x:{uid}:{uid}::{me.user.home}:/bin/false\n"})
    words = ("unshare", "-m", "sh", "-ec", f"mount --bind {scratch}/passwd /etc/passwd; {_WITH_SYSTEMD}", "sh", uid)
    user = replace(me.user, prefix=(*words, *me.user.prefix))
    there = replace(me, user=user, runtime=f"/run/user/{uid}")
    script = (
        'for n in x y; do "$0" -m ovlctl mount -l a --name $n; done; for n in x y; do "$0" -m ovlctl umount $n; done'
    )
    done = there.sh(script)
    assert (done.returncode, done.stderr.count("enable-linger")) == (0, 1), done.stderr
    assert there.quiet()


def test_another_runtime_directory(me: Account) -> None:
    """A session with another XDG_RUNTIME_DIR, a relative one or none, as cron has it, sees and ends the same mounts."""
    me.mount()
    listed = me("ls", "--json").data
    elsewhere = me.path("elsewhere")
    os.mkdir(elsewhere, 0o700)
    me.owned()
    for runtime in ("", "a", elsewhere):
        there = replace(me, runtime=runtime)
        assert there("ls", "--json").data == listed
        assert there("exec", "x", "--", "cat", "f").stdout == "a"
    there = replace(me, runtime=elsewhere)
    assert there("mount", "-l", "a", "--name", "y").status == 0
    assert len(me.holders()) == 1
    for name in "xy":
        assert there("umount", name, "--discard", "--yes").status == 0
    assert me.quiet()
    assert (os.listdir(elsewhere), os.listdir(me.path(".local/state"))) == ([], [])


def test_another_runtime_directory_after_a_logout(me: Account) -> None:
    """Where the runtime directory of the first session was removed, its holder is found all the same."""
    me.mount()
    shutil.rmtree(me.path("run/ovlctl"))
    there = replace(me, runtime=me.path("b"))
    for runtime in ("", me.path("b")):
        there = replace(me, runtime=runtime)
        (standing,) = [each["standing"] for each in there("ls", "--json").data if each["target"] == me.path("t")]
        assert standing == "mounted"
    refused = there("mount", "-l", "b", "-l", "a", "--name", "x")
    assert (refused.status == 0, len(me.holders())) == (False, 1), refused
    assert there("umount", me.path("t")).status == 0
    assert me.quiet()


def test_a_runtime_directory_in_somebody_elses(me: Account, other: Account) -> None:
    """Where others could put another directory in the state's place it is refused."""
    os.chmod(other.runtime, 0o777)
    refused = replace(me, runtime=other.runtime)("mount", "-l", "a", "--name", "x")
    assert "OVL-E070" in refused.stderr, refused
    assert os.listdir(other.runtime) == []


def test_who_reads_does_not_wait(me: Account) -> None:
    """Looking at mounts takes no lock that a command at work holds for itself."""
    me.mount()
    listed = me.sh("""flock run/ovlctl/lock timeout 60 "$0" -m ovlctl ls""")
    assert (listed.returncode, "mounted" in listed.stdout, listed.stderr) == (0, True, ""), listed
